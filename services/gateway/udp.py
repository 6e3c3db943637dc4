"""UDP sockets of the edge, read in the turn of the event loop in which a datagram comes."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address

Address = tuple[str, int]

_LARGEST = 65535


class UdpPort:
    """One bound socket."""

    def __init__(self, host: str, port: int, receive_buffer_bytes: int | None = None) -> None:
        """Raises OSError when the address can't be had."""
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
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

    def send(self, data: bytes, destination: Address) -> None:
        """Hands a datagram to the socket; one that it does not take is lost, as on any network."""
        try:
            self._socket.sendto(data, destination)
        except OSError:
            self.unsent += 1

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            with suppress(RuntimeError):  # the loop is gone
                asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
