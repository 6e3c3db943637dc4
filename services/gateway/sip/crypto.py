"""SRTP keys in SDP: the a=crypto line (RFC 4568 §9.1), with the suites of RFC 4568 §6.2 and RFC 7714 §14.2.

Keys travel in the clear within the SDP: the signalling that carries them should be TLS.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Suite:
    """A crypto-suite by its registered name."""

    name: str
    master_key_bytes: int
    master_salt_bytes: int

    @property
    def keying_bytes(self) -> int:
        """What follows `inline:`, decoded: the master key, then the master salt."""
        return self.master_key_bytes + self.master_salt_bytes


# The first is the one that every device knows. RFC 6188's AES_256_CM suites are missing: pylibsrtp has no profile
# for them.
_SUITES = (
    Suite("AES_CM_128_HMAC_SHA1_80", 16, 14),
    Suite("AES_CM_128_HMAC_SHA1_32", 16, 14),
    Suite("AEAD_AES_256_GCM", 32, 12),
    Suite("AEAD_AES_128_GCM", 16, 12),
)
SUITES = {suite.name: suite for suite in _SUITES}
OFFERED = (SUITES["AES_CM_128_HMAC_SHA1_80"], SUITES["AEAD_AES_256_GCM"])
"""What our offers name, the one preferred first. Few: an INVITE should fit one datagram (RFC 3261 §18.1.1)."""


@dataclass(frozen=True, slots=True)
class SrtpKey:
    """Master key and master salt of one direction, in this order."""

    suite: Suite
    keying: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """What protects a stream; both keys are of one suite."""

    send: SrtpKey
    receive: SrtpKey


@dataclass(frozen=True, slots=True)
class Crypto:
    """One a=crypto line. The tag tells the lines of an offer apart, and the answer which of them it takes."""

    tag: int
    key: SrtpKey

    def __str__(self) -> str:
        """The value of the attribute."""
        return f"{self.tag} {self.key.suite.name} inline:{base64.b64encode(self.key.keying).decode()}"


_LINE = re.compile(r"([0-9]{1,9})\s+(\S+)\s+inline:([^|;\s]+)(?:\|([^|;:\s]+))?((?:\s+\S+)*)", re.ASCII | re.IGNORECASE)
# Parameters that change nothing for us: the window is a hint, the others concern a FEC stream that we don't have.
_HARMLESS = re.compile(r"(?:WSH=|FEC_ORDER=|FEC_KEY=|KDR=0$|-)", re.ASCII | re.IGNORECASE)


def parse(value: str) -> Crypto | None:
    """The value of an a=crypto line; None for one that we can't use, so that another line is chosen (§5.1.2).

    A key's lifetime is accepted and not enforced: 2^31 packets are more than a year of calls. Not usable are: an
    unknown suite, a key of the wrong length, MKIs and with them several keys (§6.1), and session parameters that take
    encryption or authentication away or that we don't know (§6.3). A leading "-" marks those that may be ignored.
    """
    match = _LINE.fullmatch(value.strip())
    if match is None or any(_HARMLESS.match(parameter) is None for parameter in match[5].split()):
        return None
    suite = SUITES.get(match[2].upper())
    encoded = match[3].rstrip("=")
    try:
        # Padding is forgotten by some.
        keying = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    if suite is None or len(keying) != suite.keying_bytes:
        return None
    return Crypto(int(match[1]), SrtpKey(suite, keying))


def usable(values: Iterable[str]) -> list[Crypto]:
    """The lines that we can use, in order: the first is the one that the offerer prefers (§5.1.1)."""
    return [line for line in map(parse, values) if line is not None]
