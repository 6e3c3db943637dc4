"""A nats-py client with a short way for audio frames, which are many, small and worthless when late.

It connects, authenticates and reconnects as nats-py does. What it adds: frames are published without a coroutine and
leave in one write a turn of the event loop, and frames that come in are delivered as they are read, without a queue and
a task (decision 0011). It reads and sets names of nats-py that are private there, so nats-py is pinned to 2.16.
"""

import asyncio
import ssl
from collections.abc import Callable
from urllib.parse import ParseResult

import nats.errors
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport

from services.common.busclient import BusClient
from services.common.framesieve import Deliver, FrameRoutes, FrameSieve, FramingLost
from services.common.telemetry.log import logger

# More than this unsent, and the server is not keeping up: 50 ms of 300 calls, which would be old when it is read.
MAX_UNSENT_BYTES = 262_144
# Frames of one turn; more are written at once.
_MAX_TOGETHER = 1024
_PARTS = 5
_CONNECTED = BusClient.CONNECTED
_SIZES = tuple(b" %d\r\n" % size for size in range(1024))
_LOOK_EVERY_S = 0.02


class FrameSubscription:
    """Frames of one subject, until `unsubscribe`."""

    def __init__(self, client: "FrameClient", sid: int) -> None:
        self._client = client
        self._sid = sid

    def unsubscribe(self) -> None:
        """No frame is delivered any more. A second time, or on a closed client, nothing happens."""
        self._client._forget(self._sid)


class FrameClient(BusClient):
    """Connect it as a nats.aio.client.Client. Only one event loop may use it."""

    def __init__(self) -> None:
        super().__init__()
        self.unsent_frames = 0
        """Frames that were published while no server took them."""
        self.failed_deliveries = 0
        """Frames whose subscriber raised; the first is logged."""
        self._routes = FrameRoutes()
        self._transport = self._frames = _FrameTransport(self._routes, self._delivery_failed)
        self._waiting: list[bytes] = []
        self._full = False
        self._call_soon = asyncio.get_running_loop().call_soon

    def publish_frame(self, subject: bytes, payload: bytes) -> bool:
        """Sends a frame at the end of this turn of the event loop, or with `flush_frames`.

        False, and the frame is gone, when there is no connection or the server does not keep up: nothing is kept for
        later. `subject` is taken as it is: no spaces, no wildcards.
        """
        if self._status != _CONNECTED or (self._full and not self._has_room()):
            self.unsent_frames += 1
            return False
        waiting = self._waiting
        if not waiting:
            self._call_soon(self.flush_frames)
        size = len(payload)
        waiting += (b"PUB ", subject, _SIZES[size] if size < 1024 else b" %d\r\n" % size, payload, b"\r\n")
        if len(waiting) >= _MAX_TOGETHER * _PARTS:
            self.flush_frames()
        return True

    def flush_frames(self) -> None:
        """Writes what was published, now."""
        waiting = self._waiting
        if not waiting:
            return
        self._waiting = []
        if self._status != _CONNECTED:
            self.unsent_frames += len(waiting) // _PARTS
            return
        self._frames.write(b"".join(waiting))
        self._full = self._frames.unsent_bytes > MAX_UNSENT_BYTES

    def subscribe_frames(self, subject: str, deliver: Deliver) -> FrameSubscription:
        """Calls `deliver` with each payload, in the turn in which it is read; renewed on every reconnect.

        `deliver` must be quick. Messages with headers or longer than framesieve.MAX_FRAME_BYTES are no frames and are
        dropped. Raises nats.errors.ConnectionClosedError.
        """
        if self.is_closed:
            raise nats.errors.ConnectionClosedError
        self._sid += 1
        # Known to nats-py, so that it subscribes again when it has reconnected; not started, so it costs no task.
        self._subs[self._sid] = Subscription(self, self._sid, subject)
        self._routes.add(self._sid, deliver)
        if self._status == _CONNECTED:
            self._frames.write(b"SUB %b  %d\r\n" % (subject.encode(), self._sid))
        return FrameSubscription(self, self._sid)

    async def live(self, within_s: float = 2.0) -> None:
        """Returns when the server knows the frame subscriptions made so far and has read the frames before.

        Raises nats.errors.FlushTimeoutError when no server does within that time.
        """
        try:
            async with asyncio.timeout(within_s):
                while not self.is_closed:
                    if self._status == _CONNECTED and await self._round_trip():
                        return
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError as late:
            raise nats.errors.FlushTimeoutError from late
        raise nats.errors.ConnectionClosedError

    async def close(self) -> None:
        """Writes what waits and ends the connection; nothing is delivered any more."""
        self.flush_frames()
        self._routes.clear()
        await super().close()

    async def _round_trip(self) -> bool:
        """Whether the server answered; not when the connection was lost over it."""
        self.flush_frames()
        connection = self.stats["reconnects"]
        pong = asyncio.get_running_loop().create_future()
        await self._send_ping(pong)
        while self._status == _CONNECTED and connection == self.stats["reconnects"]:
            await asyncio.wait({pong}, timeout=_LOOK_EVERY_S)
            if pong.done():
                return True
        return False

    def _forget(self, sid: int) -> None:
        if self._subs.pop(sid, None) is None:
            return
        self._routes.remove(sid)
        if self._status == _CONNECTED:
            self._frames.write(b"UNSUB %d\r\n" % sid)

    def _has_room(self) -> bool:
        self._full = self._frames.unsent_bytes > MAX_UNSENT_BYTES
        return not self._full

    def _delivery_failed(self, error: Exception) -> None:
        self.failed_deliveries += 1
        if self.failed_deliveries == 1:
            logger().error("frame_delivery_failed", exc_info=error)


