"""SIP messages of RFC 3261 §7, as much as a telephone needs: parse, read headers, build.

Forgiving on purpose: what the other side sends is recorded by the caller, not judged.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_COMPACT = {"v": "via", "f": "from", "t": "to", "m": "contact", "i": "call-id", "l": "content-length",
            "c": "content-type", "r": "refer-to", "b": "referred-by", "k": "supported", "o": "event"}  # fmt: skip
_URI = re.compile(r"<([^>]*)>|(sips?:[^\s;,>]+)", re.IGNORECASE)
_HOST = re.compile(r"sips?:(?:[^@>]*@)?(\[[^\]]+\]|[^:;?>]+)(?::(\d+))?", re.IGNORECASE)

Header = tuple[str, str]


class MessageError(ValueError):
    """A datagram that is not a SIP message."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request (`method`, `uri`) or a response (`status`, `reason`; method is "" then) with headers in order."""

    method: str = ""
    uri: str = ""
    status: int = 0
    reason: str = ""
    headers: Sequence[Header] = field(default_factory=tuple)
    body: str = ""

    def all(self, name: str) -> list[str]:
        """Values of every header of that name (compact forms count), comma lists left whole."""
        return [value for key, value in self.headers if key.lower() == name or _COMPACT.get(key.lower()) == name]

    def get(self, name: str, default: str = "") -> str:
        """First value of a header by its lower-case long name."""
        return next(iter(self.all(name)), default)

    @property
    def cseq(self) -> tuple[int, str]:
        """CSeq number and method; (0, "") when absent or not to be read."""
        number, _, method = self.get("cseq").partition(" ")
        return (int(number), method.strip()) if number.isdigit() else (0, "")

    @property
    def branch(self) -> str:
        """The transaction's branch in the topmost Via."""
        return parameter(self.get("via").split(",")[0], "branch")

    def encode(self) -> bytes:
        """The message as it goes on the wire, Content-Length added."""
        start = f"{self.method} {self.uri} SIP/2.0" if self.method else f"SIP/2.0 {self.status} {self.reason}"
        body = self.body.encode()
        lines = [start, *(f"{key}: {value}" for key, value in self.headers), f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body


def parse(data: bytes) -> Message:
    """Read one datagram. Raises MessageError."""
    head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
    first, *rest = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")  # RFC 3261 §7.3.1: folded lines
    headers = tuple((key.strip(), value.strip()) for key, colon, value in (one.partition(":") for one in rest) if colon)
    words = first.split(" ", 2)
    if len(words) >= 2 and words[0] == "SIP/2.0" and words[1].isdigit():
        return Message(status=int(words[1]), reason=" ".join(words[2:]), headers=headers, body=body)
    if len(words) == 3 and words[2] == "SIP/2.0":
        return Message(method=words[0], uri=words[1], headers=headers, body=body)
    raise MessageError(f"not SIP: {first[:60]!r}")


def parameter(value: str, name: str) -> str:
    """A header parameter (`;name=value`), outside the angle brackets; "" when absent."""
    found = re.search(rf";\s*{name}\s*=\s*([^;,\s]+)", re.sub(r"<[^>]*>", "", value), re.IGNORECASE)
    return found.group(1) if found else ""


def uri(value: str) -> str:
    """The URI in a Contact, Refer-To, Route or the like, without brackets and header parameters."""
    found = _URI.search(value)
    return (found.group(1) or found.group(2)) if found else value.strip()


def host_port(sip_uri: str) -> tuple[str, int]:
    """Host and port of a SIP URI, 5060 where none is given. Raises MessageError."""
    found = _HOST.match(sip_uri)
    if not found:
        raise MessageError(f"not a SIP URI: {sip_uri!r}, expected sip:user@host:port")
    return found.group(1).strip("[]"), int(found.group(2) or 5060)
