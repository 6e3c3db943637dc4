"""What is due when, beside the transactions' timers: session timers, PRACK, glare (all by call)."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.gateway.sip.events import Output

Action = Callable[[float], "list[Output]"]
"""Called with the time, once it has come."""


class Alarm:
    """Goes off once, unless cancelled. A cancelled one holds on to nothing."""

    __slots__ = ("action",)

    def __init__(self, action: Action) -> None:
        self.action: Action | None = action

    def cancel(self) -> None:
        self.action = None


class Alarms:
    """A heap of alarms; what was cancelled is cleared out when it is most of them."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        self._order = count()
        self._sweep_at = 64

    @property
    def held(self) -> int:
        return sum(alarm.action is not None for _, _, alarm in self._heap)

    def set(self, at: float, action: Action) -> Alarm:
        alarm = Alarm(action)
        heapq.heappush(self._heap, (at, next(self._order), alarm))
        if len(self._heap) >= self._sweep_at:
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._sweep_at = max(64, 2 * len(self._heap))
        return alarm

    def next_deadline(self) -> float | None:
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, now: float) -> Action | None:
        """The next action whose time has come. One by one: an action may cancel the next."""
        while self._heap and self._heap[0][0] <= now:
            _, _, alarm = heapq.heappop(self._heap)
            if alarm.action is not None:
                action, alarm.action = alarm.action, None
                return action
        return None
