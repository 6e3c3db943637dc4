"""HEPv3, in which Homer takes captured messages (HEP/EEP protocol, revision 36, "HEP version 3")."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from struct import pack

from services.gateway.sip.transport import Address, Flow, Transport

CAPTURE_AGENT = 2001
"""What Homer shows as the agent's number where the settings name none."""
# The address families as Linux numbers them, whatever this system does.
_IPV4, _IPV6 = 2, 10
_SIP = 1
_LARGEST = 65535 - 20 - 8
"""A UDP datagram's data over IPv4."""
_IP_PROTOCOL = {Transport.UDP: 17, Transport.TCP: 6, Transport.TLS: 6}


def hep3(
    unix_us: int,
    sent: bool,
    local: Address,
    flow: Flow,
    data: bytes,
    *,
    agent_id: int = CAPTURE_AGENT,
    correlation_id: bytes = b"",
    key: bytes = b"",
) -> bytes:
    """One SIP message as a HEP packet. Homer joins packets with the same `correlation_id` to one call.

    `key` is the password that some Homers ask for. A message that is too long for a datagram is cut at its end. Raises
    ValueError when the addresses are none.
    """
    source, destination = (local, flow.address) if sent else (flow.address, local)
    ip_source, ip_destination = _ip(source[0]), _ip(destination[0])
    if len(ip_source) != len(ip_destination):
        # Bound to [::], a socket of both versions: what came over IPv4 has a mapped address on one side.
        ip_source, ip_destination = _mapped(ip_source), _mapped(ip_destination)
    version_6 = len(ip_source) == 16
    seconds, microseconds = divmod(unix_us, 1_000_000)
    head = b"".join(
        (
            _chunk(0x0001, pack("!B", _IPV6 if version_6 else _IPV4)),
            _chunk(0x0002, pack("!B", _IP_PROTOCOL[flow.transport])),
            _chunk(0x0005 if version_6 else 0x0003, ip_source),
            _chunk(0x0006 if version_6 else 0x0004, ip_destination),
            _chunk(0x0007, pack("!H", source[1])),
            _chunk(0x0008, pack("!H", destination[1])),
            _chunk(0x0009, pack("!I", seconds & 0xFFFFFFFF)),
            _chunk(0x000A, pack("!I", microseconds)),
            _chunk(0x000B, pack("!B", _SIP)),
            _chunk(0x000C, pack("!I", agent_id)),
            _chunk(0x000E, key) if key else b"",
            _chunk(0x0011, correlation_id) if correlation_id else b"",
        )
    )
    payload = _chunk(0x000F, data[: _LARGEST - 6 - len(head) - 6])
    return b"HEP3" + pack("!H", 6 + len(head) + len(payload)) + head + payload


class HepExporter:
    """Sends HEP packets to one collector over UDP and forgets them. Never blocks: what the socket refuses is lost."""

    def __init__(self, collector: Address, *, agent_id: int = CAPTURE_AGENT, key: str = "") -> None:
        """`collector` is an IP address (no name) and a port. Raises OSError or ValueError when it can't be sent to."""
        family = socket.AF_INET6 if ip_address(collector[0]).version == 6 else socket.AF_INET
        self._agent_id = agent_id
        self._key = key.encode()
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.connect(collector)
        except OSError:
            self._socket.close()
            raise
        self.sent = 0
        self.dropped = 0

    def export(
        self, unix_us: int, sent: bool, local: Address, flow: Flow, data: bytes, correlation_id: bytes = b""
    ) -> None:
        """One message, with its secrets starred out already (`capture.mask`)."""
        try:
            packet = hep3(
                unix_us, sent, local, flow, data, agent_id=self._agent_id, correlation_id=correlation_id, key=self._key
            )
            self._socket.send(packet)
        except (OSError, ValueError):
            self.dropped += 1
        else:
            self.sent += 1

    def close(self) -> None:
        self._socket.close()


def _chunk(kind: int, value: bytes) -> bytes:
    """Vendor 0 (generic), type, length with this head, value."""
    return pack("!HHH", 0, kind, 6 + len(value)) + value


def _ip(host: str) -> bytes:
    address = ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bytes((mapped or address).packed)


def _mapped(packed: bytes) -> bytes:
    return packed if len(packed) == 16 else b"\0" * 10 + b"\xff\xff" + packed
