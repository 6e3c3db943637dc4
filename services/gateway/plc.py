"""Packet loss concealment by waveform repetition, in the spirit of ITU-T G.711 appendix I.

Differs from it in adding no delay: the last good samples went on at once, so only the joint after a loss is smoothed,
not the one before it.
"""

import numpy as np
from numpy.typing import NDArray

# Pitch of 66-200 Hz at 8 kHz (appendix I §I.2.2).
_LAG_MIN, _LAG_MAX = 40, 120
_HISTORY = 3 * 160
_FULL_MS = 10
_SILENT_MS = 60
_JOINT = 32  # 4 ms


class Concealer:
    """Makes up the 20 ms (160 samples at 8 kHz) that did not come."""

    def __init__(self) -> None:
        self._recent: list[bytes] = []
        self._period: NDArray[np.float32] | None = None
        self._made = 0  # samples made up since the last good frame

    def heard(self, samples: bytes) -> bytes:
        """A good frame, 320 bytes; the frame to hand on, its start blended with the concealment before it."""
        if self._made:
            joint = self._continued(_JOINT)
            rise = np.arange(1, _JOINT + 1, dtype=np.float32) / _JOINT
            frame = np.frombuffer(samples, "<i2").copy()
            frame[:_JOINT] = np.rint(frame[:_JOINT] * rise + joint * (1 - rise)).astype("<i2")
            samples = frame.tobytes()
            self._made, self._period = 0, None
        self._recent = [*self._recent[-2:], samples]
        return samples

    def conceal(self) -> bytes:
        """The next made-up frame, 320 bytes: the last pitch period repeated, fading to silence in 60 ms."""
        if self._made >= _SILENT_MS * 8 or not self._recent:
            self._made += 160
            return bytes(320)
        frame = np.rint(self._continued(160)).astype("<i2").tobytes()
        self._made += 160
        return frame

    def _continued(self, count: int) -> NDArray[np.float32]:
        if self._period is None:
            self._period = _last_period(b"".join(self._recent))
        at = np.arange(self._made, self._made + count)
        fade = (_SILENT_MS * 8 - at) / ((_SILENT_MS - _FULL_MS) * 8)
        repeated = self._period[at % len(self._period)] * np.clip(fade, 0, 1)
        return repeated.astype(np.float32)


def _last_period(pcm: bytes) -> NDArray[np.float32]:
    """The last pitch period, found where the last 20 ms are most like those a lag before."""
    history = np.zeros(_HISTORY, np.float32)
    recent = np.frombuffer(pcm, "<i2")[-_HISTORY:].astype(np.float32)
    if len(recent):
        history[-len(recent) :] = recent
    template = history[-160:]
    best_lag, best = _LAG_MAX, -1.0
    for lag in range(_LAG_MIN, _LAG_MAX + 1):
        shifted = history[-160 - lag : -lag]
        energy = float(np.dot(shifted, shifted))
        likeness = float(np.dot(template, shifted)) / (energy**0.5 + 1.0)
        if likeness > best:
            best_lag, best = lag, likeness
    return history[-best_lag:]
