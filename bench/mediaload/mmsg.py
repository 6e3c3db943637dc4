"""Many datagrams a system call, out of and into numpy rows (sendmmsg(2), recvmmsg(2)); Linux, 64 bits."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

Address = tuple[str, int]

# struct mmsghdr, struct iovec, struct sockaddr_in of x86-64 and arm64.
_HEADER = np.dtype(
    {
        "names": ["name", "name_bytes", "iov", "iovs", "control", "control_bytes", "flags", "bytes"],
        "formats": ["u8", "u4", "u8", "u8", "u8", "u8", "i4", "u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
_IOVEC = np.dtype([("base", "u8"), ("bytes", "u8")])
_NAME_BYTES = 16
# A cmsghdr of 16 bytes, then a timespec.
_CONTROL_BYTES, _STAMP_AT = 64, 16
_SO_TIMESTAMPNS = 35
_SO_MEMINFO, _DROPS = 55, 8

_libc = ctypes.CDLL(None, use_errno=True)


def stamped_socket(receive_bytes: int) -> socket.socket:
    """A UDP socket on 127.0.0.1, not blocking, whose datagrams the kernel stamps when they come."""
    here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    here.setblocking(False)
    here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    here.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    here.bind(("127.0.0.1", 0))
    return here


def stamp_ns(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The kernel's stamp in what recvmsg(2) gave: ns of CLOCK_REALTIME."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= 16:
            seconds, nanoseconds = struct.unpack_from("<qq", data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return None


def drops(here: socket.socket) -> int:
    """Datagrams that the kernel threw away, for nobody read the socket in time."""
    told = here.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_DROPS + 1))
    return int(struct.unpack_from("<I", told, 4 * _DROPS)[0]) if len(told) >= 4 * (_DROPS + 1) else 0


class Batch:
    """Rows of bytes, their addresses and lengths, laid out for the kernel."""

    def __init__(self, rows: int, row_bytes: int, *, receives: bool) -> None:
        self.rows: NDArray[np.uint8] = np.zeros((rows, row_bytes), np.uint8)
        self.names: NDArray[np.uint8] = np.zeros((rows, _NAME_BYTES), np.uint8)
        self._control = np.zeros((rows, _CONTROL_BYTES), np.uint8)
        self._iov: Any = np.zeros(rows, _IOVEC)
        self._headers: Any = np.zeros(rows, _HEADER)
        self._receives = receives
        every = np.arange(rows, dtype=np.uint64)
        self._iov["base"] = self.rows.ctypes.data + every * row_bytes
        self._iov["bytes"] = row_bytes
        self._headers["name"] = self.names.ctypes.data + every * _NAME_BYTES
        self._headers["name_bytes"] = _NAME_BYTES
        self._headers["iov"] = self._iov.ctypes.data + every * _IOVEC.itemsize
        self._headers["iovs"] = 1
        if receives:
            self._headers["control"] = self._control.ctypes.data + every * _CONTROL_BYTES
            self._headers["control_bytes"] = _CONTROL_BYTES
        self._fresh = self._headers.copy()
        self._at = self._headers.ctypes.data

    @property
    def lengths(self) -> Any:
        """Of the rows to send."""
        return self._iov["bytes"]

    def address(self, row: int, to: Address) -> None:
        """Where a row is sent to."""
        packed = struct.pack("<H", socket.AF_INET) + struct.pack("!H4s8x", to[1], socket.inet_aton(to[0]))
        self.names[row] = np.frombuffer(packed, np.uint8)

    def move(self, row: int, source: int) -> None:
        """Row `source` takes the place of `row`."""
        self.rows[row], self.names[row] = self.rows[source], self.names[source]
        self._iov["bytes"][row] = self._iov["bytes"][source]

    def send(self, here: socket.socket, count: int) -> int:
        """The first `count` rows; how many the kernel would not take."""
        sent = refused = 0
        while sent + refused < count:
            begin = sent + refused
            done = _libc.sendmmsg(here.fileno(), ctypes.c_void_p(self._at + 64 * begin), count - begin, 0)
            if done < 0:
                if ctypes.get_errno() == errno.EINTR:
                    continue
                refused += 1
            else:
                sent += done
        return refused

    def receive(self, here: socket.socket) -> int:
        """Datagrams that were there, at most as many as rows. Raises OSError."""
        self._headers[:] = self._fresh
        done = _libc.recvmmsg(
            here.fileno(), ctypes.c_void_p(self._at), len(self.rows), socket.MSG_DONTWAIT, ctypes.c_void_p(None)
        )
        if done >= 0:
            return int(done)
        number = ctypes.get_errno()
        if number in (errno.EAGAIN, errno.EINTR):
            return 0
        raise OSError(number, os.strerror(number))

    def received(self, count: int) -> tuple[Any, Any, Any]:
        """Of the first `count` rows: lengths, source ports, and when the kernel had them (ns of CLOCK_REALTIME)."""
        ports = self.names[:count, 2:4].copy().view(">u2")[:, 0]
        stamps = self._control[:count, _STAMP_AT : _STAMP_AT + 16].copy().view("<i8")
        return self._headers["bytes"][:count], ports, stamps[:, 0] * 1_000_000_000 + stamps[:, 1]
