"""Where messages come from and go to (RFC 3261 §18, RFC 3581, RFC 5626)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

from services.gateway.sip.message import Request
from services.gateway.sip.uri import SipUri, UriError

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

    @property
    def ip_version(self) -> int:
        return 6 if ":" in self.address[0] else 4


@dataclass(frozen=True, slots=True)
class Send:
    """Put this message on the wire now. `server_name`: whom a new TLS connection is to prove to be (RFC 5922)."""

    data: bytes
    flow: Flow
    server_name: str = ""


def reply_flow(request: Request, flow: Flow) -> Flow:
    """§18.2.2, RFC 3581 §4: back to where the request came from; without rport, to the port that its Via names.

    On a connection that is closed by now, to the address that the Via names.
    """
    if not flow.reliable and "rport" in request.via.parameters:
        return flow
    return Flow(flow.transport, (flow.address[0], request.via.port or flow.transport.default_port), flow.connection)


def numeric_flow(uri: str) -> Flow | None:
    """Where a URI with an IP address leads (RFC 3263 §4.1, §4.2); None when that is for the DNS to say, or unknown."""
    try:
        parsed = SipUri.parse(uri)
        host = str(ipaddress.ip_address(parsed.parameters.get("maddr") or parsed.host))
        named = (parsed.parameters.get("transport") or "").upper()
        secure = parsed.scheme == "sips"
        transport = Transport.TLS if secure else Transport(named or "UDP")
    except (UriError, ValueError):
        return None
    return Flow(transport, (host, parsed.port or transport.default_port))
