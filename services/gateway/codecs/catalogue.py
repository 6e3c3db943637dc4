"""The codecs that the gateway speaks, by their names in SDP."""

import re

from services.gateway.codecs import g711, g722, opus
from services.gateway.codecs.codec import Decoder, Encoder
from services.gateway.codecs.resampling import DownsampledEncoder, UpsampledDecoder
from services.gateway.sip.sdp import Codec

NARROW_HZ, WIDE_HZ = 8000, 16000
"""The rates inside a call."""

# What RFC 3551 table 4 and RFC 7587 §4.1 say; that of G.722 is an old mistake which everybody keeps (§4.5.2).
_CLOCKS_HZ = {"PCMU": 8000, "PCMA": 8000, "G722": 8000, "OPUS": 48000}
_PACKETS_MS = tuple(range(10, 61, 10))


def offered() -> tuple[str, ...]:
    """Encodings that can be had in this process. Without a libopus, OPUS is not among them."""
    return tuple(name for name in _CLOCKS_HZ if name != "OPUS" or opus.available())


def rtp_clock_hz(codec: Codec) -> int:
    """Ticks a second of the RTP timestamps: what its rtpmap says, also where that is not what the RFC says."""
    return codec.clock_rate or _CLOCKS_HZ[codec.encoding]


def silence_payload(encoding: str, packet_ms: int) -> bytes | None:
    """A packet of silence, where it is always the same (G.711); None where it is for the encoder to make."""
    law = g711.LAWS.get(encoding)
    return None if law is None else bytes([law.silence]) * (packet_ms * g711.SAMPLE_RATE_HZ // 1000)


def decoder_for(codec: Codec, sample_rate_hz: int) -> Decoder:
    """A decoder of one received stream, to PCM at 8000 or 16000 Hz.

    Raises ValueError on a codec or a rate that is not spoken, OpusError without a libopus.
    """
    _check(codec.encoding, sample_rate_hz)
    if codec.encoding == "OPUS":
        return opus.OpusDecoder(sample_rate_hz)
    if codec.encoding == "G722":
        return g722.G722Decoder(sample_rate_hz)
    decoder = g711.G711Decoder(g711.LAWS[codec.encoding])
    return decoder if sample_rate_hz == NARROW_HZ else UpsampledDecoder(decoder)


def encoder_for(codec: Codec, sample_rate_hz: int, packet_ms: int) -> Encoder:
    """An encoder of one sent stream, from PCM at 8000 or 16000 Hz; `codec.fmtp` is the other side's.

    Raises ValueError on a codec, a rate or a packet length that is not spoken, OpusError without a libopus.
    """
    _check(codec.encoding, sample_rate_hz)
    if codec.encoding == "OPUS":
        return _opus_encoder(codec.fmtp or "", sample_rate_hz, packet_ms)
    if packet_ms not in _PACKETS_MS:
        raise ValueError(f"{codec.encoding} packets of {packet_ms} ms: must be one of {_PACKETS_MS}")
    if codec.encoding == "G722":
        return g722.G722Encoder(sample_rate_hz)
    law = g711.LAWS[codec.encoding]
    return law if sample_rate_hz == NARROW_HZ else DownsampledEncoder(law)


def _check(encoding: str, sample_rate_hz: int) -> None:
    if encoding not in _CLOCKS_HZ:
        raise ValueError(f"codec {encoding}: must be one of {', '.join(_CLOCKS_HZ)}")
    if sample_rate_hz not in (NARROW_HZ, WIDE_HZ):
        raise ValueError(f"{encoding} at {sample_rate_hz} Hz inside: must be {NARROW_HZ} or {WIDE_HZ}")


_PARAMETER = re.compile(r"\s*([a-z-]+)\s*=\s*([0-9]{1,7})\s*", re.ASCII)


def _opus_encoder(fmtp: str, sample_rate_hz: int, packet_ms: int) -> opus.OpusEncoder:
    """As the other side wishes (RFC 7587 §6.1); what can't be read has its default."""
    wishes = {match[1]: int(match[2]) for part in fmtp.lower().split(";") if (match := _PARAMETER.fullmatch(part))}
    return opus.OpusEncoder(
        sample_rate_hz,
        packet_ms,
        fec=wishes.get("useinbandfec", 0) == 1,
        constant_bitrate=wishes.get("cbr", 0) == 1,
        most_bps=wishes.get("maxaveragebitrate"),
        narrow=wishes.get("maxplaybackrate", 48000) <= NARROW_HZ,
    )
