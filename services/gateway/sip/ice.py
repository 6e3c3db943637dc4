"""ICE in SDP (RFC 8839), as far as an ICE lite agent needs it (RFC 8445 §2.5)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from services.gateway.sip.sdp import Media

_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}", re.ASCII)
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}", re.ASCII)
# 126 is for host candidates, 65535 for the one address that there is (RFC 8445 §5.1.2.1).
_PRIORITY = 126 << 24 | 65535 << 8
_RTP, _RTCP = 1, 2  # component ids (RFC 8445 §13)


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """a=ice-ufrag and a=ice-pwd of one side (RFC 8839 §5.4)."""

    ufrag: str
    password: str = field(repr=False)

    @classmethod
    def fresh(cls, keys: Callable[[int], bytes]) -> IceCredentials:
        """`keys` gives so many secret random bytes: 48 bits and 144, where RFC 8445 §5.3 wants 24 and 128."""
        return cls(base64.b64encode(keys(6)).decode(), base64.b64encode(keys(18)).decode())


@dataclass(frozen=True, slots=True)
class IceParameters:
    """Both sides' credentials, once SDP has settled them. Others than before: the peer restarts ICE (RFC 8445 §9)."""

    local: IceCredentials
    remote: IceCredentials


def credentials(media: Media) -> IceCredentials | None:
    """A side's, None where it has no ICE."""
    ufrag, password = media.attribute("ice-ufrag") or "", media.attribute("ice-pwd") or ""
    if _UFRAG.fullmatch(ufrag) and _PASSWORD.fullmatch(password):
        return IceCredentials(ufrag, password)
    return None


def answered(media: Media, before: IceParameters | None, keys: Callable[[int], bytes]) -> IceParameters | None:
    """For our answer to an offer with ICE; our credentials change with the peer's (RFC 8839 §4.4.1.1.1)."""
    remote = credentials(media)
    # Of two lite agents neither checks, and the addresses in the SDP are all they have: as without ICE.
    if remote is None or media.attribute("ice-lite") is not None:
        return None
    if before is not None and before.remote == remote:
        return before
    return IceParameters(IceCredentials.fresh(keys), remote)


def attributes(local: IceCredentials, address: str, port: int, rtcp_mux: bool) -> tuple[tuple[str, str], ...]:
    """Our lines at the media: host candidates, where our RTP is received and, without `rtcp_mux`, our RTCP.

    A peer that checks RTCP too takes a stream without a candidate for it as one without ICE. a=ice-lite goes to the
    session.
    """
    components = ((_RTP, port),) if rtcp_mux else ((_RTP, port), (_RTCP, port + 1))
    return (
        ("ice-ufrag", local.ufrag),
        ("ice-pwd", local.password),
        ("ice-options", "ice2"),
        *(("candidate", f"1 {one} UDP {_PRIORITY + 256 - one} {address} {at} typ host") for one, at in components),
    )
