"""A flooded port: most of it is read, at intervals; what is not flooded is read as ever."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from services.gateway.datagrams import FLOOD, FLOOD_WITHIN_S, POLL_S, POLLED, Address, FloodReader


class Loop:
    """What a reader asks of an event loop, at a time that the test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.reader: object = None
        self.timers: list[tuple[float, object]] = []

    def time(self) -> float:
        return self.now_s

    def add_reader(self, fd: int, callback: object) -> None:
        self.reader = callback

    def remove_reader(self, fd: int) -> None:
        self.reader = None

    def call_later(self, delay_s: float, callback: object) -> Timer:
        self.timers.append((self.now_s + delay_s, callback))
        return Timer(self)


class Timer:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def cancel(self) -> None:
        self._loop.timers.clear()


class Socket:
    """A queue of datagrams."""

    def __init__(self) -> None:
        self.queue: list[bytes | OSError] = []
        self.closed = False

    def getsockname(self) -> Address:
        return ("127.0.0.1", 20000)

    def fileno(self) -> int:
        return -1 if self.closed else 7

    def recvfrom(self, size: int) -> tuple[bytes, Address]:
        if not self.queue:
            raise BlockingIOError
        one = self.queue.pop(0)
        if isinstance(one, OSError):
            raise one
        return one, ("192.0.2.1", 4000)


class Port:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop, self.socket, self.got = Loop(), Socket(), list[bytes]()
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self.loop)
        self.reader = FloodReader(self.socket, self._datagram)  # type: ignore[arg-type]
        self.reader.start()

    def _datagram(self, data: bytes, source: Address) -> None:
        self.got.append(data)
        if data == b"defect":
            raise RuntimeError("a defect")
        if data == b"bye":
            self.reader.close()
            self.socket.closed = True

    def come(self, count: int, over_s: float = 0.0) -> None:
        """So many datagrams, evenly, each in a turn of the loop while the port is read by turns."""
        for _ in range(count):
            self.loop.now_s += over_s / count
            self.socket.queue.append(b"x")
            if self.loop.reader is not None:
                self.loop.reader()  # type: ignore[operator]

    def poll(self) -> None:
        (at_s, callback), *self.loop.timers = self.loop.timers
        self.loop.now_s = at_s
        callback()  # type: ignore[operator]


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[Port]:
    return Port(monkeypatch)


def test_a_call_is_read_by_turns(port: Port) -> None:
    port.come(10_000, 100.0)
    assert (len(port.got), port.reader.floods, port.loop.timers) == (10_000, 0, [])


def test_what_the_network_held_back_is_no_flood(port: Port) -> None:
    port.come(50, 1.0)
    port.come(100)
    port.come(1000, 10.0)
    assert port.reader.floods == 0


def test_a_flood_is_read_at_intervals_and_what_ends_is_over(port: Port) -> None:
    port.come(FLOOD, FLOOD_WITHIN_S / 2)
    assert (port.reader.floods, len(port.got)) == (1, FLOOD)
    assert port.loop.reader is None
    port.come(1000)
    for _ in range(3):
        port.poll()
        assert port.loop.reader is None
    assert len(port.got) == FLOOD + 3 * POLLED
    while port.loop.timers:
        port.poll()
    assert len(port.got) == FLOOD + 1000
    assert port.loop.reader is not None
    port.come(10, 0.2)
    assert port.got[-10:] == [b"x"] * 10
    assert port.reader.floods == 1


def test_it_can_come_again(port: Port) -> None:
    for _ in range(3):
        port.come(3 * FLOOD)
        while port.loop.timers:
            port.poll()
    assert port.reader.floods == 3


def test_an_icmp_error_is_passed_over(port: Port) -> None:
    port.come(FLOOD)
    port.socket.queue = [ConnectionRefusedError(), b"y", ConnectionRefusedError(), b"z"]
    port.poll()
    assert port.got[-2:] == [b"y", b"z"]


def test_a_defect_does_not_make_the_port_deaf(port: Port) -> None:
    port.come(FLOOD)
    port.socket.queue = [b"defect", b"y"]
    with suppress(RuntimeError):
        port.poll()
    assert port.loop.reader is not None or port.loop.timers
    while port.loop.timers:
        port.poll()
    while port.socket.queue:
        port.loop.reader()  # type: ignore[operator]
    assert port.got[-1] == b"y"


@pytest.mark.parametrize("before", [b"x", b"bye"])
def test_closed_in_a_flood(port: Port, before: bytes) -> None:
    port.come(FLOOD)
    port.socket.queue = [before] * 100
    if before == b"x":
        port.reader.close()
        port.socket.closed = True
    else:
        port.poll()
        assert len(port.got) == FLOOD + 1
    assert (port.loop.timers, port.loop.reader) == ([], None)


def test_the_share_of_a_flooded_port_is_bounded() -> None:
    assert POLLED / POLL_S < 15_000
    assert FLOOD / FLOOD_WITHIN_S >= 10 * 100, "ten times packets of 10 ms"


async def test_over_loopback() -> None:
    """With a real loop and sockets; the flood comes from a thread's worth of sends in between."""
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.setblocking(False)
    own.bind(("127.0.0.1", 0))
    got: list[int] = []
    reader = FloodReader(own, lambda data, source: got.append(int.from_bytes(data, "big")))
    reader.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(3000):
            sender.sendto(number.to_bytes(2, "big"), own.getsockname())
            if number % 50 == 0:
                await asyncio.sleep(0)
        while not got or got[-1] != 9999:
            sender.sendto((9999).to_bytes(2, "big"), own.getsockname())
            await asyncio.sleep(POLL_S)
    assert got == sorted(got)
    reader.close()
    own.close()
