"""What front and worker tell each other: one frame a message of their socket, which keeps the bounds."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from services.gateway.sip.transport import Flow, Transport

LARGEST = 2**17
"""Octets of a frame: the largest SIP message (64 KiB) and its head fit twice."""

_HEAD = struct.Struct("!BBHQBB")  # kind, transport, port, connection, octets of host and of server name
_TRANSPORTS = tuple(Transport)
_NUMBERS = {transport: number for number, transport in enumerate(_TRANSPORTS)}


class FrameInvalid(ValueError):
    """Not to be written or read as a frame; the message says what is wrong."""


class Kind(IntEnum):
    RECEIVED = 1
    """To the worker: this message came on this flow."""
    UNSENT = 2
    """To the worker: something that was to be sent to this flow was not."""
    SEND = 3
    """To the front: send this message."""
    LEARNED = 16
    """Both ways: the addresses of a trunk's servers; its name, then they, a line each."""
    READY = 17
    """To the front: I take calls. The text is where my CallControl is served."""
    DRAINING = 18
    """To the front: I take no new calls."""
    ALIVE = 19
    """To the front, once a second."""


@dataclass(frozen=True, slots=True)
class Carried:
    """RECEIVED, SEND and UNSENT (without data)."""

    kind: Kind
    flow: Flow
    data: bytes = b""
    server_name: str = ""

    def pack(self) -> bytes:
        """Raises FrameInvalid when it does not fit."""
        host, port = self.flow.address
        address, name = host.encode(), self.server_name.encode()
        try:
            head = _HEAD.pack(
                self.kind, _NUMBERS[self.flow.transport], port, self.flow.connection, len(address), len(name)
            )
        except struct.error as error:
            raise FrameInvalid(f"{self.flow} to {self.server_name!r} fits no frame: {error}") from error
        frame = b"".join((head, address, name, self.data))
        if len(frame) > LARGEST:
            raise FrameInvalid(f"a message of {len(self.data)} octets fits no frame")
        return frame


@dataclass(frozen=True, slots=True)
class Told:
    """All other kinds."""

    kind: Kind
    text: str = ""

    def pack(self) -> bytes:
        """Raises FrameInvalid when it does not fit."""
        frame = bytes((self.kind,)) + self.text.encode()
        if len(frame) > LARGEST:
            raise FrameInvalid(f"{self.kind.name} of {len(frame)} octets fits no frame")
        return frame


def unpack(frame: bytes) -> Carried | Told:
    """Raises FrameInvalid."""
    try:
        kind = Kind(frame[0])
        if kind >= Kind.LEARNED:
            return Told(kind, frame[1:].decode())
        _, transport, port, connection, address, name = _HEAD.unpack_from(frame)
        at = _HEAD.size + address
        if len(frame) < at + name:
            raise FrameInvalid("cut off")
        flow = Flow(_TRANSPORTS[transport], (frame[_HEAD.size : at].decode(), port), connection)
        return Carried(kind, flow, frame[at + name :], frame[at : at + name].decode())
    except (struct.error, ValueError, IndexError) as error:
        raise FrameInvalid(f"no frame: {error}") from error
