"""Datagrams as they come to a socket: in the turn of the event loop in which they do, and fewer of them in a flood."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from services.common.telemetry.log import logger

Address = tuple[str, int]

_LARGEST = 65535
# More than 200 datagrams in less than 100 ms are 20 times what the shortest packets of a call make: a flood.
FLOOD, FLOOD_WITHIN_S = 200, 0.1
# A turn of the loop costs several times what it costs to read a datagram. So a flooded socket is read at intervals:
# most of its own call's packets get through, it takes a bounded share of the core, and what is more the kernel throws
# away, for the socket's queue is full.
POLL_S, POLLED = 0.005, 64
_CALM = FLOOD * POLL_S / FLOOD_WITHIN_S


class Reader:
    """Gives each datagram and its source to `on_datagram`, one a turn: epoll tells again while more is there, and no
    socket keeps the loop from the others."""

    def __init__(self, own: socket.socket, on_datagram: Callable[[bytes, Address], None]) -> None:
        self._socket = own
        self._on_datagram = on_datagram
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def close(self) -> None:
        """Before the socket is."""
        if self._socket.fileno() >= 0:
            with suppress(RuntimeError):  # the loop is gone
                self._loop.remove_reader(self._socket.fileno())

    def _readable(self) -> None:
        try:
            data, source = self._socket.recvfrom(_LARGEST)
        except OSError:
            return  # nothing there after all, or the ICMP error of an earlier send
        self._on_datagram(data, (source[0], source[1]))


class FloodReader(Reader):
    """The same for a socket that is one call's, on which a flood must not delay the other calls."""

    def __init__(self, own: socket.socket, on_datagram: Callable[[bytes, Address], None]) -> None:
        super().__init__(own, on_datagram)
        self.floods = 0
        self._left = FLOOD
        self._counted_s = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        super().close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _readable(self) -> None:
        self._left -= 1
        if not self._left:
            # The clock is read once in so many datagrams, not at each.
            now_s = self._loop.time()
            since_s, self._counted_s = now_s - self._counted_s, now_s
            self._left = FLOOD
            if since_s < FLOOD_WITHIN_S:
                self.floods += 1
                if self.floods == 1:  # of each call
                    logger().warning("media_port_flooded", port=self._socket.getsockname()[1])
                self._loop.remove_reader(self._socket.fileno())
                self._timer = self._loop.call_later(POLL_S, self._poll)
        try:
            data, source = self._socket.recvfrom(_LARGEST)
        except OSError:
            return
        self._on_datagram(data, (source[0], source[1]))

    def _poll(self) -> None:
        self._timer = None
        taken = 0
        try:
            taken = self._take()
        finally:
            if self._socket.fileno() >= 0:
                if taken < _CALM:
                    self._left, self._counted_s = FLOOD, self._loop.time()
                    self.start()
                else:
                    self._timer = self._loop.call_later(POLL_S, self._poll)

    def _take(self) -> int:
        """Datagrams that were there."""
        for taken in range(POLLED):
            if self._socket.fileno() < 0:
                return taken  # the last one ended the call
            try:
                data, source = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                return taken
            except OSError:
                continue
            self._on_datagram(data, (source[0], source[1]))
        return POLLED
