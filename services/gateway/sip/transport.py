"""Where datagrams go (RFC 3261 §18, RFC 3581)."""

from __future__ import annotations

from dataclasses import dataclass

from services.gateway.sip.message import Request

Address = tuple[str, int]
"""IP address (no brackets for IPv6) and UDP port."""


@dataclass(frozen=True, slots=True)
class Send:
    """Put this datagram on the wire now."""

    data: bytes
    destination: Address


def reply_address(request: Request, source: Address) -> Address:
    """§18.2.2, RFC 3581 §4: to where the request came from; without rport, to the port that its Via names."""
    return source if "rport" in request.via.parameters else (source[0], request.via.port or 5060)
