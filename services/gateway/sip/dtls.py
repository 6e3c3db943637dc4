"""DTLS-SRTP in SDP (RFC 5763, RFC 8122, RFC 8842): whose certificate, and who opens the handshake."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# RFC 8122 §5: MD2 and MD5 must not be used.
DIGEST_BYTES = {"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}
_MOST_FINGERPRINTS = 8
_LINE = re.compile(r"(\S+)\s+([0-9A-F]{2}(?::[0-9A-F]{2}){0,63})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """An a=fingerprint line: the hash of a certificate in DER."""

    algorithm: str
    """Lower case, as RFC 8122 §5 spells it: "sha-256"."""
    digest: bytes

    def __str__(self) -> str:
        """The value of the attribute."""
        return f"{self.algorithm} {self.digest.hex(':').upper()}"


@dataclass(frozen=True, slots=True)
class DtlsParameters:
    """What SDP settled of a DTLS association.

    The same parameters mean the same association; others a new one (RFC 8842 §4: other fingerprints, other roles).
    """

    fingerprints: tuple[Fingerprint, ...]
    """The peer's: its certificate must match one (RFC 8122 §5)."""
    active: bool
    """We open the handshake (a=setup:active, RFC 4145); else the peer does."""


def fingerprints(values: Iterable[str]) -> tuple[Fingerprint, ...]:
    """Of a=fingerprint lines, those with a hash that we know."""
    found = (_parse(value) for value in values)
    return tuple(dict.fromkeys(one for one in found if one is not None))[:_MOST_FINGERPRINTS]


def _parse(value: str) -> Fingerprint | None:
    match = _LINE.fullmatch(value)
    if match is None:
        return None
    algorithm, digest = match[1].lower(), bytes.fromhex(match[2].replace(":", ""))
    return Fingerprint(algorithm, digest) if DIGEST_BYTES.get(algorithm) == len(digest) else None


def answered(
    setup: str | None, theirs: tuple[Fingerprint, ...], ice: bool, before: DtlsParameters | None
) -> DtlsParameters:
    """Our role in the answer to an offer with this a=setup.

    What it leaves open (actpass): the role that we have, while the association stays (RFC 8842 §5.3). Else active with
    ICE, as RFC 5763 §5 asks, for the peer's checks show us the way; and passive without, for the address in the SDP of
    a peer behind NAT leads nowhere, while its own handshake reaches us and shows where it is.
    """
    setup = (setup or "").lower()
    if setup == "actpass":
        kept = before is not None and before.fingerprints == theirs
        return DtlsParameters(theirs, before.active if before is not None and kept else ice)
    # An offer without a=setup is active (RFC 4145 §4.1), and holdconn must not be used (RFC 8842 §4).
    return DtlsParameters(theirs, setup == "passive")


def settled(ours: str | None, setup: str | None, theirs: tuple[Fingerprint, ...]) -> DtlsParameters:
    """Our role by our offer's a=setup and the one of the answer, which is passive without one (RFC 4145 §4.1)."""
    return DtlsParameters(theirs, ours == "active" or (ours != "passive" and (setup or "").lower() != "active"))


def attributes(fingerprint: Fingerprint, setup: str) -> tuple[tuple[str, str], ...]:
    """Our lines; `setup` is actpass, active or passive."""
    return (("setup", setup), ("fingerprint", str(fingerprint)))
