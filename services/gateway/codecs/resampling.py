"""Between 8 and 16 kHz, packet by packet, without a packet's wait.

soxr's streams hold back 61 ms (quality LQ) to 112 ms (MQ, HQ), and QQ does not filter; none is for a conversation. A
half-band filter of 47 taps does what a telephone needs (flat to 3400 Hz, 50 dB down at 4600 Hz), is 1.44 ms late and
gives exactly twice or half the samples.
"""

import numpy as np
from numpy.typing import NDArray

from services.gateway.codecs.codec import Decoder, Encoder

_TAPS = 47
LATENCY_MS = (_TAPS // 2) / 16
"""Of each direction."""


def _side_taps() -> NDArray[np.float32]:
    """The even taps of the half-band filter; the odd ones are zero but for the middle, which is a half."""
    at = np.arange(_TAPS) - _TAPS // 2
    # Kaiser's formula for 60 dB.
    windowed = 0.5 * np.sinc(at / 2) * np.kaiser(_TAPS, 5.65)
    side = windowed[::2]
    scaled: NDArray[np.float32] = (side * (0.5 / side.sum())).astype(np.float32)
    return scaled


_SIDE = _side_taps()
_UP = 2 * _SIDE  # half of the samples between which it stands are zeros
_DOWN = _SIDE
_BEFORE = len(_SIDE) - 1
_MIDDLE = _TAPS // 4  # delay of the middle tap, in samples at 8 kHz


class Upsampler:
    """PCM s16le mono, 8 to 16 kHz."""

    __slots__ = ("_past",)

    def __init__(self) -> None:
        self._past = bytes(2 * _BEFORE)

    def push(self, pcm: bytes) -> bytes:
        """Twice as many samples as came in, LATENCY_MS late."""
        data = self._past + pcm
        self._past = data[-2 * _BEFORE :]
        samples = np.frombuffer(data, "<i2")
        count = len(samples) - _BEFORE
        out = np.empty(2 * count, np.float32)
        out[::2] = np.convolve(samples.astype(np.float32), _UP, "valid") if count else ()
        out[1::2] = samples[_BEFORE - _MIDDLE : len(samples) - _MIDDLE]
        return _rounded(out)


class Downsampler:
    """PCM s16le mono, 16 to 8 kHz."""

    __slots__ = ("_past",)

    def __init__(self) -> None:
        self._past = bytes(4 * _BEFORE)

    def push(self, pcm: bytes) -> bytes:
        """Half as many samples as came in, LATENCY_MS late. Their number must be even: raises ValueError."""
        if len(pcm) % 4:
            raise ValueError(f"{len(pcm)} bytes of PCM to halve the rate of: must be a multiple of 4")
        data = self._past + pcm
        self._past = data[-4 * _BEFORE :]
        samples = np.frombuffer(data, "<i2").astype(np.float32)
        if not pcm:
            return b""
        even, odd = samples[::2], samples[1::2]
        middle = even[_BEFORE - _MIDDLE : len(even) - _MIDDLE]
        return _rounded(np.convolve(odd, _DOWN, "valid") + 0.5 * middle)


def _rounded(samples: NDArray[np.float32]) -> bytes:
    np.rint(samples, out=samples)
    # The filter overshoots at steep edges; what wrapped around would crack.
    pcm: bytes = samples.clip(-32768, 32767).astype("<i2").tobytes()
    return pcm


class UpsampledDecoder:
    """A decoder at 8 kHz inside a call at 16 kHz; a Decoder. What is made up passes the filter too: no edges."""

    sample_rate_hz = 16000

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._upsampler = Upsampler()

    def decode(self, payload: bytes) -> bytes:
        return self._upsampler.push(self._decoder.decode(payload))

    def recover(self, following: bytes, samples: int) -> bytes | None:
        recovered = self._decoder.recover(following, samples // 2)
        return None if recovered is None else self._upsampler.push(recovered)

    def conceal(self, samples: int) -> bytes:
        return self._upsampler.push(self._decoder.conceal(samples // 2))


class DownsampledEncoder:
    """An encoder at 8 kHz inside a call at 16 kHz; an Encoder."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._downsampler = Downsampler()

    def encode(self, pcm: bytes) -> bytes:
        return self._encoder.encode(self._downsampler.push(pcm))
