"""Session descriptions (RFC 8866): reading any, writing ours.

Reading is tolerant: unknown lines are skipped, missing o=, s= and t= are forgiven. What it all means for a call is the
matter of `negotiation`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from enum import Enum

_MAX_BYTES = 65535
_MOST_MEDIA = 64


class SdpError(Exception):
    """The body is no SDP. Answer `status`, with a Warning header `warning` (RFC 3261 §20.43) where there is one."""

    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.warning: str | None = None


class SdpNotAcceptable(SdpError):
    """Good SDP, and nothing in it that we can or may do."""

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
    """A format of an RTP stream."""

    payload_type: int
    encoding: str
    """Upper case, e.g. "PCMU", "TELEPHONE-EVENT"."""
    clock_rate: int
    """Of RTP timestamps in Hz: 8000 for G722 too, which samples at 16000 (RFC 3551 §4.5.2)."""
    fmtp: str | None = None
    channels: int = 1

    @property
    def is_event(self) -> bool:
        """RFC 4733: keys."""
        return self.encoding == "TELEPHONE-EVENT"


COMFORT_NOISE = Codec(13, "CN", 8000)  # RFC 3389 §4
_STATIC = {0: Codec(0, "PCMU", 8000), 8: Codec(8, "PCMA", 8000), 9: Codec(9, "G722", 8000), 13: COMFORT_NOISE}
"""RFC 3551 table 4: these need no rtpmap."""
STATIC = {codec.encoding: codec for codec in _STATIC.values()}
_LARGEST_TYPE = 127  # seven bits (RFC 3550 §5.1)
UNSPECIFIED = ("0.0.0.0", "::")
_OF_ALL_MEDIA = ("fingerprint", "setup", "ice-ufrag", "ice-pwd", "ice-lite")
"""What may stand at the session for all media (RFC 8122 §5, RFC 4145 §4, RFC 8839 §5)."""


@dataclass(frozen=True, slots=True)
class Media:
    """One m= section. `address` is its own or the session's c= address, None when there is none."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    address: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    """(name, value) in order, without the direction in ours; the value of a flag is empty. What the session says for
    all media (fingerprint, setup, ICE) follows where the media has none of its own."""
    direction: Direction = Direction.SENDRECV

    def attribute(self, name: str) -> str | None:
        return next(iter(self.values(name)), None)

    def values(self, name: str) -> list[str]:
        """Of every line of this attribute."""
        return [value for key, value in self.attributes if key == name]

    @property
    def codecs(self) -> list[Codec]:
        """The formats that can be named, in the order of preference of the m= line; each payload type once."""
        named = _STATIC | {codec.payload_type: codec for codec in self._rtpmaps()}
        types = (int(text) for text in self.formats if text.isascii() and text.isdigit() and len(text) <= 3)
        return [named[one] for one in dict.fromkeys(types) if one in named and one <= _LARGEST_TYPE]

    def _rtpmaps(self) -> list[Codec]:
        fmtp = {match[1]: match[2] for value in self.values("fmtp") if (match := _FMTP.fullmatch(value))}
        return [
            Codec(int(match[1]), match[2].upper(), int(match[3]), fmtp.get(match[1]), int(match[4] or 1))
            for value in self.values("rtpmap")
            if (match := _RTPMAP.fullmatch(value))
        ]


_RTPMAP = re.compile(r"([0-9]{1,3})\s+([^\s/]+)/([0-9]{1,6})(?:/([0-9]))?\s*", re.ASCII)
_FMTP = re.compile(r"([0-9]{1,3})\s+(.+)", re.ASCII)
_MEDIA = re.compile(r"(\S+)\s+([0-9]{1,5})(?:/[0-9]+)?\s+(\S+)\s*(.*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    timing: tuple[str, ...] = ("0 0",)
    """Values of the t= lines; an answer repeats them (RFC 3264 §6)."""
    media: tuple[Media, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    """The session's own, as those of media."""

    def values(self, name: str) -> list[str]:
        """Of every line of this attribute at the session."""
        return [value for key, value in self.attributes if key == name]


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
                match = _MEDIA.fullmatch(value)
                if match is None or int(match[2]) > 65535:
                    raise SdpError(f"Bad m= line in SDP: {value[:60]!r}")
                sections.append(_Section(media=match))
                if len(sections) > _MOST_MEDIA + 1:
                    raise SdpError(f"More than {_MOST_MEDIA} m= lines in SDP")
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
    media = tuple(_media(section, session) for section in rest)
    return SessionDescription(tuple(timing) or ("0 0",), media, tuple(session.attributes))


def _media(section: _Section, session: _Section) -> Media:
    assert section.media is not None
    kind, port, protocol, formats = section.media.groups()
    own = {name for name, _ in section.attributes}
    inherited = [one for one in session.attributes if one[0] in _OF_ALL_MEDIA and one[0] not in own]
    direction = _direction(section.attributes) or _direction(session.attributes) or Direction.SENDRECV
    return Media(
        kind.lower(),
        int(port),
        protocol,
        tuple(formats.split()),
        section.address or session.address,
        (*section.attributes, *inherited),
        direction,
    )


def _direction(attributes: list[tuple[str, str]]) -> Direction | None:
    names = {direction.value: direction for direction in Direction}
    return next((names[name] for name, _ in attributes if name in names), None)


def compose(description: SessionDescription, address: str, session_id: int, version: int) -> bytes:
    """Our description as a body. `address` is for all media; a refused one (port 0) shows its m= line and a=mid."""
    family = f"IP{ipaddress.ip_address(address).version}"
    lines = [
        "v=0",
        f"o=- {session_id} {version} IN {family} {address}",
        "s=-",
        f"c=IN {family} {address}",
        *(f"t={value}" for value in description.timing),
        *map(_attribute, description.attributes),
    ]
    for media in description.media:
        # RFC 8866 §9 wants a format even where nothing is offered.
        lines.append(f"m={media.kind} {media.port} {media.protocol} {' '.join(media.formats) or '0'}")
        lines += [_attribute(one) for one in media.attributes if media.port or one[0] == "mid"]
        if media.port:
            lines.append(f"a={media.direction.value}")
    return ("\r\n".join(lines) + "\r\n").encode()


def _attribute(one: tuple[str, str]) -> str:
    name, value = one
    return f"a={name}:{value}" if value else f"a={name}"
