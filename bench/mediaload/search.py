"""Which number of calls to try next. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Search:
    """Up the levels; one that is missed is tried again, for another program may have had the core; missed again, the
    room between the best that held and the worst that did not is halved until it is at most `fine` calls."""

    levels: Sequence[int]
    fine: int = 15
    tries: int = 2
    held: int = 0
    """The most calls that held so far."""
    missed: int | None = None
    """The fewest that did not."""
    _failures: dict[int, int] = field(default_factory=dict)

    def next(self) -> int | None:
        """None when it is known."""
        if self.missed is None:
            return next((level for level in self.levels if level > self.held), None)
        if self.missed - self.held <= self.fine:
            return None
        doubtful = (level for level, count in self._failures.items() if count < self.tries)
        again = next((level for level in doubtful if self.held < level < self.missed), None)
        middle = (self.held + self.missed) // 2
        return middle if again is None else again

    def tried(self, calls: int, held: bool) -> None:
        """What became of `next`."""
        if held:
            self.held = max(self.held, calls)
            self._failures.pop(calls, None)
            return
        self._failures[calls] = self._failures.get(calls, 0) + 1
        if self._failures[calls] >= self.tries:
            self.missed = calls if self.missed is None else min(self.missed, calls)
