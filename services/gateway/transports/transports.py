"""All ways of SIP messages in and out, as the core sees them: one thing that sends to flows."""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from services.gateway.sip.transport import Address, Flow, Transport
from services.gateway.sip.uri import format_host_port
from services.gateway.transports.limits import StreamLimits
from services.gateway.transports.sockets import address_of, ip_version, listening_socket
from services.gateway.transports.streams import Streams
from services.gateway.transports.tls import TlsContexts, TlsFiles, TlsFilesUnusable
from services.gateway.udp import UdpPort

RELOAD_S = 5.0
"""How often the certificates' files are looked at."""
# A proxy that comes back brings its calls in one burst.
_UDP_BUFFER_BYTES = 4 << 20
# For a port that is free for UDP and TCP.
_TRIES = 20

OnMessage = Callable[[bytes, Flow], None]
"""A whole message (UDP: a datagram) and where it came from: an answer goes back to that very flow."""
OnUnsent = Callable[[Flow], None]
"""Something that was given to `send` with this flow did not reach the peer (RFC 3261 §18.4)."""
Locals = Mapping[tuple[Transport, int], Sequence[Address]]
"""(transport, IP version 4 or 6) → where we listen, in the order of the settings."""


class SipTransport(Protocol):
    """What the core needs. The messages may as well come from a front process."""

    def start(self, on_message: OnMessage, on_unsent: OnUnsent) -> None:
        """Begins to listen. Neither callback is ever called from within `send`."""

    def send(self, data: bytes, flow: Flow, server_name: str | None = None) -> None:
        """Puts a message on the wire, now or when its connection stands; never raises.

        `server_name`: the domain that a TLS server's certificate must be for (RFC 5922 §4); without it, the address.
        """

    def locals(self) -> Locals:
        """Where we listen, with the real ports."""

    async def close(self) -> None:
        """Stops listening, lets the last bytes out, closes every connection; takes 0.3 s at the most."""


class ListenFailed(OSError):
    """An address cannot be had; the message says which and what to do."""


