"""One end of the socket between front and worker."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from services.gateway.front.frame import LARGEST

# What waits for an other end that is busy. Beyond it is lost, as on any network: SIP sends it again.
_MOST_WAITING_BYTES = 4 << 20
_BUFFER_BYTES = 4 << 20
# Then the others have their turn.
_FRAMES_A_TURN = 32


def pipe_pair() -> tuple[socket.socket, socket.socket]:
    """Whole frames, in order, none lost, and an end to notice: SOCK_SEQPACKET (unix(7))."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Pipe:
    """Frames in and out, on the event loop's thread."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._socket.setblocking(False)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):  # as much of it as the system allows
            self._socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        self._buffer = bytearray(LARGEST)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._broken = False
        self.dropped = 0
        """Frames that the other end was too busy for."""

    @property
    def idle(self) -> bool:
        """Nothing waits to be sent."""
        return not self._waiting or self._socket.fileno() < 0

    def start(self, on_frame: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """`on_end`: the other process has gone, and what it sent before was heard. Once."""
        self._on_frame, self._on_end = on_frame, on_end
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)

    def send(self, frame: bytes) -> bool:
        """False when it is lost."""
        if self._broken or self._socket.fileno() < 0:
            return False
        if not self._waiting:
            try:
                self._socket.send(frame)
                return True
            except BlockingIOError:
                asyncio.get_running_loop().add_writer(self._socket.fileno(), self._writable)
            except OSError:
                return False  # it has gone: the reader will notice
        if self._waiting_bytes + len(frame) > _MOST_WAITING_BYTES:
            self.dropped += 1
            return False
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        return True

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            with suppress(RuntimeError):  # the loop is gone
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._socket.fileno())
                loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def _readable(self) -> None:
        for _ in range(_FRAMES_A_TURN):
            try:
                size = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                return
            except OSError:
                # It went without reading all that we sent: what it said is still to be heard (unix(7)).
                if self._broken:
                    self._end()
                    return
                self._broken = True
                continue
            if not size:
                self._end()
                return
            self._on_frame(bytes(memoryview(self._buffer)[:size]))
            if self._socket.fileno() < 0:
                return

    def _writable(self) -> None:
        while self._waiting:
            try:
                self._socket.send(self._waiting[0])
            except BlockingIOError:
                return
            except OSError:
                self._waiting.clear()
                break
            self._waiting_bytes -= len(self._waiting.popleft())
        self._waiting_bytes = 0
        asyncio.get_running_loop().remove_writer(self._socket.fileno())

    def _end(self) -> None:
        self.close()
        self._on_end()
