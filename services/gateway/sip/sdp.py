"""SDP (RFC 8866) and the answer to an offer (RFC 3264): one G.711 audio stream, with telephone-event (RFC 4733).

Parsing is tolerant: unknown lines are skipped, missing o=, s= and t= are forgiven. What can't be a phone call is
refused by type, with the SIP status to answer.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

_MAX_BYTES = 65535


class SdpError(Exception):
    """The body is no SDP. Answer `status`, with a Warning header `warning` (RFC 3261 §20.43) where there is one."""

    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.warning: str | None = None


class SdpNotAcceptable(SdpError):
    """Good SDP that offers nothing we can do."""

    status = 488

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        # The agent is a pseudonym: a warning must not tell the inside of the network.
        self.warning = f'{code} tandem "{message}"'


class Direction(Enum):
    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    @classmethod
    def of(cls, sends: bool, receives: bool) -> Direction:
        if sends:
            return cls.SENDRECV if receives else cls.SENDONLY
        return cls.RECVONLY if receives else cls.INACTIVE


@dataclass(frozen=True, slots=True)
class Codec:
    payload_type: int
    encoding: str
    """Upper case, e.g. "PCMU", "TELEPHONE-EVENT"."""
    clock_rate: int
    fmtp: str | None = None


_STATIC = {0: Codec(0, "PCMU", 8000), 8: Codec(8, "PCMA", 8000)}
"""RFC 3551 table 4: these need no rtpmap."""
_STATIC_TYPE = {codec.encoding: codec.payload_type for codec in _STATIC.values()}
_OUR_EVENT_TYPE = 101
_LARGEST_TYPE = 127  # seven bits (RFC 3550 §5.1)
_EVENTS = "0-15"
_PTIME_MS = 20


@dataclass(frozen=True, slots=True)
class Media:
    """One m= section. `address` is its own or the session's c= address, None when there is none."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    address: str | None
    attributes: tuple[tuple[str, str], ...] = ()
    """(name, value) in order; the value of a flag is empty."""
    direction: Direction = Direction.SENDRECV

    def attribute(self, name: str) -> str | None:
        return next((value for key, value in self.attributes if key == name), None)

    @property
    def codecs(self) -> list[Codec]:
        """The formats that can be named, in the order of preference of the m= line."""
        mapped = {codec.payload_type: codec for codec in self._rtpmaps()}
        found: list[Codec] = []
        for text in self.formats:
            if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= _LARGEST_TYPE):
                continue
            codec = mapped.get(int(text)) or _STATIC.get(int(text))
            if codec is not None:
                found.append(codec)
        return found

    def _rtpmaps(self) -> list[Codec]:
        fmtp = {
            match[1]: match[2] for key, value in self.attributes if key == "fmtp" if (match := _FMTP.fullmatch(value))
        }
        return [
            Codec(int(match[1]), match[2].upper(), int(match[3]), fmtp.get(match[1]))
            for key, value in self.attributes
            if key == "rtpmap"
            if (match := _RTPMAP.fullmatch(value))
        ]


