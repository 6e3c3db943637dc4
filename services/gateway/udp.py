"""UDP sockets of the edge."""

import errno
import socket
from collections.abc import Callable
from ipaddress import ip_address

from services.gateway.datagrams import Address, FloodReader, Reader
from services.gateway.transports.sockets import mark, only_own_version

__all__ = ["Address", "UdpPort"]

# Like a datagram lost on the way: the next one may get through. Also after one that is too long, which tells nothing of
# its destination: a peer's own long header fields make it so.
_PASSING = {errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EINTR, errno.EMSGSIZE}


class UdpPort:
    """One bound socket."""

    def __init__(
        self,
        host: str,
        port: int,
        receive_buffer_bytes: int | None = None,
        dscp: int | None = None,
        *,
        one_call: bool = False,
    ) -> None:
        """Raises OSError when the address can't be had. `dscp` marks what leaves (RFC 2474). `one_call`: the port of
        one call, on which a flood must not delay the others."""
        self.version = ip_address(host).version
        family = socket.AF_INET6 if self.version == 6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._host = host
        self._dscp = dscp
        self._one_call = one_call
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
        self._reader: Reader | None = None

    def companion(self) -> "UdpPort | None":
        """The port above this one, where RTCP is heard (RFC 3550 §11); None when another has it."""
        try:
            return UdpPort(self._host, self.port + 1, dscp=self._dscp, one_call=self._one_call)
        except (OSError, OverflowError):
            return None

    def listen(self, on_datagram: Callable[[bytes, Address], None]) -> None:
        """Gives each datagram and its source to `on_datagram`."""

        reader = FloodReader if self._one_call else Reader
        self._reader = reader(self._socket, on_datagram)
        self._reader.start()

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
        if self._reader is not None:
            self._reader.close()
        self._socket.close()