class _FrameTransport(TcpTransport):
    """nats-py's TCP transport, with a sieve for frames before its reader."""

    def __init__(self, routes: FrameRoutes, on_failure: Callable[[Exception], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._routes = routes
        self._on_failure = on_failure

    def __bool__(self) -> bool:
        return True  # else nats-py takes a transport of its own for the first connection

    def write(self, payload: bytes) -> None:
        assert self._io_writer is not None
        self._io_writer.write(payload)

    @property
    def unsent_bytes(self) -> int:
        """Written, and not taken by the kernel yet."""
        assert self._io_writer is not None
        return self._io_writer.transport.get_write_buffer_size()

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        loop = asyncio.get_running_loop()
        # Before TLS anybody could put frames there.
        plain = uri.scheme == "tls"
        sieve = FrameSieve(self._routes, self._on_failure)
        reader = asyncio.StreamReader(buffer_size) if plain else _SievedReader(sieve, self._abort, buffer_size)
        protocol = asyncio.StreamReaderProtocol(reader)
        async with asyncio.timeout(connect_timeout):
            transport, _ = await loop.create_connection(lambda: protocol, uri.hostname or "", uri.port or 4222)
        self._bare_io_reader = self._io_reader = reader
        self._bare_io_writer = self._io_writer = asyncio.StreamWriter(transport, protocol, reader, loop)

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        assert self._io_writer is not None
        loop = asyncio.get_running_loop()
        reader = _SievedReader(FrameSieve(self._routes, self._on_failure), self._abort, buffer_size)
        protocol = asyncio.StreamReaderProtocol(reader)
        host = uri if isinstance(uri, str) else uri.hostname
        async with asyncio.timeout(connect_timeout):
            transport = await loop.start_tls(self._io_writer.transport, protocol, ssl_context, server_hostname=host)
        assert transport is not None
        self._io_reader = reader
        self._io_writer = asyncio.StreamWriter(transport, protocol, reader, loop)

    def _abort(self) -> None:
        """nats-py sees the end of the connection, and connects again."""
        if self._io_writer is not None:
            self._io_writer.transport.abort()


class _SievedReader(asyncio.StreamReader):
    """Gets what is not frames."""

    def __init__(self, sieve: FrameSieve, abort: Callable[[], None], limit: int) -> None:
        super().__init__(limit)
        self._sieve = sieve
        self._abort = abort

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        try:
            rest = self._sieve.feed(data)
        except FramingLost as error:
            logger().error("nats_framing_lost", why=str(error))
            self._abort()
            return
        if rest:
            super().feed_data(rest)