_RTPMAP = re.compile(r"([0-9]{1,3})\s+([^\s/]+)/([0-9]{1,6})(?:/1)?\s*", re.ASCII)
_FMTP = re.compile(r"([0-9]{1,3})\s+(.+)", re.ASCII)
_MEDIA = re.compile(r"(\S+)\s+([0-9]{1,5})(?:/[0-9]+)?\s+(\S+)\s*(.*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    timing: tuple[str, ...] = ("0 0",)
    """Values of the t= lines; an answer repeats them (RFC 3264 §6)."""
    media: tuple[Media, ...] = ()


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What both sides agreed on."""

    codec: Codec
    """Its payload type is the one to send with, and the one that the peer sends with."""
    telephone_event: Codec | None
    remote: tuple[str, int] | None
    """Where to send RTP. None on hold by c=0.0.0.0 (RFC 2543); the host may be a name."""
    direction: Direction
    """Ours: `sends` says whether we may send, `receives` whether the peer does."""
    ptime_ms: int | None
    """Packet time that the peer asked for; we send 20 ms."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` goes into the 200, `negotiated` to the media."""

    body: bytes
    negotiated: Negotiated


@dataclass(slots=True)
class _Section:
    """An m= section, or the session before the first, while it is being read."""

    media: re.Match[str] | None = None
    address: str | None = None
    attributes: list[tuple[str, str]] = field(default_factory=list)


def parse(body: bytes | str) -> SessionDescription:
    """Raises SdpError when it is no SDP at all."""
    if isinstance(body, bytes):
        body = body[:_MAX_BYTES].decode("utf-8", "replace")
    lines = [line.strip() for line in body.replace("\r", "\n").split("\n") if line.strip()]
    if not lines or lines[0].replace(" ", "") != "v=0":
        raise SdpError("SDP must begin with v=0")
    timing: list[str] = []
    sections = [_Section()]
    for line in lines[1:]:
        kind, equals, value = line.partition("=")
        value = value.strip()
        if not equals or len(kind.strip()) != 1:
            continue
        match kind.strip():
            case "m":
                media = _MEDIA.fullmatch(value)
                if media is None or int(media[2]) > 65535:
                    raise SdpError(f"Bad m= line in SDP: {value[:60]!r}")
                sections.append(_Section(media=media))
            case "c":
                words = value.split()
                if len(words) >= 3 and sections[-1].address is None:
                    # A multicast TTL ("/127") is no part of the address.
                    sections[-1].address = words[2].partition("/")[0]
            case "t":
                timing.append(value)
            case "a":
                name, _, text = value.partition(":")
                sections[-1].attributes.append((name.strip().lower(), text.strip()))
    session, *rest = sections
    return SessionDescription(tuple(timing) or ("0 0",), tuple(_media(section, session) for section in rest))


def _media(section: _Section, session: _Section) -> Media:
    assert section.media is not None
    kind, port, protocol, formats = section.media.groups()
    direction = _direction(section.attributes) or _direction(session.attributes) or Direction.SENDRECV
    return Media(
        kind.lower(),
        int(port),
        protocol,
        tuple(formats.split()),
        section.address or session.address,
        tuple(section.attributes),
        direction,
    )


def _direction(attributes: list[tuple[str, str]]) -> Direction | None:
    names = {direction.value: direction for direction in Direction}
    return next((names[name] for name, _ in attributes if name in names), None)


def negotiate(
    offer: bytes | str | SessionDescription,
    local_address: str,
    local_port: int,
    *,
    codecs: Sequence[str] = ("PCMU", "PCMA"),
    session_id: int = 1,
    version: int = 1,
) -> Answer:
    """Answers `offer` (RFC 3264 §6): the first audio stream with one of `codecs`, in our order of preference.

    Every other m= line is refused with port 0. Hold is answered as it must be: sendonly by recvonly, inactive by
    inactive, c=0.0.0.0 by recvonly. `version` must grow with each further answer in the same call.
    Raises SdpError (400) and SdpNotAcceptable (488).
    """
    described = offer if isinstance(offer, SessionDescription) else parse(offer)
    index, negotiated = _choose(described, codecs)
    lines = _session_lines(local_address, session_id, version, described.timing)
    for position, media in enumerate(described.media):
        if position == index:
            lines += _audio_lines(local_port, media.protocol, [negotiated.codec], negotiated.telephone_event)
            lines.append(f"a={negotiated.direction.value}")
        else:
            lines.append(f"m={media.kind} 0 {media.protocol} {' '.join(media.formats) or '0'}")
    return Answer(_join(lines), negotiated)


def offer(
    local_address: str,
    local_port: int,
    *,
    codecs: Sequence[str] = ("PCMU", "PCMA"),
    session_id: int = 1,
    version: int = 1,
) -> bytes:
    """Our offer, for an INVITE without one; `accept` reads the answer that comes with the ACK."""
    lines = _session_lines(local_address, session_id, version, ("0 0",))
    offered = [_STATIC[_STATIC_TYPE[name]] for name in codecs]
    lines += _audio_lines(local_port, "RTP/AVP", offered, Codec(_OUR_EVENT_TYPE, "TELEPHONE-EVENT", 8000))
    return _join([*lines, "a=sendrecv"])


def accept(answer: bytes | str, *, codecs: Sequence[str] = ("PCMU", "PCMA")) -> Negotiated:
    """What the peer's answer to our `offer` settles. Raises SdpError and SdpNotAcceptable."""
    return _choose(parse(answer), codecs, theirs_first=True)[1]


def _choose(described: SessionDescription, codecs: Sequence[str], theirs_first: bool = False) -> tuple[int, Negotiated]:
    """The stream and what it settles; the codec by our order, or by theirs in an answer (RFC 3264 §7)."""
    if not any(media.kind == "audio" and media.port for media in described.media):
        raise SdpNotAcceptable(304, "No audio stream offered")
    problem = SdpNotAcceptable(305, f"None of the offered codecs is supported, only {', '.join(codecs)}")
    for index, media in enumerate(described.media):
        if media.kind != "audio" or not media.port:
            continue
        # AVPF only adds optional feedback (RFC 4585), SAVP wants SRTP keys.
        if media.protocol.upper() not in ("RTP/AVP", "RTP/AVPF"):
            problem = SdpNotAcceptable(302, f"Transport {_printable(media.protocol)} is not supported, only RTP/AVP")
            continue
        if media.address is None:
            raise SdpError("SDP has no c= line for the audio stream")
        known = [c for c in media.codecs if c.encoding in codecs and c.clock_rate == 8000]
        codec = min(known, key=lambda c: 0 if theirs_first else codecs.index(c.encoding), default=None)
        if codec is not None:
            return index, _settle(media, media.address, codec)
    raise problem


def _settle(media: Media, address: str, codec: Codec) -> Negotiated:
    event = next(
        (c for c in media.codecs if c.encoding == "TELEPHONE-EVENT" and c.clock_rate == codec.clock_rate), None
    )
    # RFC 2543 hold: "send me nothing" (RFC 3264 §8.4).
    held = address in ("0.0.0.0", "::")
    direction = Direction.of(media.direction.receives and not held, media.direction.sends)
    ptime = media.attribute("ptime") or ""
    ptime_ms = int(ptime) if re.fullmatch(r"[1-9][0-9]{0,2}", ptime, re.ASCII) else None
    return Negotiated(codec, event, None if held else (address, media.port), direction, ptime_ms)


def _session_lines(address: str, session_id: int, version: int, timing: Sequence[str]) -> list[str]:
    family = f"IP{ipaddress.ip_address(address).version}"
    return [
        "v=0",
        f"o=- {session_id} {version} IN {family} {address}",
        "s=-",
        f"c=IN {family} {address}",
        *(f"t={value}" for value in timing),
    ]


def _audio_lines(port: int, protocol: str, codecs: Sequence[Codec], event: Codec | None) -> list[str]:
    formats = [*codecs, *([] if event is None else [event])]
    lines = [f"m=audio {port} {protocol} {' '.join(str(codec.payload_type) for codec in formats)}"]
    lines += [f"a=rtpmap:{codec.payload_type} {codec.encoding}/{codec.clock_rate}" for codec in codecs]
    if event is not None:
        lines.append(f"a=rtpmap:{event.payload_type} telephone-event/{event.clock_rate}")
        lines.append(f"a=fmtp:{event.payload_type} {_EVENTS}")
    return [*lines, f"a=ptime:{_PTIME_MS}"]


def _join(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n").encode()


def _printable(text: str) -> str:
    return re.sub(r'[^\x20-\x7e]|["\\]', "?", text)[:40]
