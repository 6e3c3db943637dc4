"""G.711: 8-bit µ-law and A-law against 16-bit linear PCM at 8 kHz, by table.

The tables are worked out from the formulas of ITU-T G.711 (tables 1a, 1b, 2a, 2b); the 14 bits of µ-law and the 13 of
A-law stand in the upper bits of the 16, as in ITU-T G.191.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 8000

_BIAS = 33  # G.711 table 2: moves the segment edges to powers of two
_ULAW_MAX = 8192 - _BIAS - 1  # the largest magnitude of 14 bits that still fits the last segment


def _ulaw_decoded(code: int) -> int:
    code = ~code & 0xFF  # the line carries every bit inverted
    segment, step = (code >> 4) & 7, code & 0x0F
    magnitude = ((2 * step + _BIAS) << segment) - _BIAS
    return 4 * (-magnitude if code & 0x80 else magnitude)


def _alaw_decoded(code: int) -> int:
    code ^= 0x55  # the even bits are inverted on the line
    segment, step = (code >> 4) & 7, code & 0x0F
    magnitude = 2 * step + 1 if segment == 0 else (2 * step + 33) << (segment - 1)
    return 8 * (magnitude if code & 0x80 else -magnitude)


def _ulaw_encoded(sample: int) -> int:
    magnitude = min((~sample if sample < 0 else sample) >> 2, _ULAW_MAX) + _BIAS
    segment = magnitude.bit_length() - 6
    code = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F)
    return ~(code | (0x80 if sample < 0 else 0)) & 0xFF


def _alaw_encoded(sample: int) -> int:
    magnitude = (~sample if sample < 0 else sample) >> 4
    segment = max(magnitude.bit_length() - 4, 0)
    code = (segment << 4) | ((magnitude >> max(segment - 1, 0)) & 0x0F)
    return (code | (0 if sample < 0 else 0x80)) ^ 0x55


@dataclass(frozen=True, eq=False)
class Codec:
    """One law. `silence` is the code of the smallest positive sample."""

    name: str
    payload_type: int
    silence: int
    _decoded: NDArray[np.int16]
    _encoded: NDArray[np.uint8]

    def decode(self, payload: bytes) -> bytes:
        """Codes to PCM s16le, two bytes for each."""
        samples: bytes = self._decoded[np.frombuffer(payload, np.uint8)].tobytes()
        return samples

    def encode(self, pcm: bytes) -> bytes:
        """PCM s16le to codes, one for each two bytes. Raises ValueError on an odd length."""
        codes: bytes = self._encoded[np.frombuffer(pcm, "<u2")].tobytes()
        return codes


def _codec(name: str, payload_type: int, silence: int, decoded: Any, encoded: Any) -> Codec:
    return Codec(
        name,
        payload_type,
        silence,
        np.array([decoded(code) for code in range(256)], "<i2"),
        np.array([encoded(word - 65536 if word & 0x8000 else word) for word in range(65536)], np.uint8),
    )


# Static payload types of RFC 3551 §6.
PCMU = _codec("PCMU", 0, 0xFF, _ulaw_decoded, _ulaw_encoded)
PCMA = _codec("PCMA", 8, 0xD5, _alaw_decoded, _alaw_encoded)

CODECS = {codec.name: codec for codec in (PCMU, PCMA)}
