"""The calls that speak in the same millisecond of each 20: one socket, one system call out and one in."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.mediaload.keypad import Keypad
from bench.mediaload.mmsg import Address, Batch, drops, stamped_socket
from bench.mediaload.punctuality import PACKET
from bench.mediaload.speech import FRAME, marks

CAPACITY = 128
"""Calls of a lane at most."""
_ROW_BYTES = 256
_RECEIVE_BYTES = 1 << 20
_HEADER_BYTES = 12
_EVENT_BYTES = 4
EVENT_TYPE = 101
_RTP = np.dtype(
    {
        "names": ["first", "second", "sequence", "timestamp", "ssrc", "payload"],
        "formats": ["u1", "u1", ">u2", ">u4", ">u4", ("u1", FRAME)],
        "offsets": [0, 1, 2, 4, 8, _HEADER_BYTES],
        "itemsize": _ROW_BYTES,
    }
)

Protect = Callable[[bytes], bytes]
"""RTP in, SRTP out."""
Line = Callable[[int, bytes, Address], None]
"""What takes a packet in place of the socket: the call's id, the packet, where it goes."""


class Lane:
    """Calls are told by an id of the caller's choice. All their packets leave together."""

    def __init__(self, speech: NDArray[np.uint8], protect: Protect | None = None, line: Line | None = None) -> None:
        """`speech`: µ-law, one row a frame. `protect` makes SRTP. With `line`, packets go there."""
        self.socket = stamped_socket(_RECEIVE_BYTES)
        self.port: int = self.socket.getsockname()[1]
        self.refused = 0
        self._speech, self._protect, self._line = speech, protect, line
        self._out, self._in = Batch(CAPACITY, _ROW_BYTES, receives=False), Batch(CAPACITY, _ROW_BYTES, receives=True)
        self._packets: Any = self._out.rows.view(_RTP)[:, 0] if protect is None else np.zeros(CAPACITY, _RTP)
        self._packets["first"] = 0x80
        self._out.lengths[:] = _HEADER_BYTES + FRAME
        self._at = np.zeros(CAPACITY, np.int64)
        self._calls: list[int] = []
        self._keypads: dict[int, Keypad] = {}
        self._to: list[Address] = []

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: int, to: Address) -> None:
        """The call speaks from its next turn on. Raises ValueError when the lane is full."""
        row = len(self._calls)
        if row >= CAPACITY:
            raise ValueError(f"a lane has {CAPACITY} calls at most")
        self._calls.append(call)
        self._to.append(to)
        packet = self._packets
        packet["second"][row] = 0x80
        packet["sequence"][row], packet["timestamp"][row] = secrets.randbits(15), secrets.randbits(32)
        packet["ssrc"][row] = secrets.randbits(32)
        # Nobody says the same at the same time.
        self._at[row] = secrets.randbelow(len(self._speech))
        self._out.address(row, to)

    def remove(self, call: int) -> None:
        """The call is silent; one that is not here is let be."""
        if call not in self._calls:
            return
        self._keypads.pop(call, None)
        row, last = self._calls.index(call), len(self._calls) - 1
        self._calls[row], self._to[row] = self._calls[last], self._to[last]
        self._calls.pop(), self._to.pop()
        self._packets[row], self._at[row] = self._packets[last], self._at[last]
        self._out.move(row, last)

    def press(self, call: int, keys: str) -> None:
        """Keys in place of speech from the next turn on. Raises ValueError for what is no key."""
        self._keypads[call] = Keypad(keys)

    def speak(self) -> None:
        """20 ms of every call."""
        count = len(self._calls)
        if not count:
            return
        packets = self._packets[:count]
        packets["payload"] = self._speech[self._at[:count]]
        times = packets["timestamp"].copy()
        pressed = self._press() if self._keypads else {}
        if self._line is not None or self._protect is not None:
            self._singly(count, pressed)
        else:
            self.refused += self._out.send(self.socket, count)
        packets["timestamp"] = times
        for row in pressed:
            self._out.lengths[row] = _HEADER_BYTES + FRAME
        packets["second"] = 0
        packets["sequence"] += 1
        packets["timestamp"] += FRAME
        self._at[:count] = (self._at[:count] + 1) % len(self._speech)

    def _press(self) -> dict[int, int]:
        """Puts events where calls press keys; the lengths of these rows' packets."""
        lengths = {}
        packets = self._packets
        for call, keypad in list(self._keypads.items()):
            event, row = keypad.step(), self._calls.index(call)
            if event is not None:
                packets["second"][row] = EVENT_TYPE | event.marker << 7
                packets["timestamp"][row] -= np.uint32(FRAME * event.began_frames_ago)
                packets["payload"][row, :_EVENT_BYTES] = np.frombuffer(event.payload, np.uint8)
                self._out.lengths[row] = lengths[row] = _HEADER_BYTES + _EVENT_BYTES
            if keypad.done:
                del self._keypads[call]
        return lengths

    def _singly(self, count: int, lengths: dict[int, int]) -> None:
        for row in range(count):
            wire = self._packets[row].tobytes()[: lengths.get(row, _HEADER_BYTES + FRAME)]
            if self._protect is not None:
                wire = self._protect(wire)
            if self._line is not None:
                self._line(self._calls[row], wire, self._to[row])
            else:
                self._out.rows[row, : len(wire)] = np.frombuffer(wire, np.uint8)
                self._out.lengths[row] = len(wire)
        if self._line is None:
            self.refused += self._out.send(self.socket, count)

    def hear(self) -> list[NDArray[np.void]]:
        """What has come, as PACKET."""
        heard = []
        for _ in range(16):
            count = self._in.receive(self.socket)
            if count:
                heard.append(self._read(count))
            if count < CAPACITY:
                break
        return heard

    def _read(self, count: int) -> NDArray[np.void]:
        lengths, ports, stamps = self._in.received(count)
        rows: Any = self._in.rows[:count]
        fields = rows.view(_RTP)[:, 0]
        packets: Any = np.zeros(count, PACKET)
        packets["port"], packets["arrival_ns"] = ports, stamps
        packets["sequence"], packets["timestamp"] = fields["sequence"], fields["timestamp"]
        packets["mark"] = marks(rows[:, _HEADER_BYTES : _HEADER_BYTES + 3])
        # RTP of audio only: RTCP and events are somebody else's (RFC 5761 §4).
        kind = fields["second"] & 0x7F
        audio: NDArray[np.void] = packets[(lengths >= _HEADER_BYTES) & (kind <= 9)]
        return audio

    def drops(self) -> int:
        """Packets that came and that we were too slow to take."""
        return drops(self.socket)

    def close(self) -> None:
        self.socket.close()
