"""RTP formats in SDP: which we offer and take, their numbers, their parameters, and how much audio a packet holds.

G.711 and G.722 (RFC 3551), Opus (RFC 7587), telephone-event (RFC 4733), comfort noise (RFC 3389).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from services.gateway.sip.sdp import COMFORT_NOISE, STATIC, Codec, Media, SdpNotAcceptable

PACKET_MS = 20
_PACKETS_MS = (10, 20, 30, 40, 60)
# Of any codec there is. On others a key's duration can't be told, or does not fit its 16 bits.
_EVENT_CLOCKS_HZ = range(8000, 96001)
_OPUS_PACKETS_MS = (10, 20, 40, 60)  # RFC 6716 §2.1.4: there are no frames of 30 ms
# What we receive, RFC 7587 §6.1: with FEC, and up to 8 kHz of sound, for more helps no recogniser.
_OPUS_RECEIVED = "minptime=10;useinbandfec=1;maxplaybackrate=16000;sprop-maxcapturerate=16000"
_EVENTS_RECEIVED = "0-15"
_OURS = {
    **{name: STATIC[name] for name in ("PCMU", "PCMA", "G722")},
    "OPUS": Codec(96, "OPUS", 48000, _OPUS_RECEIVED, 2),  # RFC 7587 §7: always 48000/2, mono or not
}
_EVENTS = {8000: Codec(101, "TELEPHONE-EVENT", 8000), 48000: Codec(102, "TELEPHONE-EVENT", 48000)}
WIDE_BAND = frozenset(("G722", "OPUS"))
"""Those with more sound than a telephone's 300 to 3400 Hz."""
_DYNAMIC = range(96, 128)


@dataclass(frozen=True, slots=True)
class OpusParameters:
    """What a peer wants to receive (RFC 7587 §6.1); defaults are the RFC's."""

    max_playback_rate_hz: int = 48000
    """Sound above half of it is thrown away at the other side."""
    max_average_bitrate: int | None = None
    """Bits a second, 6000 to 510000; None: as the encoder sees fit."""
    stereo: bool = False
    """Preferred. We send mono, which every decoder takes."""
    cbr: bool = False
    fec: bool = False
    """In-band FEC is of use to it."""
    dtx: bool = False
    """Packets may be left out in silence."""
    min_ptime_ms: int = 3

    @classmethod
    def parse(cls, fmtp: str | None) -> OpusParameters:
        """The parameters of an a=fmtp line; what is missing or makes no sense counts as the default."""
        found: dict[str, int] = {}
        for part in (fmtp or "").split(";"):
            name, _, value = part.partition("=")
            if re.fullmatch(r"\s*[0-9]{1,6}\s*", value, re.ASCII):
                found.setdefault(name.strip().lower(), int(value))
        rate, bits = found.get("maxplaybackrate", 48000), found.get("maxaveragebitrate")
        return cls(
            min(max(rate, 8000), 48000),
            None if bits is None else min(max(bits, 6000), 510000),
            found.get("stereo") == 1,
            found.get("cbr") == 1,
            found.get("useinbandfec") == 1,
            found.get("usedtx") == 1,
            min(max(found.get("minptime", 3), 3), 120),
        )


def offered(names: Iterable[str]) -> list[Codec]:
    """Our formats for codecs in order of preference: a telephone-event for each of their clocks (RFC 4733 §2.1)."""
    speech = [_OURS[name] for name in names]
    return [*speech, *(_EVENTS[hz] for hz in dict.fromkeys(codec.clock_rate for codec in speech))]


def offered_again(names: Sequence[str], used: Iterable[Codec], meanings: Mapping[int, Codec]) -> list[Codec]:
    """All our formats, and those of `used`, for an offer within a session.

    A payload type keeps its meaning for the whole session (RFC 3264 §8.3.2): `meanings` has those that it had so far.
    """
    formats = list(used)
    taken = dict(meanings) | {codec.payload_type: codec for codec in formats}
    for codec in offered(names):
        if any(same(codec, one) for one in formats):
            continue
        numbers = [number for number, one in taken.items() if same(codec, one)]
        numbers += [number for number in (codec.payload_type, *_DYNAMIC) if number not in taken]
        if numbers:
            formats.append(Codec(numbers[0], codec.encoding, codec.clock_rate, codec.fmtp, codec.channels))
            taken[numbers[0]] = codec
    order = [*names, COMFORT_NOISE.encoding, "TELEPHONE-EVENT"]
    return sorted((one for one in formats if one.encoding in order), key=lambda one: order.index(one.encoding))


