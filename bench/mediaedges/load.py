"""Callers for an edge: a wheel of 20 lanes, one a millisecond, without signalling. In the process of the bench."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from bench.mediaload import speech
from bench.mediaload.lane import CAPACITY, Lane
from bench.mediaload.punctuality import PACKET, Punctuality, judge

LANES = 20
MOST_CALLS = LANES * CAPACITY
_MS = 1_000_000


class Load:
    """Speaks to `ports` on 127.0.0.1 and hears the answers."""

    def __init__(self, ports: Sequence[int]) -> None:
        rows = speech.payloads()
        self._lanes = [Lane(rows) for _ in range(LANES)]
        for number, port in enumerate(ports):
            self._lanes[number % LANES].add(number, ("127.0.0.1", port))
        self._began_ns = time.monotonic_ns()
        self._millisecond = 0
        self.behind_ms = 0.0
        """How far the callers were behind their own time at most, since the last `speak`."""
        self.lost_here = 0
        """Packets that came and that we were too slow to take, or that the kernel would not send."""

    def speak(self, seconds: float) -> Punctuality:
        """What came meanwhile. The speech goes on where it stopped."""
        window = []
        self.behind_ms, lost = 0.0, self._lost()
        until_ns = time.monotonic_ns() + int(seconds * 1000 * _MS)
        while (now_ns := time.monotonic_ns()) < until_ns:
            self._millisecond += 1
            ahead_ns = self._began_ns + self._millisecond * _MS - now_ns
            if ahead_ns > 0:
                time.sleep(ahead_ns / 1e9)
            else:
                self.behind_ms = max(self.behind_ms, -ahead_ns / 1e6)
            self._lanes[self._millisecond % LANES].speak()
            window += self._lanes[(self._millisecond + LANES // 2) % LANES].hear()
        self.lost_here = self._lost() - lost
        return judge(np.concatenate(window) if window else np.zeros(0, PACKET))

    def rest(self) -> None:
        """Time that was spent on other things is not made up."""
        self._began_ns = time.monotonic_ns() - self._millisecond * _MS

    def _lost(self) -> int:
        return sum(lane.drops() + lane.refused for lane in self._lanes)

    def close(self) -> None:
        for lane in self._lanes:
            lane.close()
