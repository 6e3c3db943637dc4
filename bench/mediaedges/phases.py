"""The four phases of services/gateway/ticker.py, with the CPU time of each told apart from all else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from services.gateway.ticker import TICK_US, TickSchedule, now_us

PHASES = 4


class Phases:
    """Calls `speak` with the number of the phase and the slots that have come, each phase every 20 ms."""

    def __init__(self, speak: Callable[[int, int], None]) -> None:
        self.schedules = schedules()
        self.cpu_s = 0.0
        """Of `speak` so far, on this thread."""
        self._speak = speak

    def start(self) -> None:
        for phase in range(PHASES):
            self._arm(phase)

    def _arm(self, phase: int) -> None:
        delay_s = max(self.schedules[phase].next_us - now_us(), 0) / 1e6
        asyncio.get_running_loop().call_later(delay_s, self._tick, phase)

    def _tick(self, phase: int) -> None:
        slots = self.schedules[phase].due(now_us())
        if slots:
            began = time.thread_time()
            self._speak(phase, slots)
            self.cpu_s += time.thread_time() - began
        self._arm(phase)


def schedules() -> list[TickSchedule]:
    """5 ms apart."""
    begin_us = now_us()
    return [TickSchedule(begin_us + TICK_US * phase // PHASES) for phase in range(PHASES)]
