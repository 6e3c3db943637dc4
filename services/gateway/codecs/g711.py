"""G.711: 8-bit µ-law and A-law against 16-bit linear PCM at 8 kHz, by table.

The tables are worked out from the formulas of ITU-T G.711 (tables 1a, 1b, 2a, 2b); the 14 bits of µ-law and the 13 of
A-law stand in the upper bits of the 16, as in ITU-T G.191.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.gateway.codecs.codec import MAX_PACKET_MS, CodecInvalid
from services.gateway.codecs.concealment import Concealer

SAMPLE_RATE_HZ = 8000

_BIAS = 33  # G.711 table 2: moves the segment edges to powers of two
_ULAW_MAX = 8192 - _BIAS - 1  # the largest magnitude of 14 bits that still fits the last segment
_MOST_BYTES = MAX_PACKET_MS * SAMPLE_RATE_HZ // 1000
_CODES = np.dtype(np.uint8)
_WORDS = np.dtype("<u2")


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
class Law:
    """One law, without a state. `silence` is the code of the smallest positive sample."""

    name: str
    payload_type: int
    silence: int
    _decoded: NDArray[np.int16]
    _encoded: NDArray[np.uint8]

    def decode(self, payload: bytes) -> bytes:
        """Codes to PCM s16le, two bytes for each."""
        # `take` costs two thirds of indexing with an array here, where there are few elements.
        samples: bytes = self._decoded.take(np.frombuffer(payload, _CODES)).tobytes()
        return samples

    def encode(self, pcm: bytes) -> bytes:
        """PCM s16le to codes, one for each two bytes. Raises ValueError on an odd length."""
        codes: bytes = self._encoded.take(np.frombuffer(pcm, _WORDS)).tobytes()
        return codes


def _law(name: str, payload_type: int, silence: int, decoded: Any, encoded: Any) -> Law:
    return Law(
        name,
        payload_type,
        silence,
        np.array([decoded(code) for code in range(256)], "<i2"),
        np.array([encoded(word - 65536 if word & 0x8000 else word) for word in range(65536)], np.uint8),
    )


# Static payload types of RFC 3551 §6.
PCMU = _law("PCMU", 0, 0xFF, _ulaw_decoded, _ulaw_encoded)
PCMA = _law("PCMA", 8, 0xD5, _alaw_decoded, _alaw_encoded)

LAWS = {law.name: law for law in (PCMU, PCMA)}


class G711Decoder:
    """A received stream of one law at 8 kHz; a Decoder. The Law itself is the Encoder."""

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(self, law: Law) -> None:
        self._table = law._decoded
        self._concealer = Concealer(SAMPLE_RATE_HZ)
        self._heard = self._concealer.heard
        self.conceal = self._concealer.conceal

    def decode(self, payload: bytes) -> bytes:
        """One sample a byte. Raises CodecInvalid on an empty payload or one of more than MAX_PACKET_MS."""
        if not 0 < len(payload) <= _MOST_BYTES:
            raise CodecInvalid(f"G.711 payload of {len(payload)} bytes: 1 to {_MOST_BYTES} are a packet")
        return self._heard(self._table.take(np.frombuffer(payload, _CODES)).tobytes())

    def recover(self, following: bytes, samples: int) -> bytes | None:
        """None: nothing of a packet is in another."""
        return None
