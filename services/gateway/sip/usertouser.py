"""User-to-User (RFC 7433): data that one end of a call sends the other, unread by those between."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from services.gateway.sip.uri import UriError, parse_parameters, readable, split_outside_quotes

HEX = "hex"
MAX_OCTETS = 1024
"""In either direction. A value that goes through ISDN may have 128 at most (RFC 7434 §3)."""

_LONGEST_PARAMETER = 64
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


@dataclass(frozen=True, slots=True)
class UserToUser:
    """`data` decoded where the encoding is hex, else as it stood there; parameters empty where they were absent."""

    data: bytes
    content: str = ""
    encoding: str = HEX
    purpose: str = ""

    @property
    def text(self) -> str:
        """The data as text; what is no UTF-8 becomes U+FFFD."""
        return self.data.decode("utf-8", "replace")


def parse_user_to_user(value: str) -> UserToUser | None:
    """One value of the header; None when it is malformed, empty or longer than MAX_OCTETS.

    Without an encoding parameter a token of hex digits is hex, and a quoted string is text: senders of both are about.
    """
    try:
        text, *rest = split_outside_quotes(value, ";")
        parameters = parse_parameters(rest)
    except UriError:
        return None
    quoted = len(text) >= 2 and text.startswith('"') and text.endswith('"')
    if quoted:
        text = re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    elif not _TOKEN.fullmatch(text):
        return None
    encoding, content, purpose = (
        readable(parameters.get(name) or "")[:_LONGEST_PARAMETER] for name in ("encoding", "content", "purpose")
    )
    encoding = encoding.lower()
    if not encoding:
        encoding = "" if quoted and not _HEX.fullmatch(text) else HEX
    if encoding == HEX:
        if not _HEX.fullmatch(text):
            return None
        data = bytes.fromhex(text)
    else:
        data = text.encode("utf-8", "surrogateescape")
    if not 0 < len(data) <= MAX_OCTETS:
        return None
    return UserToUser(data, content, encoding, purpose)


def user_to_user(data: bytes, content: str = "", purpose: str = "") -> str:
    """The header's value, in hex. Raises ValueError when there is nothing or too much to send, or a bad parameter."""
    if not 0 < len(data) <= MAX_OCTETS:
        raise ValueError(f"User-to-User takes 1 to {MAX_OCTETS} octets, not {len(data)}")
    value = f"{data.hex().upper()};encoding={HEX}"
    for name, parameter in (("purpose", purpose), ("content", content)):
        if parameter and not _TOKEN.fullmatch(parameter):
            raise ValueError(f"{name} must be a token, {parameter!r} is none")
        value += f";{name}={parameter}" if parameter else ""
    return value


def in_refer_to(value: str) -> str:
    """The header as it stands after the "?" of a Refer-To URI: the one who is called gets it (RFC 7433 §4)."""
    return f"User-to-User={quote(value, safe='')}"
