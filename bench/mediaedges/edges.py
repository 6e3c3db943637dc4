"""The edges in Python. Each has sockets for its calls, hears at once or each 5 ms, and speaks in four phases.

`work` is what the rest of a gateway would do for a call in 20 ms; it is done on the event loop, for each frame heard.
"""

from __future__ import annotations

import asyncio
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Protocol

from bench.mediaedges.echocall import EchoCall
from bench.mediaedges.phases import PHASES, Phases, schedules
from services.gateway.ticker import now_us
from services.gateway.udp import Address, UdpPort

Work = Callable[[], None]
_LARGEST = 65535
# Above it epoll waits, in whole milliseconds; below it the thread sleeps to the microsecond.
_SLEEP_US = 1_500


class Edge(Protocol):
    """Calls and their sockets."""

    ports: list[int]

    def start(self) -> None:
        """On the running event loop."""

    def counts(self) -> tuple[int, int, float]:
        """So far: packets heard, packets sent, CPU seconds of sending."""


class ReaderEdge:
    """As the gateway: a reader of the event loop for each socket, a timer for each phase."""

    def __init__(self, count: int, work: Work) -> None:
        self._calls = [EchoCall(number) for number in range(count)]
        self._sockets = [UdpPort("127.0.0.1", 0) for _ in range(count)]
        self.ports = [one.port for one in self._sockets]
        pairs = list(zip(self._calls, self._sockets, strict=True))
        self._of_phase = [pairs[phase::PHASES] for phase in range(PHASES)]
        self._work = work
        self._phases = Phases(self._speak)

    def start(self) -> None:
        for call, here in zip(self._calls, self._sockets, strict=True):
            here.listen(self._hearing(call))
        self._phases.start()

    def counts(self) -> tuple[int, int, float]:
        return *_packets(self._calls), self._phases.cpu_s

    def _hearing(self, call: EchoCall) -> Callable[[bytes, Address], None]:
        def heard(datagram: bytes, source: Address) -> None:
            pcm = call.heard(datagram, source)
            if pcm is not None:
                call.pcm = pcm
                self._work()

        return heard

    def _speak(self, phase: int, slots: int) -> None:
        for call, here in self._of_phase[phase]:
            if (destination := call.destination) is not None:
                here.send(call.packet(slots), destination)


class _Polled:
    """Sockets of calls in one epoll, without the event loop."""

    def __init__(self, count: int) -> None:
        self.calls = [EchoCall(number) for number in range(count)]
        self.sockets = [_bound() for _ in range(count)]
        self.epoll = select.epoll()
        self._of: dict[int, tuple[EchoCall, Callable[[int], tuple[bytes, Address]]]] = {}
        for call, here in zip(self.calls, self.sockets, strict=True):
            self._of[here.fileno()] = call, here.recvfrom
            self.epoll.register(here.fileno(), select.EPOLLIN)
        self._most = max(count, 1)
        pairs = list(zip(self.calls, self.sockets, strict=True))
        self._of_phase = [pairs[phase::PHASES] for phase in range(PHASES)]

    def hear(self, wait_s: float) -> list[tuple[EchoCall, bytes]]:
        """A datagram of each socket that has one."""
        kept = []
        for descriptor, _ in self.epoll.poll(wait_s, self._most):
            call, receive = self._of[descriptor]
            try:
                datagram, source = receive(_LARGEST)
            except OSError:
                continue
            pcm = call.heard(datagram, source)
            if pcm is not None:
                kept.append((call, pcm))
        return kept

    def speak(self, phase: int, slots: int) -> None:
        for call, here in self._of_phase[phase]:
            if (destination := call.destination) is not None:
                try:
                    here.sendto(call.packet(slots), destination)
                except OSError:
                    continue


class PolledEdge:
    """All sockets in one epoll: the event loop watches it, or it is emptied when a phase is due."""

    def __init__(self, count: int, work: Work, *, watched: bool) -> None:
        self._polled = _Polled(count)
        self.ports = [one.getsockname()[1] for one in self._polled.sockets]
        self._work, self._watched = work, watched
        self._phases = Phases(self._speak)
        self._hearing_s = 0.0

    def start(self) -> None:
        if self._watched:
            asyncio.get_running_loop().add_reader(self._polled.epoll.fileno(), self._hear)
        self._phases.start()

    def counts(self) -> tuple[int, int, float]:
        return *_packets(self._polled.calls), self._phases.cpu_s - self._hearing_s

    def _hear(self) -> None:
        for call, pcm in self._polled.hear(0):
            call.pcm = pcm
            self._work()

    def _speak(self, phase: int, slots: int) -> None:
        if not self._watched:
            began = time.thread_time()
            self._hear()
            self._hearing_s += time.thread_time() - began
        self._polled.speak(phase, slots)


class ThreadEdge:
    """A thread that polls, decodes, paces and sends; the event loop is handed what was heard, four times in 20 ms."""

    def __init__(self, count: int, work: Work) -> None:
        self._polled = _Polled(count)
        self.ports = [one.getsockname()[1] for one in self._polled.sockets]
        self._work = work
        self._sending_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, daemon=True).start()

    def counts(self) -> tuple[int, int, float]:
        return *_packets(self._polled.calls), self._sending_s

    def _run(self) -> None:
        assert self._loop is not None
        phases = schedules()
        while True:
            phase = min(range(PHASES), key=lambda one: phases[one].next_us)
            batch: list[tuple[EchoCall, bytes]] = []
            while (ahead_us := phases[phase].next_us - now_us()) > 0:
                if ahead_us > _SLEEP_US:
                    batch += self._polled.hear(ahead_us // 1000 / 1000 - 0.001)
                else:
                    time.sleep(ahead_us / 1e6)
            batch += self._polled.hear(0)
            slots = phases[phase].due(now_us())
            self._loop.call_soon_threadsafe(self._take, batch)
            began = time.thread_time()
            self._polled.speak(phase, slots)
            self._sending_s += time.thread_time() - began

    def _take(self, batch: list[tuple[EchoCall, bytes]]) -> None:
        for call, pcm in batch:
            call.pcm = pcm
            self._work()


def _bound() -> socket.socket:
    here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    here.setblocking(False)
    here.bind(("127.0.0.1", 0))
    return here


def _packets(calls: list[EchoCall]) -> tuple[int, int]:
    return sum(one.received for one in calls), sum(one.sent for one in calls)
