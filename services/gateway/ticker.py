"""The 20 ms clock of all calls of a process: absolute deadlines, so lateness never adds up.

Calls tick in four phases 5 ms apart. In one, the work of hundreds of calls would hold up whatever comes meanwhile.
"""

import asyncio
import time
from collections.abc import Callable

from services.common.telemetry.log import logger

TICK_US = 20_000
# Timers of an event loop count whole milliseconds and may fire up to one early.
EARLY_US = 1_000
# A phone's jitter buffer of 20-40 ms hides less than this; more is heard.
LATE_US = 5_000
_BUCKETS = 1_000  # of 1 ms
_PHASES = 4


class TickSchedule:
    """When ticks are due, and how late they were. Pure; times are microseconds on any clock that never goes back.

    Slots that were missed altogether are told and never made up: a burst helps no jitter buffer.
    """

    def __init__(self, now_us: int) -> None:
        self.next_us = now_us + TICK_US
        self.ticks = 0
        self.late_ticks = 0
        self.missed_slots = 0
        self.worst_us = 0
        self.lateness_counts = [0] * _BUCKETS
        """Ticks by whole ms of lateness; the last one has all that are later."""

    def due(self, now_us: int) -> int:
        """Slots that have come since the last tick: 0 before the deadline, more than 1 when some were missed."""
        late_us = now_us - self.next_us
        if late_us < -EARLY_US:
            return 0
        late_us = max(late_us, 0)
        slots = 1 + late_us // TICK_US
        self.next_us += slots * TICK_US
        self.ticks += 1
        self.missed_slots += slots - 1
        self.late_ticks += late_us > LATE_US
        self.worst_us = max(self.worst_us, late_us)
        self.lateness_counts[min(late_us // 1000, _BUCKETS - 1)] += 1
        return slots

    def lateness_ms(self, share: float) -> int:
        """The lateness, in whole ms rounded up, that `share` (0-1) of the ticks stayed within."""
        left = share * self.ticks
        for millisecond, count in enumerate(self.lateness_counts):
            left -= count
            if left <= 0:
                return millisecond + 1
        return _BUCKETS


def now_us() -> int:
    """The monotonic clock in microseconds."""
    return time.monotonic_ns() // 1000


class _Phase:
    """Calls that tick at the same time. Rests while there is none."""

    def __init__(self, offset_us: int) -> None:
        self.listeners: dict[Callable[[int], None], Callable[[], None]] = {}
        self.schedule = TickSchedule(offset_us)
        self._offset_us = offset_us
        self._timer: asyncio.TimerHandle | None = None

    def due_in_us(self, at_us: int) -> int:
        return TICK_US - (at_us - self._offset_us) % TICK_US

    def add(self, listener: Callable[[int], None], on_failure: Callable[[], None]) -> None:
        self.listeners[listener] = on_failure
        if self._timer is None:
            at_us = now_us()
            self.schedule.next_us = at_us + self.due_in_us(at_us)
            self._arm()

    def close(self) -> None:
        self.listeners.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        delay_s = max(self.schedule.next_us - now_us(), 0) / 1e6
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        slots = self.schedule.due(now_us())
        if slots:
            for listener, on_failure in list(self.listeners.items()):
                if listener not in self.listeners:
                    continue  # another call's tick ended it
                try:
                    listener(slots)
                except Exception:
                    # One call's defect must not silence the others.
                    logger().exception("tick_failed")
                    self.listeners.pop(listener, None)
                    _tell(on_failure)
        if self.listeners and self._timer is None:
            self._arm()


def _tell(on_failure: Callable[[], None]) -> None:
    try:
        on_failure()
    except Exception:
        logger().exception("tick_failure_not_told")


class Ticker:
    """Calls each listener once a slot, with the number of slots that have come."""

    def __init__(self) -> None:
        begin_us = now_us()
        self._phases = [_Phase(begin_us + TICK_US * one // _PHASES) for one in range(_PHASES)]
        self._phase_of: dict[Callable[[int], None], _Phase] = {}

    def add(self, listener: Callable[[int], None], on_failure: Callable[[], None]) -> None:
        """It is called nearly a slot from now, 15 to 20 ms: whoever adds it sends its first packet at once.

        A listener that raises is not called again; `on_failure` is, once. One that is there already (early media goes
        on as the call's) is called once a slot all the same.
        """
        self.remove(listener)
        at_us = now_us()
        phase = max(self._phases, key=lambda one: one.due_in_us(at_us))
        self._phase_of[listener] = phase
        phase.add(listener, on_failure)

    def remove(self, listener: Callable[[int], None]) -> None:
        phase = self._phase_of.pop(listener, None)
        if phase is not None:
            phase.listeners.pop(listener, None)

    def close(self) -> None:
        self._phase_of.clear()
        for phase in self._phases:
            phase.close()

    @property
    def schedules(self) -> list[TickSchedule]:
        """Of each phase, for reports."""
        return [phase.schedule for phase in self._phases]
