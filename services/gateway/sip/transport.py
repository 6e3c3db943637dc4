"""Where messages come from and go to (RFC 3261 §18, RFC 3581, RFC 5626)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.gateway.sip.message import Request

Address = tuple[str, int]
"""IP address (no brackets for IPv6) and port."""


class Transport(StrEnum):
    """As it stands in a Via."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"

    @property
    def reliable(self) -> bool:
        """Whether nothing needs to be sent twice (§17: timers A, E and G are for UDP)."""
        return self is not Transport.UDP

    @property
    def default_port(self) -> int:
        return 5061 if self is Transport.TLS else 5060


@dataclass(frozen=True, slots=True)
class Flow:
    """One way to a peer: its transport, its address, and the connection where it is a certain one.

    A message that came on a connection has that connection's number, and what is sent to such a flow goes back on it
    (§18.2.2). Number 0, and a connection that is closed by now, mean: to `address`, on the connection that is open to
    it or on a new one. UDP knows no connections.
    """

    transport: Transport
    address: Address
    connection: int = 0

    @property
    def reliable(self) -> bool:
        return self.transport.reliable


@dataclass(frozen=True, slots=True)
class Send:
    """Put this message on the wire now."""

    data: bytes
    destination: Address


def reply_address(request: Request, source: Address) -> Address:
    """§18.2.2, RFC 3581 §4: to where the request came from; without rport, to the port that its Via names."""
    return source if "rport" in request.via.parameters else (source[0], request.via.port or 5060)
