"""Comfort noise (RFC 3389): the noise behind a caller who pauses, made up out of its level and spectrum.

A recogniser is better served with silence; noise is for people: onward play and recordings.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

CLOCK_HZ = 8000
LOUDEST_DBOV = -30
"""Louder noise than this comforts nobody: who says so is held to it."""

_QUIETEST_DBOV = -127
_MOST_COEFFICIENTS = 16  # any order is allowed (§3.2); speech coders have 8 to 10
_LARGEST_REFLECTION = 0.98  # one more is no stable filter
_OVERLOAD = 32767  # §3.1: a square wave of all that 16 bits hold is 0 dBov
_LOOP_S = 1  # after which the noise repeats; longer than an ear follows
# To shape noise takes 0.4 ms. Who sends other noise all the time gets no more than 5 shapes a second.
_SHAPES_A_S = 5


class ComfortNoise:
    """The noise of one stream, PCM s16le mono at the rate of the inside. Without a SID frame it is silence."""

    def __init__(self, sample_rate_hz: int, start: int = 0) -> None:
        """`start` moves the noise in time, so that two streams mixed don't carry the same."""
        self._rate_hz = sample_rate_hz
        self._at = start % (_LOOP_S * sample_rate_hz)
        self._sid = b""
        self._shaped_of = b""
        self._loop: NDArray[np.int16] | None = None
        self._since = 0

    @property
    def level_dbov(self) -> int | None:
        """What the last SID frame said, at most LOUDEST_DBOV; None before one."""
        return _level_dbov(self._sid) if self._sid else None

    def sid(self, payload: bytes) -> None:
        """A silence descriptor: level and reflection coefficients, or level only (§3). An empty one changes nothing.

        The noise follows within 0.2 s.
        """
        if payload:
            # Shaped when it is needed: a recogniser's stream never is.
            self._sid = payload[: 1 + _MOST_COEFFICIENTS]

    def noise(self, samples: int) -> bytes:
        """The next samples, on average no louder than was said."""
        if samples <= 0:
            return b""
        if not self._sid:
            return bytes(2 * samples)
        if self._loop is None or (self._sid != self._shaped_of and self._since * _SHAPES_A_S >= self._rate_hz):
            self._loop, self._shaped_of, self._since = _shaped(self._sid, self._rate_hz), self._sid, 0
        self._since += samples
        at, self._at = self._at, (self._at + samples) % len(self._loop)
        if at + samples <= len(self._loop):
            return self._loop[at : at + samples].tobytes()
        return self._loop.take(np.arange(at, at + samples), mode="wrap").tobytes()


def sid_payload(level_dbov: int) -> bytes:
    """A SID frame of white noise."""
    return bytes([max(0, min(127, -level_dbov))])


def _level_dbov(sid: bytes) -> int:
    # The first bit must be 0 (§3.1), so it is not looked at.
    return max(_QUIETEST_DBOV, min(LOUDEST_DBOV, -(sid[0] & 0x7F)))


def _shaped(sid: bytes, rate_hz: int) -> NDArray[np.int16]:
    """A loop of noise with the spectrum and the level of a SID frame, without a joint: it is a sum of its harmonics."""
    spectrum = _white(rate_hz).copy()
    if len(sid) > 1:
        # The model is of the clock's band; above it there is nothing.
        known = len(spectrum) * CLOCK_HZ // rate_hz if rate_hz > CLOCK_HZ else len(spectrum)
        spectrum[:known] /= np.abs(np.fft.rfft(_predictor(sid[1:]), 2 * (known - 1)))
        spectrum[known:] = 0
    noise = np.fft.irfft(spectrum)
    wanted = _OVERLOAD * 10 ** (_level_dbov(sid) / 20)
    noise *= wanted / np.sqrt(np.mean(np.square(noise)))
    # Towards zero, so that rounding makes it no louder.
    return np.trunc(np.clip(noise, -_OVERLOAD, _OVERLOAD)).astype("<i2")


@cache
def _white(rate_hz: int) -> NDArray[np.complex128]:
    """Spectrum of white noise, always the same; nothing at 0 Hz."""
    random = np.random.default_rng(3389)
    spectrum: NDArray[np.complex128] = np.exp(2j * np.pi * random.random(_LOOP_S * rate_hz // 2 + 1))
    spectrum[0] = spectrum[-1] = 0
    return spectrum


def _predictor(quantised: bytes) -> NDArray[np.float64]:
    """A(z) of the all-pole model 1/A(z), from reflection coefficients as on the line (§3.2): the step-up recursion."""
    predictor = np.array([1.0])
    for byte in quantised:
        reflection = 258 * (byte - 127) / 32768
        reflection = max(-_LARGEST_REFLECTION, min(_LARGEST_REFLECTION, reflection))
        longer = np.append(predictor, 0.0)
        predictor = longer + reflection * longer[::-1]
    return predictor
