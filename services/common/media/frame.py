"""The audio frame of the bus: 20 ms of PCM behind a fixed header. In words: protos/tandem/v1/audio.proto."""

import struct
from typing import NamedTuple, Self

VERSION = 1
FRAME_MS = 20
FRAME_US = FRAME_MS * 1000
SAMPLE_RATES_HZ = (8000, 16000)

CONCEALED = 0x01  # the gateway made these samples up: the packet was lost
END_OF_UTTERANCE = 0x02  # agent audio: no frame of this utterance follows
DISCONTINUITY = 0x04  # the stream jumped before this frame: samples are missing that nobody concealed
ECHO = 0x08  # the gateway silenced these samples: they were the agent's own voice coming back

_HEADER = struct.Struct("<BBHIqI")
HEADER_BYTES = _HEADER.size
_pack, _unpack = _HEADER.pack, _HEADER.unpack_from
_BYTES = {rate: HEADER_BYTES + 2 * (rate // 50) for rate in SAMPLE_RATES_HZ}


class FrameInvalid(ValueError):
    """A bus message that is not an AudioFrame."""


class AudioFrame(NamedTuple):
    """20 ms of PCM s16le mono.

    `sequence` counts frames from 0, of the call (caller) or of the utterance (agent). `call_time_us` is when the first
    sample came in on RTP, on the call's clock; a packet that arrives now carries the 20 ms that end now.
    """

    # A tuple, for 15,000 a second are made each way: a frozen dataclass takes three times as long.

    sequence: int
    call_time_us: int
    sample_rate_hz: int
    samples: bytes
    utterance_id: int = 0
    flags: int = 0

    def pack(self) -> bytes:
        """The NATS message."""
        sequence, call_time_us, rate, samples, utterance_id, flags = self
        return _pack(VERSION, flags, rate, sequence, call_time_us, utterance_id) + samples

    @classmethod
    def unpack(cls, message: bytes) -> Self:
        """Raises FrameInvalid on another version, an unknown sample rate or a length that does not fit it."""
        try:
            version, flags, rate, sequence, call_time_us, utterance_id = _unpack(message)
        except struct.error:
            raise FrameInvalid(f"an audio frame has at least {HEADER_BYTES} bytes, not {len(message)}") from None
        if version != VERSION:
            raise FrameInvalid(f"audio frame of version {version}; this build reads version {VERSION}")
        if len(message) != _BYTES.get(rate):
            if rate not in _BYTES:
                raise FrameInvalid(f"sample rate {rate} Hz; known are {SAMPLE_RATES_HZ}")
            raise FrameInvalid(f"a frame at {rate} Hz has {frame_bytes(rate)} bytes, not {len(message)}")
        # Half the time of cls(...), which is a function of Python's.
        return tuple.__new__(cls, (sequence, call_time_us, rate, message[HEADER_BYTES:], utterance_id, flags))


def samples_per_frame(sample_rate_hz: int) -> int:
    """Samples in 20 ms."""
    return sample_rate_hz // 50


def frame_bytes(sample_rate_hz: int) -> int:
    """Length of a packed frame: header and samples."""
    return HEADER_BYTES + 2 * samples_per_frame(sample_rate_hz)


def split_frames(message: bytes, sample_rate_hz: int) -> list[AudioFrame]:
    """The frames of one replay answer, which carries several end to end. Raises FrameInvalid."""
    size = frame_bytes(sample_rate_hz)
    if len(message) % size:
        raise FrameInvalid(f"a replay answer is whole frames of {size} bytes, not {len(message)} bytes")
    return [AudioFrame.unpack(message[at : at + size]) for at in range(0, len(message), size)]
