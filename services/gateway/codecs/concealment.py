"""Packet loss concealment by waveform repetition, in the spirit of ITU-T G.711 appendix I.

Differs from it in adding no delay: the last good samples went on at once, so only the joint after a loss is smoothed,
not the one before it.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

# Pitch of 66-200 Hz (appendix I §I.2.2).
_LAG_MIN_MS, _LAG_MAX_MS = 5, 15
_TEMPLATE_MS = 20
_FULL_MS = 10
_SILENT_MS = 60
_JOINT_MS = 4
# Enough packets of 10 ms for the template and a lag before it.
_REMEMBERED = 4


class Concealer:
    """Makes up the samples that did not come, out of those before. One stream, PCM s16le mono."""

    __slots__ = ("_made", "_per_ms", "_period", "_recent", "_remember")

    def __init__(self, sample_rate_hz: int) -> None:
        """A rate of 8000 or more, of whole samples a millisecond."""
        self._per_ms = sample_rate_hz // 1000
        self._recent: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._remember = self._recent.append
        self._period: NDArray[np.float32] | None = None
        self._made = 0  # samples made up since the last good packet

    def heard(self, pcm: bytes) -> bytes:
        """A good packet of any length; the samples to hand on, their start blended with the concealment before."""
        if self._made:
            pcm = self._joined(pcm)
        # By reference: the packets are joined only when one is lost.
        self._remember(pcm)
        return pcm

    def conceal(self, samples: int) -> bytes:
        """The next made-up samples: the last pitch period repeated, fading to silence in 60 ms."""
        if samples <= 0:
            return b""
        if self._made >= _SILENT_MS * self._per_ms or not self._recent:
            self._made += samples
            return bytes(2 * samples)
        made = np.rint(self._continued(samples)).astype("<i2").tobytes()
        self._made += samples
        return made

    def _joined(self, pcm: bytes) -> bytes:
        joint = min(_JOINT_MS * self._per_ms, len(pcm) // 2)
        if self._recent:
            rise = np.arange(1, joint + 1, dtype=np.float32) / joint
            blended = np.frombuffer(pcm, "<i2", joint) * rise + self._continued(joint) * (1 - rise)
            pcm = np.rint(blended).astype("<i2").tobytes() + pcm[2 * joint :]
        self._made, self._period = 0, None
        return pcm

    def _continued(self, count: int) -> NDArray[np.float32]:
        if self._period is None:
            self._period = _last_period(b"".join(self._recent), self._per_ms)
        at = np.arange(self._made, self._made + count)
        fade = (_SILENT_MS * self._per_ms - at) / ((_SILENT_MS - _FULL_MS) * self._per_ms)
        repeated = self._period[at % len(self._period)] * np.clip(fade, 0, 1)
        return repeated.astype(np.float32)


def _last_period(pcm: bytes, per_ms: int) -> NDArray[np.float32]:
    """The last pitch period, found where the last 20 ms are most like those a lag before."""
    shortest, longest = _LAG_MIN_MS * per_ms, _LAG_MAX_MS * per_ms
    length = _TEMPLATE_MS * per_ms
    history = np.zeros(length + longest, np.float32)
    recent = np.frombuffer(pcm[-2 * len(history) :], "<i2")
    history[len(history) - len(recent) :] = recent
    template = history[longest:]
    # Entry i is of the lag `longest - i`.
    earlier = history[: length + longest - shortest]
    products = np.correlate(earlier, template, "valid")
    summed = np.concatenate(([0.0], np.cumsum(np.square(earlier, dtype=np.float64))))
    energies = summed[length:] - summed[:-length]
    lag = longest - int(np.argmax(products / (np.sqrt(np.maximum(energies, 0)) + 1.0)))
    return history[-lag:]
