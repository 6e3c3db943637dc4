"""Digest authentication, what client and server share: the arithmetic and the grammar of its headers.

RFC 7616 as SIP uses it (RFC 8760, RFC 3261 §22), with RFC 2617 and, without qop, RFC 2069 for the installed base.
`digestclient.py` answers challenges, `challenge.py` makes them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum

from services.gateway.sip.uri import UriError, parse_parameters, split_outside_quotes

# "Digest realm=…": a scheme is followed by a space and then by no "=", for LWS may stand around one.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]+(?![ \t=])(.+)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class DigestError(ValueError):
    """A credentials or challenge header that cannot be read."""


class Algorithm(StrEnum):
    """As it stands in a header. SHA-512-256 is not offered by any peer seen so far and counts as unknown."""

    MD5 = "MD5"
    MD5_SESS = "MD5-sess"
    SHA256 = "SHA-256"
    SHA256_SESS = "SHA-256-sess"

    @classmethod
    def named(cls, text: str | None) -> Algorithm | None:
        """None for an algorithm that we do not know; absent means MD5 (RFC 7616 §3.3)."""
        lowered = "md5" if text is None else text.lower()
        return next((algorithm for algorithm in cls if algorithm.lower() == lowered), None)

    @property
    def session(self) -> bool:
        return self in (Algorithm.MD5_SESS, Algorithm.SHA256_SESS)

    @property
    def strength(self) -> int:
        """The higher the better."""
        return 1 if self in (Algorithm.MD5, Algorithm.MD5_SESS) else 2

    def hash(self, data: bytes) -> str:
        """H() in lower-case hex."""
        if self.strength == 1:
            return hashlib.md5(data, usedforsecurity=False).hexdigest()
        return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a trunk gave us. Without `realm` they answer every realm. Raises ValueError on control characters."""

    username: str
    password: str = field(repr=False)
    realm: str | None = None

    def __post_init__(self) -> None:
        if not self.username:
            raise ValueError("the username of digest credentials is empty")
        if _CONTROL.search(self.username) or _CONTROL.search(self.realm or ""):
            raise ValueError(f"control character in username or realm of the credentials of {self.username!r}")


@dataclass(frozen=True, slots=True)
class Signature:
    """What a `response` parameter is computed over, besides the password. `nc` is as it stands in the header."""

    algorithm: Algorithm
    username: str
    realm: str
    nonce: str
    uri: str
    qop: str | None = None
    nc: str = ""
    cnonce: str = ""

    def response(self, password: str, method: str, body: bytes = b"") -> str:
        """The request-digest in lower-case hex (RFC 7616 §3.4.1); without qop that of RFC 2069."""
        hashed = self.algorithm.hash
        secret = hashed(_octets(f"{self.username}:{self.realm}:{password}"))
        if self.algorithm.session:
            secret = hashed(_octets(f"{secret}:{self.nonce}:{self.cnonce}"))
        action = f"{method}:{self.uri}"
        if self.qop is not None and self.qop.lower() == "auth-int":
            action += f":{hashed(body)}"
        between = self.nonce if self.qop is None else f"{self.nonce}:{self.nc}:{self.cnonce}:{self.qop}"
        return hashed(_octets(f"{secret}:{between}:{hashed(_octets(action))}"))


def parse_digests(value: str) -> list[dict[str, str]]:
    """The parameters of each Digest challenge or credentials in a header value, names lowered, quotes taken off.

    SIP puts one into a header field (RFC 3261 §7.3.1), but some join them by commas as HTTP does. Other schemes are
    left out. Raises DigestError.
    """
    digests: list[dict[str, str]] = []
    current: list[str] | None = None
    try:
        groups: list[list[str]] = []
        for part in split_outside_quotes(value, ","):
            scheme = _SCHEME.fullmatch(part)
            if scheme is not None:
                current = [scheme[2]]
                if scheme[1].lower() == "digest":
                    groups.append(current)
            elif current is None:
                raise DigestError(f"no authentication scheme in {value!r}")
            else:
                current.append(part)
        for group in groups:
            parameters = parse_parameters(group)
            digests.append({name: text for name, text in parameters.items() if text is not None})
    except UriError as error:
        raise DigestError(str(error)) from error
    return digests


def quoted(text: str) -> str:
    """A quoted-string (RFC 3261 §25.1)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _octets(text: str) -> bytes:
    # Octets of the peer that were no UTF-8 go into the hash as they came.
    return text.encode("utf-8", "surrogateescape")
