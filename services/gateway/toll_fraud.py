"""What calls out may cost: whom a trunk may call, how often, and for how many minutes a day."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum

from services.gateway.numbers import NumberPattern, NumberPlan
from services.gateway.trunk_settings import OutboundSettings

DAY_S = 86_400.0
_WINDOW_S = 60.0
# Digits as they are dialled, or a user name in a PBX. Nothing that would end the user part of a URI.
_DIALLABLE = re.compile(r"\+?[0-9]{1,32}|[A-Za-z0-9_.*#-]{1,64}")


class OutboundRefused(StrEnum):
    """Why a call is not placed; for logs, metrics and whoever asked."""

    NOT_SET_UP = "outbound_not_set_up"
    BAD_NUMBER = "bad_number"
    DESTINATION = "destination_not_allowed"
    RATE = "calls_per_minute"
    MINUTES = "minutes_per_day"

    @property
    def explanation(self) -> str:
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    OutboundRefused.NOT_SET_UP: "the trunk has no `outbound` settings: it places no calls",
    OutboundRefused.BAD_NUMBER: "no number that can be dialled: digits with or without a plus, or a user name",
    OutboundRefused.DESTINATION: "the number is not in the trunk's outbound.destinations",
    OutboundRefused.RATE: "the trunk's outbound.max_calls_per_minute is reached",
    OutboundRefused.MINUTES: "the trunk's outbound.max_minutes_per_day is reached; it begins anew at 00:00 UTC",
}


@dataclass(frozen=True, slots=True)
class Placed:
    """A call that may be placed. `number` is what to dial: that and nothing else was checked."""

    number: str


class OutboundCaps:
    """One trunk's. Times are monotonic seconds; `unix_offset_s` added to them gives seconds since 1970.

    The day's minutes are those from answer to end, to the second, calls that run now included. They are kept as long
    as this object.
    """

    def __init__(
        self, settings: OutboundSettings | None, numbers: NumberPlan | None = None, unix_offset_s: float = 0.0
    ) -> None:
        """`settings` None: nobody is called."""
        self._settings = settings
        self._numbers = numbers
        self._unix_offset_s = unix_offset_s
        self._patterns = [NumberPattern(text) for text in settings.destinations] if settings else []
        self._placed: deque[float] = deque()
        self._answered: set[Hashable] = set()
        self._used_s = 0.0
        self._counted_to: float | None = None

    def admit(self, destination: str, now: float) -> Placed | OutboundRefused:
        """Whether this number may be called now; if so, it counts as an attempt."""
        settings = self._settings
        if settings is None:
            return OutboundRefused.NOT_SET_UP
        if not _DIALLABLE.fullmatch(destination):
            return OutboundRefused.BAD_NUMBER
        e164 = self._numbers.e164(destination) if self._numbers else None
        number = e164 or destination
        if not any(self._allows(pattern, number) for pattern in self._patterns):
            return OutboundRefused.DESTINATION
        while self._placed and self._placed[0] <= now - _WINDOW_S:
            self._placed.popleft()
        if len(self._placed) >= settings.max_calls_per_minute:
            return OutboundRefused.RATE
        if self.left_s(now) <= 0:
            return OutboundRefused.MINUTES
        self._placed.append(now)
        return Placed(self._numbers.dialled(number) if self._numbers else number)

    @staticmethod
    def _allows(pattern: NumberPattern, number: str) -> bool:
        # "*" and "1*" would open 112 and 190x, which no plus tells apart from anything.
        if not pattern.exact and not pattern.regular and not number.startswith("+"):
            return False
        return pattern.matches(number)

    def answered(self, call: Hashable, now: float) -> None:
        """From now on the call costs."""
        self._count(now)
        self._answered.add(call)

    def ended(self, call: Hashable, now: float) -> None:
        """Nothing for a call that was never answered, or has ended already."""
        self._count(now)
        self._answered.discard(call)

    def left_s(self, now: float) -> float:
        """Seconds of talk left today; below 0 when the running calls were not ended in time."""
        self._count(now)
        return self._budget_s - self._used_s

    def deadline(self, now: float) -> float | None:
        """When all running calls must end if none ends and none is added before; None: not because of the cap.

        Ask again after each `answered` and `ended`.
        """
        running = len(self._answered)
        if self._settings is None or not running:
            return None
        ends = now + max(self.left_s(now), 0.0) / running
        midnight = self._midnight_after(now)
        if ends < midnight:
            return ends
        # The new day brings a new budget.
        ends = midnight + self._budget_s / running
        return ends if ends < midnight + DAY_S else None

    @property
    def running(self) -> int:
        """Answered calls."""
        return len(self._answered)

    @property
    def _budget_s(self) -> float:
        return self._settings.max_minutes_per_day * 60.0 if self._settings else 0.0

    def _midnight_after(self, now: float) -> float:
        return (((now + self._unix_offset_s) // DAY_S) + 1) * DAY_S - self._unix_offset_s

    def _count(self, now: float) -> None:
        """Brings `_used_s` up to date: what running calls used since it was last counted, of today only."""
        before, self._counted_to = self._counted_to, now
        if before is None or now < before:
            return
        midnight = self._midnight_after(now) - DAY_S
        if before < midnight:
            self._used_s, before = 0.0, midnight
        self._used_s += (now - before) * len(self._answered)
