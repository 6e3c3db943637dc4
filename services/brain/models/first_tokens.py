"""How long a deployment takes to its first speakable token, from its last ones."""

import bisect
from collections import deque

LAST = 100
ENOUGH = 10
"""Fewer say little about one in ten."""
COLD_US = 600_000
LEAST_US = 150_000
"""A fast model's p90 is within what a network does now and then."""


class FirstTokens:
    """The last LAST times. An attempt that was given up counts as slower than all: were it left out, the slowest
    tenth would vanish from the record, and the p90 with it, a little more each time."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=LAST)
        self._sorted: list[float] = []

    def took(self, us: float) -> None:
        self._add(us)

    def given_up(self) -> None:
        """It had not spoken when it was waited for no longer."""
        self._add(float("inf"))

    def _add(self, us: float) -> None:
        if len(self._times) == LAST:
            del self._sorted[bisect.bisect_left(self._sorted, self._times[0])]
        self._times.append(us)
        bisect.insort(self._sorted, us)

    def hedge_after_us(self, most_us: int) -> int:
        """When to ask the next one beside it: at its p90, at least LEAST_US, at most `most_us`.

        Not before its median whatever `most_us` says, or every other answer would be paid for twice. When half of them
        were given up there is no median, and `most_us` holds.
        """
        times = self._sorted
        if len(times) < ENOUGH:
            return min(COLD_US, most_us)
        p90, median = times[len(times) * 9 // 10], times[len(times) // 2]
        wanted = max(LEAST_US, min(p90, most_us))
        return int(max(wanted, median) if median < float("inf") else wanted)
