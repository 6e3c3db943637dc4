"""One TCP or TLS connection of SIP, from its first byte to its last."""

import asyncio
import random
from collections.abc import Callable
from typing import cast

from services.common.telemetry.log import logger
from services.gateway.sip.framing import KeepAlive, StreamFraming
from services.gateway.sip.transport import Flow
from services.gateway.transports.limits import StreamLimits
from services.gateway.transports.liveness import Liveness, Verdict

_PING, _PONG = b"\r\n\r\n", b"\r\n"
# Of what came in one read (256 KiB at most), so much a turn of the loop: others' audio must not wait for it.
_SLICE_BYTES = 8192


class StreamConnection(asyncio.Protocol):
    """What is given to `send` before the connection stands waits for it, within limits.buffer_bytes.

    `ours`: we opened it. `server_name`: the name that the server's certificate was checked for. `lost` is called once,
    as soon as nothing can be sent here any more; `gone` is done when the socket is closed.
    """

    def __init__(
        self,
        flow: Flow,
        limits: StreamLimits,
        receive: Callable[[bytes, Flow], None],
        unsent: Callable[[Flow], None],
        lost: "Callable[[StreamConnection], None]",
        *,
        ours: bool,
        server_name: str | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.flow = flow
        self.ours = ours
        self.server_name = server_name
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._limits = limits
        self._receive = receive
        self._unsent = unsent
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._ended = False
        self._framing = StreamFraming()
        # RFC 5626 §4.4.1: at 80 to 100 %, or all connections of a restart ping in one moment.
        ping_s = limits.ping_s * random.uniform(0.8, 1.0) if ours else None
        self._liveness = Liveness(self._loop.time(), limits, ping_s)
        self._waiting: list[tuple[bytes, Flow]] = []
        self._waiting_bytes = 0
        self._rest = b""  # of the last read
        self._heard = False
        self._untaken: set[Flow] = set()  # still in the transport's buffer, in part at least
        self._unheard: set[Flow] = set()  # sent since the peer was last heard

    def send(self, data: bytes, flow: Flow) -> None:
        """`flow` is what `unsent` gets should it not arrive."""
        if self._ended:
            self._unsent(flow)
        elif self._transport is not None:
            self._write(self._transport, data, flow)
        elif self._waiting_bytes + len(data) > self._limits.buffer_bytes:
            self._unsent(flow)
        else:
            self._waiting.append((data, flow))
            self._waiting_bytes += len(data)

    def expire(self) -> None:
        """Looks at the connection's times; to be called every now and then."""
        transport = self._transport
        if transport is None or self._ended:
            return  # connecting and handshake have their own time limits
        now = self._loop.time()
        self._forget_taken(transport)
        self._liveness.waiting(now, transport.get_write_buffer_size())
        match self._liveness.expire(now):
            case None:
                pass
            case Verdict.PING:
                transport.write(_PING)
            case verdict:
                self._end(verdict)

    def close(self) -> None:
        """Ends the connection in order: what is written goes out, TLS says close_notify."""
        if not self._ended:
            self._ended = True
            self._lost(self)
        if self._transport is not None:
            self._transport.close()
        elif not self.gone.done():
            self.gone.set_result(None)

    def abort(self) -> None:
        """Ends it at once."""
        if self._transport is not None:
            self._transport.abort()

    def failed(self) -> None:
        """The connection did not come to stand."""
        if self._ended:
            return
        self._ended = True
        self._lost(self)
        self.gone.set_result(None)
        self._report({flow for _, flow in self._waiting})

    # From the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = stream = cast(asyncio.Transport, transport)
        if self._ended:
            stream.abort()
            return
        waiting, self._waiting = self._waiting, []
        for data, flow in waiting:
            self.send(data, flow)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            self._rest += data
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Reads a slice; the rest, with the reading stopped, in the loop's next turns."""
        self._read(data[:_SLICE_BYTES])
        self._rest = data[_SLICE_BYTES:]
        if self._rest and not self._ended and self._transport is not None:
            self._transport.pause_reading()
            self._loop.call_soon(self._take_rest)

    def _take_rest(self) -> None:
        if not self._rest or self._ended or self._transport is None:
            return
        self._take(self._rest)
        if not self._rest and not self._ended:
            self._transport.resume_reading()

    def _read(self, data: bytes) -> None:
        if self._ended or self._transport is None:
            return
        self._heard = True
        self._unheard.clear()
        items = self._framing.feed(data)
        self._liveness.received(self._loop.time(), items, self._framing.partial)
        # One pong answers all pings of one read, and none is added to what a peer does not read.
        if KeepAlive.PING in items and not self._transport.get_write_buffer_size():
            self._transport.write(_PONG)
        for item in items:
            if isinstance(item, bytes) and not self._ended:
                self._deliver(item)
        if self._framing.error is not None:
            self._end(self._framing.error.reason)

    def eof_received(self) -> None:
        rest, self._rest = self._rest, b""
        if rest:
            self._read(rest)
        # The transport closes itself, after what it still has to write: what the peer takes is not lost.
        if self._transport is not None:
            self._forget_taken(self._transport)

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._forget_taken(self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._rest = b""
        if not self.gone.done():
            self.gone.set_result(None)
        if self._ended:
            return
        self._ended = True
        self._lost(self)
        # What the peer never spoke on, or reset, has hardly read what we wrote: a carrier that does not know our
        # address accepts the connection and closes it. After an orderly end we believe that it has.
        if isinstance(error, OSError) or (self.ours and not self._heard):
            self._untaken |= self._unheard
        self._report(self._untaken)

    def _deliver(self, message: bytes) -> None:
        try:
            self._receive(message, self.flow)
        except Exception:
            # A defect of ours costs this message, and not the connection with all its calls.
            logger().exception("sip_message_failed", source=self.flow.address[0], transport=str(self.flow.transport))

    def _write(self, transport: asyncio.Transport, data: bytes, flow: Flow) -> None:
        if transport.get_write_buffer_size() + len(data) > self._limits.buffer_bytes:
            self._untaken.add(flow)
            self._end(Verdict.NOT_READING)
            return
        self._forget_taken(transport)
        transport.write(data)
        self._liveness.sent(self._loop.time())
        self._unheard.add(flow)
        if transport.get_write_buffer_size():
            self._untaken.add(flow)

    def _forget_taken(self, transport: asyncio.Transport) -> None:
        if not transport.get_write_buffer_size():
            self._untaken.clear()

    def _end(self, reason: str) -> None:
        """Closes a connection that its peer has spoilt."""
        if self._ended or self._transport is None:
            return
        self._ended = True
        logger().info(
            "sip_connection_closed",
            why=reason,
            peer=self.flow.address[0],
            port=self.flow.address[1],
            transport=str(self.flow.transport),
        )
        self._lost(self)
        self._report(self._untaken)
        # In order only where nothing waits: a peer that does not read would hold the socket for ever.
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()

    def _report(self, flows: set[Flow]) -> None:
        for flow in flows:
            self._unsent(flow)