class Transports:
    """SipTransport on sockets of our own. All methods run on the event loop's thread.

    A UDP flow's number tells the socket that a datagram came to, where there are several of its IP version: the first
    has 0, and an answer leaves from where the request came to (RFC 3581 §4).
    """

    def __init__(
        self,
        listen: Sequence[Address],
        tls_listen: Sequence[Address] = (),
        *,
        tls: TlsFiles | None = None,
        limits: StreamLimits | None = None,
        allows: Callable[[str], bool] = lambda _: True,
        dscp: int | None = None,
    ) -> None:
        """Binds; nothing is read or sent before `start`.

        `listen`: IP addresses and ports for UDP and TCP; port 0 is any free one, the same for both. `tls_listen`: those
        for TLS; wants tls.certificates.
        `allows` is asked with the IP address of each new connection and each datagram: what it refuses is gone without
        a word. Raises ListenFailed, TlsFilesUnusable.
        """
        self._tls = TlsContexts(tls or TlsFiles())
        self._allows = allows
        self._dscp = dscp
        self._udp: dict[int, list[UdpPort]] = {4: [], 6: []}
        self._listeners: list[tuple[Transport, socket.socket]] = []
        self._locals: dict[tuple[Transport, int], list[Address]] = {}
        self._reload: asyncio.TimerHandle | None = None
        self._closed = False
        try:
            for host, port in listen:
                self._bind(host, port)
            for host, port in tls_listen:
                self._bind_tls(host, port)
        except BaseException:
            self._release()
            raise
        self._streams = Streams(limits or StreamLimits(), self._tls, allows, self._listeners, dscp)

    @property
    def refused_connections(self) -> int:
        """Closed on accept: unknown sources, and too many."""
        return self._streams.refused

    def start(self, on_message: OnMessage, on_unsent: OnUnsent) -> None:
        self._on_message, self._on_unsent = on_message, on_unsent
        for ports in self._udp.values():
            for number, port in enumerate(ports):
                port.listen(partial(self._datagram, number))
        self._streams.start(on_message, on_unsent)
        self._look_at_certificates()

    def send(self, data: bytes, flow: Flow, server_name: str | None = None) -> None:
        if self._closed:
            return
        if flow.transport is not Transport.UDP:
            self._streams.send(data, flow, server_name or None)
        elif not self._send_datagram(data, flow):
            asyncio.get_running_loop().call_soon(self._on_unsent, flow)

    def locals(self) -> Locals:
        return self._locals

    def reload_certificates(self) -> None:
        """Loads them now if a file changed; it happens by itself within RELOAD_S."""
        self._tls.reload_if_changed()

    async def close(self) -> None:
        self._closed = True
        if self._reload is not None:
            self._reload.cancel()
        for ports in self._udp.values():
            for port in ports:
                port.close()
        await self._streams.close()

    def _datagram(self, number: int, data: bytes, source: Address) -> None:
        # Phones and NATs are kept awake with line ends and zeros; RFC 5626 §4.4.2 wants no answer to those.
        if data.strip(b"\r\n\0") and self._allows(source[0]):
            self._on_message(data, Flow(Transport.UDP, source, number))

    def _send_datagram(self, data: bytes, flow: Flow) -> bool:
        try:
            ports = self._udp[ip_version(flow.address[0])]
        except ValueError:
            return False
        if not ports:
            return False
        # A number that is none of ours can only come from settings that changed.
        return ports[flow.connection if flow.connection < len(ports) else 0].send(data, flow.address)

    def _look_at_certificates(self) -> None:
        self._tls.reload_if_changed()
        self._reload = asyncio.get_running_loop().call_later(RELOAD_S, self._look_at_certificates)

    def _bind(self, host: str, port: int) -> None:
        version = _version(host)
        udp, tcp = self._bind_pair(host, port)
        self._udp[version].append(udp)
        self._listeners.append((Transport.TCP, tcp))
        for transport in (Transport.UDP, Transport.TCP):
            self._locals.setdefault((transport, version), []).append((host, udp.port))

    def _bind_tls(self, host: str, port: int) -> None:
        version = _version(host)
        if self._tls.server is None:
            raise TlsFilesUnusable("no certificate to listen with for TLS; name one, or leave TLS out")
        own = self._listen(host, port, "TLS")
        self._listeners.append((Transport.TLS, own))
        self._locals.setdefault((Transport.TLS, version), []).append(address_of(own))

    def _bind_pair(self, host: str, port: int) -> tuple[UdpPort, socket.socket]:
        """UDP and TCP on one port."""
        for tries_left in reversed(range(1 if port else _TRIES)):
            try:
                udp = UdpPort(host, port, _UDP_BUFFER_BYTES, self._dscp)
            except OSError as error:
                raise _cannot_listen(host, port, "UDP", error) from error
            try:
                return udp, self._listen(host, udp.port, "TCP")
            except ListenFailed:
                udp.close()
                if not tries_left:
                    raise
        raise AssertionError

    def _listen(self, host: str, port: int, what: str) -> socket.socket:
        try:
            return listening_socket(host, port, self._dscp)
        except OSError as error:
            raise _cannot_listen(host, port, what, error) from error

    def _release(self) -> None:
        for ports in self._udp.values():
            for port in ports:
                port.close()
        for _, own in self._listeners:
            own.close()


def _version(host: str) -> int:
    try:
        return ip_version(host)
    except ValueError:
        raise ListenFailed(f"cannot listen on {host} for SIP: not an IP address") from None


def _cannot_listen(host: str, port: int, what: str, error: OSError) -> ListenFailed:
    return ListenFailed(
        f"cannot listen on {format_host_port(host, port)} for SIP ({what}): {error.strerror}; "
        "end what listens there, or set another address"
    )
