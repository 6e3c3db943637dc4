"""UDP sockets of the edge, read in the turn of the event loop in which a datagram comes."""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address

from services.gateway.transports.sockets import mark, only_own_version

Address = tuple[str, int]

_LARGEST = 65535
# Like a datagram lost on the way: the next one may get through. Also after one that is too long, which tells nothing of
# its destination: a peer's own long header fields make it so.
_PASSING = {errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EINTR, errno.EMSGSIZE}


class UdpPort:
    """One bound socket."""

    def __init__(self, host: str, port: int, receive_buffer_bytes: int | None = None, dscp: int | None = None) -> None:
        """Raises OSError when the address can't be had. `dscp` marks what leaves (RFC 2474)."""
        self.version = ip_address(host).version
        family = socket.AF_INET6 if self.version == 6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            only_own_version(self._socket)
            mark(self._socket, dscp)
            if receive_buffer_bytes is not None:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self.unsent = 0

    def listen(self, on_datagram: Callable[[bytes, Address], None]) -> None:
        """Gives each datagram and its source to `on_datagram`."""

        def readable() -> None:
            # One a turn: epoll tells again while more is there, and no socket keeps the loop from the others.
            try:
                data, source = self._socket.recvfrom(_LARGEST)
            except OSError:
                return  # nothing there after all, or the ICMP error of an earlier send
            on_datagram(data, (source[0], source[1]))

        asyncio.get_running_loop().add_reader(self._socket.fileno(), readable)

    def send(self, data: bytes, destination: Address) -> bool:
        """Hands a datagram to the socket; one that it does not take is lost, as on any network.

        False when it cannot be sent there at all: no route, a port of 0.
        """
        try:
            self._socket.sendto(data, destination)
        except OSError as error:
            self.unsent += 1
            return error.errno in _PASSING
        except OverflowError:  # no such port
            self.unsent += 1
            return False
        return True

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            with suppress(RuntimeError):  # the loop is gone
                asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
