"""Header fields (RFC 3261 §7.3, §20): ordered, case-insensitive, compact forms; and the typed Via and CSeq."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from services.gateway.sip.uri import UriError, format_host_port, parse_host_port, parse_parameters, split_outside_quotes

# IANA, "SIP Header Fields": RFC 3261 §7.3.3, RFC 3515 (r), 3841 (a, d, j), 3892 (b), 4028 (x), 6665 (o, u),
# 8224 (n, y).
_COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
_MAGIC_COOKIE = "z9hG4bK"
_NAME = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_VIA = re.compile(r"(SIP)\s*/\s*([0-9.]+)\s*/\s*([A-Za-z0-9-]+)\s+(.+)", re.IGNORECASE | re.DOTALL)
_CSEQ = re.compile(r"([0-9]{1,20})\s+(\S+)")


class HeaderError(ValueError):
    """A header value that cannot be read."""


class Headers:
    """Ordered header fields. Names match without case, and in compact form too ("v" is "Via")."""

    __slots__ = ("_fields", "_first", "_repeated")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: list[tuple[str, str, str]] = []
        # By lowered name, built by the first look-up and given up by every change: the value of the first field, and
        # all values where there are more. A list a name would be most of what the garbage collector has to walk, for
        # transactions keep their messages for 32 s.
        self._first: dict[str, str] | None = None
        self._repeated: dict[str, list[str]] | None = None
        for name, value in fields:
            self.add(name, value)

    def add(self, name: str, value: str) -> None:
        """Appends a field; ValueError when `value` holds a line break, which would forge further headers."""
        if "\r" in value or "\n" in value:
            raise ValueError(f"line break in the value of {name}: {value!r}")
        key, name = _names(name)
        self._fields.append((key, name, value))
        self._first = None

    def read(self, lines: Iterable[str]) -> bool:
        """Appends the fields in `lines` (unfolded, without line breaks); False when a line is no header field."""
        append = self._fields.append
        good = True
        for line in lines:
            name, colon, value = line.partition(":")
            names = _checked_names(name)
            if names is not None and colon:
                append((*names, value.strip(" \t")))
            else:
                good = False
        self._first = None
        return good

    def set_first(self, name: str, values: Iterable[str]) -> None:
        """Puts `values` at the head, one field each, in place of all fields of that name."""
        key = _names(name)[0]
        rest = [entry for entry in self._fields if entry[0] != key]
        self._fields = [(key, name, value) for value in values] + rest
        self._first = None

    def get(self, name: str) -> str | None:
        """Value of the first field of that name."""
        return self._firsts().get(_names(name)[0])

    def all(self, name: str) -> list[str]:
        """The values of all fields of that name, as they came. Not to be changed."""
        key = _names(name)[0]
        first = self._firsts().get(key)
        if first is None:
            return []
        return (self._repeated or {}).get(key) or [first]

    def _firsts(self) -> dict[str, str]:
        if self._first is None:
            first: dict[str, str] = {}
            repeated: dict[str, list[str]] = {}
            for key, _, value in self._fields:
                if key not in first:
                    first[key] = value
                elif key in repeated:
                    repeated[key].append(value)
                else:
                    repeated[key] = [first[key], value]
            self._first, self._repeated = first, repeated or None
        return self._first

    def repeated(self, names: Iterable[str]) -> str | None:
        """The first of `names` that more than one field has."""
        self._firsts()
        repeated = self._repeated
        return next((name for name in names if _names(name)[0] in repeated), None) if repeated else None

    def values(self, name: str) -> list[str]:
        """The comma-separated values of all fields of that name in order (RFC 3261 §7.3.1); raises HeaderError."""
        try:
            return [part for value in self.all(name) for part in split_outside_quotes(value, ",") if part]
        except UriError as error:
            raise HeaderError(f"bad {name}: {error}") from error

    def tokens(self, name: str) -> list[str]:
        """The comma-separated tokens of all fields of that name, lowered: option tags, methods, event packages.

        Never raises: what is no token comes back as it is, and matches nothing.
        """
        return [token for value in self.all(name) for part in value.split(",") if (token := part.strip().lower())]

    def without(self, name: str) -> Iterator[tuple[str, str]]:
        """Names and values of all other fields, in order."""
        skipped = _names(name)[0]
        return ((name, value) for key, name, value in self._fields if key != skipped)

    def __contains__(self, name: str) -> bool:
        return _names(name)[0] in self._firsts()

    def __len__(self) -> int:
        return len(self._fields)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name, value) for _, name, value in self._fields)

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"


@lru_cache(maxsize=512)
def _names(name: str) -> tuple[str, str]:
    """What to match by, and the name itself, long when it came compact."""
    name = _COMPACT.get(name.lower(), name)
    return name.lower(), name


@lru_cache(maxsize=512)
def _checked_names(name: str) -> tuple[str, str] | None:
    name = name.strip(" \t")
    return _names(name) if _NAME.fullmatch(name) else None


@dataclass(frozen=True, slots=True)
class Via:
    """`SIP/2.0/UDP host:port;branch=…;rport` (RFC 3261 §20.42, RFC 3581).

    Parameter values stand as they came, quotes included: a Via is echoed, not understood.
    """

    host: str
    port: int | None = None
    transport: str = "UDP"
    parameters: dict[str, str | None] = field(default_factory=dict)
    protocol: str = "SIP/2.0"

    @classmethod
    def parse(cls, text: str) -> Via:
        """Raises HeaderError."""
        try:
            sent, *parameter_texts = split_outside_quotes(text, ";")
            match = _VIA.fullmatch(sent)
            if match is None:
                raise HeaderError(f"bad Via {text!r}")
            name, version, transport, sent_by = match.groups()
            host, port = parse_host_port(sent_by.strip())
            parameters = parse_parameters(parameter_texts, quoted=True)
            return cls(host, port, transport.upper(), parameters, f"{name.upper()}/{version}")
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
            [f";{name}" if value is None else f";{name}={value}" for name, value in self.parameters.items()]
        )
        return f"{self.protocol}/{self.transport} {format_host_port(self.host, self.port)}{parameters}"


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