def common(theirs: Media, names: Sequence[str], ours: Sequence[Codec] | None = None) -> list[Codec]:
    """Their speech codecs that `names` has, in their order; with `ours` only those that stand there on the same clock.

    Raises SdpNotAcceptable for none.
    """
    found = [codec for codec in theirs.codecs if codec.encoding in names and _spoken(codec)]
    if ours is not None:
        found = [codec for codec in found if any(same(codec, one) for one in ours)]
    if not found:
        raise SdpNotAcceptable(305, f"None of the offered codecs is supported, only {', '.join(names)}")
    return found


def speech_names(codecs: Iterable[Codec]) -> list[str]:
    return [codec.encoding for codec in codecs if codec.encoding in _OURS]


def beside(codec: Codec, theirs: Media) -> tuple[list[Codec], list[Codec]]:
    """Comfort noise and telephone-events of a stream that fit a codec."""
    events = [one for one in theirs.codecs if one.is_event and one.clock_rate in _EVENT_CLOCKS_HZ]
    # Those on the codec's clock; another one only where there is no such (RFC 4733 §2.1 asks for the same clock).
    events = [one for one in events if one.clock_rate == codec.clock_rate] or events[:1]
    # Opus makes its own (RFC 7587 §3.1.3), and RFC 3389 §4 has the clock of the codec.
    return [one for one in theirs.codecs if one == COMFORT_NOISE and codec.clock_rate == one.clock_rate], events


def same(one: Codec, other: Codec) -> bool:
    return one.encoding == other.encoding and one.clock_rate == other.clock_rate


def packet_ms(codec: Codec, theirs: Media) -> int:
    """How much audio to put in a packet: the peer's ptime, not above its maxptime nor below its minptime (of Opus, or
    an attribute as baresip has it), or what we have that comes next below.
    """
    sizes: Sequence[int] = _PACKETS_MS
    floor, ceiling = milliseconds(theirs, "minptime") or 0, milliseconds(theirs, "maxptime") or _PACKETS_MS[-1]
    if codec.encoding == "OPUS":
        sizes, floor = _OPUS_PACKETS_MS, max(floor, OpusParameters.parse(codec.fmtp).min_ptime_ms)
    allowed = [ms for ms in sizes if ms <= ceiling] or [sizes[0]]
    allowed = [ms for ms in allowed if ms >= floor] or allowed[-1:]
    wanted = milliseconds(theirs, "ptime") or PACKET_MS
    return max((ms for ms in allowed if ms <= wanted), default=allowed[0])


def milliseconds(media: Media, name: str) -> int | None:
    """Of a=ptime or a=maxptime; RFC 8866 §6.4 has integers, some write fractions."""
    match = re.fullmatch(r"([1-9][0-9]{0,2})(?:\.[0-9]{1,6})?", media.attribute(name) or "", re.ASCII)
    return None if match is None else int(match[1])


def attributes(formats: Iterable[Codec], packet_ms: int) -> list[tuple[str, str]]:
    """Our a=rtpmap, a=fmtp and a=ptime; what we can receive is ours to say, whatever the peer can."""
    found: list[tuple[str, str]] = []
    for codec in formats:
        number = codec.payload_type
        encoding = codec.encoding.lower() if codec.encoding in ("TELEPHONE-EVENT", "OPUS") else codec.encoding
        channels = "" if codec.channels == 1 else f"/{codec.channels}"
        found.append(("rtpmap", f"{number} {encoding}/{codec.clock_rate}{channels}"))
        if codec.is_event:
            found.append(("fmtp", f"{number} {_EVENTS_RECEIVED}"))
        elif codec.encoding == "OPUS":
            found.append(("fmtp", f"{number} {_OPUS_RECEIVED}"))
    return [*found, ("ptime", str(packet_ms))]


def _spoken(codec: Codec) -> bool:
    if codec.encoding == "OPUS":
        # RFC 7587 §7 wants 48000/2; 48000, 48000/1 and 16000 are in use too.
        return codec.clock_rate in (48000, 16000) and codec.channels in (1, 2)
    return codec.encoding in _OURS and codec.clock_rate == 8000 and codec.channels == 1
