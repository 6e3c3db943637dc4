"""All TCP and TLS connections: accepted, opened, shared, counted (RFC 3261 §18, RFC 5923)."""

import asyncio
import itertools
import socket
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from ipaddress import ip_address

from services.common.telemetry.log import logger
from services.gateway.sip.transport import Address, Flow, Transport
from services.gateway.transports.connection import StreamConnection
from services.gateway.transports.limits import StreamLimits
from services.gateway.transports.sockets import address_of, connecting_socket, ip_version, mark, tell_dead_peers
from services.gateway.transports.tls import TlsContexts

_Key = tuple[Transport, Address]
# Out of file descriptors: the waiting connection stays readable, and the loop would turn for nothing.
_ACCEPT_AGAIN_S = 1.0


class Streams:
    """The connections of one gateway.

    `listeners`: listening sockets, read from `start` on. `allows`: whether an IP address is heard at all; others get
    their connection closed without a word, before any TLS.
    """

    def __init__(
        self,
        limits: StreamLimits,
        tls: TlsContexts,
        allows: Callable[[str], bool],
        listeners: Sequence[tuple[Transport, socket.socket]],
        dscp: int | None,
    ) -> None:
        self.refused = 0
        """Connections closed on accept: unknown sources, and too many."""
        self._limits = limits
        self._tls = tls
        self._allows = allows
        self._dscp = dscp
        self._listeners = list(listeners)
        self._sources = _source_addresses(listeners)
        self._numbers = itertools.count(1)
        self._connections: dict[int, StreamConnection] = {}
        self._by_address: dict[_Key, list[StreamConnection]] = {}
        self._accepted_from: Counter[str] = Counter()
        self._accepted = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._timers: dict[object, asyncio.TimerHandle] = {}
        self._closed = False

    def start(self, on_message: Callable[[bytes, Flow], None], on_unsent: Callable[[Flow], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_unsent = on_unsent
        for transport, own in self._listeners:
            self._accept_on(transport, own)
        self._sweep()

    def send(self, data: bytes, flow: Flow, server_name: str | None) -> None:
        """Never raises; see SipTransport.send."""
        connection = self._connections.get(flow.connection)
        if connection is None:
            try:
                address = (str(ip_address(flow.address[0])), flow.address[1])
                connection = self._open_to(flow.transport, address, server_name)
                connection = connection or self._connect(flow.transport, address, server_name)
            except ValueError:
                logger().error("sip_target_no_ip_address", target=flow.address[0])
        if connection is None:
            self._unsent(flow)
        else:
            connection.send(data, flow)

    async def close(self) -> None:
        """Ends everything, in order for flush_s and then at once."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        for _, own in self._listeners:
            with suppress(RuntimeError):  # the loop is gone
                asyncio.get_running_loop().remove_reader(own.fileno())
            own.close()
        self._listeners.clear()
        connections = list(self._connections.values())
        for connection in connections:
            connection.close()
        for task in self._opening:
            task.cancel()
        if connections:
            await asyncio.wait([connection.gone for connection in connections], timeout=self._limits.flush_s)
        late = [connection for connection in connections if not connection.gone.done()]
        for connection in late:
            connection.abort()
        if late:
            await asyncio.wait([connection.gone for connection in late], timeout=self._limits.flush_s)

    # Accepting

    def _accept_on(self, transport: Transport, own: socket.socket) -> None:
        self._timers.pop(own, None)
        self._loop.add_reader(own.fileno(), self._accept, transport, own)

    def _accept(self, transport: Transport, own: socket.socket) -> None:
        """One connection a turn of the loop, as with datagrams."""
        try:
            accepted, peer = own.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            logger().error("sip_accept_failed", why=error.strerror, again_s=_ACCEPT_AGAIN_S)
            self._loop.remove_reader(own.fileno())
            self._timers[own] = self._loop.call_later(_ACCEPT_AGAIN_S, self._accept_on, transport, own)
            return
        address: Address = (peer[0], peer[1])
        if not self._allows(address[0]):
            self.refused += 1
            accepted.close()
        elif self._accepted >= self._limits.connections:
            self._refuse(accepted, address, "gateway full", self._limits.connections)
        elif self._accepted_from[address[0]] >= self._limits.connections_per_source:
            self._refuse(accepted, address, "too many from this source", self._limits.connections_per_source)
        else:
            self._accepted += 1
            self._accepted_from[address[0]] += 1
            self._begin(self._serve(self._new(transport, address, ours=False), accepted))

    def _refuse(self, accepted: socket.socket, address: Address, why: str, limit: int) -> None:
        self.refused += 1
        accepted.close()
        logger().warning("sip_connection_refused", source=address[0], why=why, limit=limit)

    async def _serve(self, connection: StreamConnection, accepted: socket.socket) -> None:
        try:
            accepted.setblocking(False)
            tell_dead_peers(accepted)
            mark(accepted, self._dscp)
            if connection.flow.transport is Transport.TLS:
                await self._loop.connect_accepted_socket(
                    lambda: connection,
                    accepted,
                    ssl=self._tls.server,
                    ssl_handshake_timeout=self._limits.first_message_s,
                    ssl_shutdown_timeout=self._limits.flush_s,
                )
            else:
                await self._loop.connect_accepted_socket(lambda: connection, accepted)
        except OSError as error:
            self._failed(connection, "sip_tls_refused", error)

    # Connecting

    def _open_to(self, transport: Transport, address: Address, server_name: str | None) -> StreamConnection | None:
        """A connection that leads to `address`, or will soon.

        A certificate that was checked for one domain says nothing about another (RFC 5922 §4): with a server name only
        a connection that was opened for it will do.
        """
        any_name = server_name is None or transport is not Transport.TLS or not self._tls.verifies
        for connection in self._by_address.get((transport, address), ()):
            if any_name or connection.server_name == server_name:
                return connection
        return None

    def _connect(self, transport: Transport, address: Address, server_name: str | None) -> StreamConnection | None:
        if self._closed or len(self._connections) - self._accepted >= self._limits.connections:
            return None
        connection = self._new(transport, address, ours=True, server_name=server_name)
        self._begin(self._open(connection, server_name or address[0]))
        return connection

    async def _open(self, connection: StreamConnection, server_name: str) -> None:
        address = connection.flow.address
        try:
            # What is no name is found out here: in the handshake it would be an error of the event loop's.
            server_name.encode("idna")
            async with asyncio.timeout(self._limits.connect_s):
                own = connecting_socket(address[0], self._sources.get(ip_version(address[0])), self._dscp)
                try:
                    await self._loop.sock_connect(own, address)
                except BaseException:
                    own.close()
                    raise
                if connection.flow.transport is Transport.TLS:
                    await self._loop.create_connection(
                        lambda: connection,
                        sock=own,
                        ssl=self._tls.client,
                        server_hostname=server_name,
                        ssl_shutdown_timeout=self._limits.flush_s,
                    )
                else:
                    await self._loop.create_connection(lambda: connection, sock=own)
        except (OSError, ValueError) as error:
            self._failed(connection, "sip_connect_failed", error)

    def _failed(self, connection: StreamConnection, event: str, error: Exception) -> None:
        logger().warning(
            event,
            why=str(error) or type(error).__name__,
            peer=connection.flow.address[0],
            port=connection.flow.address[1],
            transport=str(connection.flow.transport),
        )
        connection.failed()

    # Both

    def _new(
        self, transport: Transport, address: Address, *, ours: bool, server_name: str | None = None
    ) -> StreamConnection:
        flow = Flow(transport, address, next(self._numbers))
        connection = StreamConnection(
            flow, self._limits, self._on_message, self._unsent, self._lost, ours=ours, server_name=server_name
        )
        self._connections[flow.connection] = connection
        self._by_address.setdefault((transport, address), []).append(connection)
        return connection

    def _lost(self, connection: StreamConnection) -> None:
        flow = connection.flow
        if self._connections.pop(flow.connection, None) is None:
            return
        to_address = self._by_address[flow.transport, flow.address]
        to_address.remove(connection)
        if not to_address:
            del self._by_address[flow.transport, flow.address]
        if not connection.ours:
            self._accepted -= 1
            self._accepted_from[flow.address[0]] -= 1
            if not self._accepted_from[flow.address[0]]:
                del self._accepted_from[flow.address[0]]

    def _unsent(self, flow: Flow) -> None:
        # Not at once: the core is in the middle of what it does.
        if not self._closed:
            self._loop.call_soon(self._on_unsent, flow)

    def _begin(self, opening: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(opening)
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _sweep(self) -> None:
        for connection in list(self._connections.values()):
            connection.expire()
        self._timers[self] = self._loop.call_later(self._limits.sweep_s, self._sweep)


def _source_addresses(listeners: Sequence[tuple[Transport, socket.socket]]) -> dict[int, str]:
    """IP version → the first address that we listen on, where it is a certain one."""
    sources: dict[int, str] = {}
    for _, own in listeners:
        host = address_of(own)[0]
        if not ip_address(host.partition("%")[0]).is_unspecified:
            sources.setdefault(ip_version(host), host)
    return sources
