"""Header fields (RFC 3261 §7.3, §20): ordered, case-insensitive, compact forms; and the typed Via and CSeq."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from services.gateway.sip.uri import UriError, format_host_port, parse_host_port, parse_parameters, split_outside_quotes

# RFC 3261 §7.3.3, RFC 3515 (r), RFC 3892 (b), RFC 4028 (x), RFC 6665 (o, u).
_COMPACT = {
    "i": "Call-ID",
    "m": "Contact",
    "e": "Content-Encoding",
    "l": "Content-Length",
    "c": "Content-Type",
    "f": "From",
    "s": "Subject",
    "k": "Supported",
    "t": "To",
    "v": "Via",
    "o": "Event",
    "u": "Allow-Events",
    "r": "Refer-To",
    "b": "Referred-By",
    "x": "Session-Expires",
}
_MAGIC_COOKIE = "z9hG4bK"
_VIA = re.compile(r"SIP\s*/\s*2\.0\s*/\s*([A-Za-z0-9-]+)\s+(.+)", re.IGNORECASE | re.DOTALL)
_CSEQ = re.compile(r"([0-9]{1,20})\s+(\S+)")


class HeaderError(ValueError):
    """A header value that cannot be read."""


class Headers:
    """Ordered header fields. Names match without case, and in compact form too ("v" is "Via")."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: list[tuple[str, str, str]] = []
        for name, value in fields:
            self.add(name, value)

    def add(self, name: str, value: str) -> None:
        """Appends a field; ValueError when `value` holds a line break, which would forge further headers."""
        if "\r" in value or "\n" in value:
            raise ValueError(f"line break in the value of {name}: {value!r}")
        name = _COMPACT.get(name.lower(), name)
        self._fields.append((name.lower(), name, value))

    def set_first(self, name: str, values: Iterable[str]) -> None:
        """Puts `values` at the head, one field each, in place of all fields of that name."""
        key = _key(name)
        rest = [entry for entry in self._fields if entry[0] != key]
        self._fields = [(key, name, value) for value in values] + rest

    def get(self, name: str) -> str | None:
        """Value of the first field of that name."""
        key = _key(name)
        for lowered, _, value in self._fields:
            if lowered == key:
                return value
        return None

    def all(self, name: str) -> list[str]:
        """The values of all fields of that name, as they came."""
        key = _key(name)
        return [value for lowered, _, value in self._fields if lowered == key]

    def values(self, name: str) -> list[str]:
        """The comma-separated values of all fields of that name in order (RFC 3261 §7.3.1)."""
        try:
            return [part for value in self.all(name) for part in split_outside_quotes(value, ",") if part]
        except UriError as error:
            raise HeaderError(f"bad {name}: {error}") from error

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name, value) for _, name, value in self._fields)

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"


@lru_cache(maxsize=128)
def _key(name: str) -> str:
    lowered = name.lower()
    return _COMPACT[lowered].lower() if lowered in _COMPACT else lowered


@dataclass(frozen=True, slots=True)
class Via:
    """`SIP/2.0/UDP host:port;branch=…;rport` (RFC 3261 §20.42, RFC 3581)."""

    host: str
    port: int | None = None
    transport: str = "UDP"
    parameters: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Via:
        """Raises HeaderError."""
        try:
            sent, *parameter_texts = split_outside_quotes(text, ";")
            match = _VIA.fullmatch(sent)
            if match is None:
                raise HeaderError(f"bad Via {text!r}")
            host, port = parse_host_port(match[2].strip())
            return cls(host, port, match[1].upper(), parse_parameters(parameter_texts))
        except UriError as error:
            raise HeaderError(f"bad Via: {error}") from error

    @property
    def branch(self) -> str | None:
        """The branch when it identifies the transaction, else None: RFC 2543 element or nothing but the cookie."""
        branch = self.parameters.get("branch")
        if branch is None or not branch.startswith(_MAGIC_COOKIE) or branch == _MAGIC_COOKIE:
            return None
        return branch

    def received_from(self, host: str, port: int) -> Via:
        """The same Via as its receiver marks it (RFC 3261 §18.2.1, RFC 3581 §4)."""
        parameters = dict(self.parameters)
        if "rport" in parameters:
            parameters["rport"] = str(port)
        if "rport" in parameters or host != self.host:
            parameters["received"] = host
        else:
            parameters.pop("received", None)
        return replace(self, parameters=parameters)

    def __str__(self) -> str:
        parameters = "".join(
            f";{name}" if value is None else f";{name}={value}" for name, value in self.parameters.items()
        )
        return f"SIP/2.0/{self.transport} {format_host_port(self.host, self.port)}{parameters}"


@dataclass(frozen=True, slots=True)
class CSeq:
    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """Raises HeaderError; the number must be below 2**31 (RFC 3261 §8.1.1.5)."""
        match = _CSEQ.fullmatch(text.strip())
        if match is None or int(match[1]) >= 2**31:
            raise HeaderError(f"bad CSeq {text!r}")
        return cls(int(match[1]), match[2])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"
