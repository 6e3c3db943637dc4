"""What a speech codec does for a call: payloads of RTP to PCM and back."""

from typing import Protocol

MAX_PACKET_MS = 200
"""No real packet holds more (RFC 3551 §4.2); decoders refuse longer ones."""


class CodecInvalid(ValueError):
    """A payload that the codec can't read."""


class Decoder(Protocol):
    """One received stream: payloads in order of sequence to PCM s16le mono, at the rate that it was made for.

    How many samples a payload holds is told by what comes back: senders change their packets' length as they like.

    What is lost is told in its place, by `recover` or `conceal`, for the state of most codecs goes on with it.
    """

    @property
    def sample_rate_hz(self) -> int: ...

    def decode(self, payload: bytes) -> bytes:
        """The payload's samples. Raises CodecInvalid; the stream then goes on as if it were lost."""

    def recover(self, following: bytes, samples: int) -> bytes | None:
        """The samples of the packet lost just before `following`, out of what that carries of it (Opus FEC).

        None when it carries nothing of it.
        """

    def conceal(self, samples: int) -> bytes:
        """Made-up samples in place of a lost packet: like those before, fading away."""


class Encoder(Protocol):
    """One sent stream: PCM s16le mono at the rate that it was made for, in packets of the length it was made for."""

    def encode(self, pcm: bytes) -> bytes:
        """The payload of one packet. Raises ValueError on a length that is none of the codec's packets."""
