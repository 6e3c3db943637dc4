"""G.722 at 64 kbit/s (ITU-T G.722 mode 1): one byte for two samples at 16 kHz.

Inside a call at 8 kHz only the lower band (to 4 kHz) is decoded and encoded, which the algorithm's halves allow without
a resampler. What lies between 4 and 5 kHz then folds down, 9 dB quieter at the edge.
"""

from typing import Any

import G722

from services.gateway.codecs.codec import MAX_PACKET_MS, CodecInvalid
from services.gateway.codecs.concealment import Concealer

SAMPLE_RATES_HZ = (16000, 8000)
_BITS_A_SECOND = 64000
_MOST_BYTES = MAX_PACKET_MS * _BITS_A_SECOND // 8000


def _state(sample_rate_hz: int) -> Any:
    if sample_rate_hz not in SAMPLE_RATES_HZ:
        raise ValueError(f"G.722 at {sample_rate_hz} Hz: must be 16000 or 8000")
    return G722.G722(sample_rate_hz, _BITS_A_SECOND)


class G722Decoder:
    """A received stream; a Decoder. Its predictor waits out a loss, and is right again within some 10 ms."""

    def __init__(self, sample_rate_hz: int = 16000) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._decode = _state(sample_rate_hz).decode
        self._concealer = Concealer(sample_rate_hz)
        self.conceal = self._concealer.conceal

    def decode(self, payload: bytes) -> bytes:
        """Two samples a byte at 16 kHz, one at 8. Raises CodecInvalid on none, or more than MAX_PACKET_MS."""
        if not 0 < len(payload) <= _MOST_BYTES:
            raise CodecInvalid(f"G.722 payload of {len(payload)} bytes: 1 to {_MOST_BYTES} are a packet")
        return self._concealer.heard(self._decode(payload).tobytes())

    def recover(self, following: bytes, samples: int) -> bytes | None:
        """None: nothing of a packet is in another."""
        return None


class G722Encoder:
    """A sent stream; an Encoder. Any packet length of whole bytes."""

    def __init__(self, sample_rate_hz: int = 16000) -> None:
        self._encode = _state(sample_rate_hz).encode
        self._bytes_a_code = 2 * sample_rate_hz // 8000

    def encode(self, pcm: bytes) -> bytes:
        """Raises ValueError where the last byte would lack a sample."""
        if len(pcm) % self._bytes_a_code:
            raise ValueError(f"{len(pcm)} bytes of PCM for G.722: must be a multiple of {self._bytes_a_code}")
        # Samples of a buffer are read by twice as fast as those of bytes, which it takes for numbers.
        codes: bytes = self._encode(memoryview(pcm).cast("h"))
        return codes
