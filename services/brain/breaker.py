"""A circuit breaker, for a model's deployment as for a tool's business system: pure, its times come from the caller.

Why not a library: see docs/decisions/0014-models-and-fail-over.md.
"""

from collections import deque
from enum import StrEnum


class State(StrEnum):
    CLOSED = "closed"
    """Asked as usual."""
    OPEN = "open"
    """Not asked."""
    HALF_OPEN = "half_open"
    """One trial is let through; its end decides."""


class Breaker:
    """Opens after `failures` in a row within `within_s`, and tries again after `open_s`.

    Every `allows` that said yes is to be followed by `succeeded`, `failed` or, where there is no verdict, `let_go`.
    Times are seconds of any clock that never goes back.
    """

    def __init__(self, name: str, failures: int = 5, within_s: float = 30, open_s: float = 10) -> None:
        self.name = name
        self.state = State.CLOSED
        self._failures = failures
        self._within_s = within_s
        self._open_s = open_s
        self._failed_at: deque[float] = deque(maxlen=failures)
        self._since_s = 0.0
        """Since when it is open, or the trial runs."""

    def allows(self, now_s: float) -> bool:
        """May it be asked now? Yes while half-open is said once: whoever asked makes the trial.

        A trial that nothing was heard of for `open_s` is taken for lost, and another one allowed.
        """
        if self.state is State.CLOSED:
            return True
        if now_s - self._since_s < self._open_s:
            return False
        self.state = State.HALF_OPEN
        self._since_s = now_s
        return True

    def would_allow(self, now_s: float) -> bool:
        """What `allows` would say, without taking the trial."""
        return self.state is State.CLOSED or now_s - self._since_s >= self._open_s

    def succeeded(self, now_s: float) -> None:
        """It answered. What was asked before it opened, and answers late, closes nothing."""
        if self.state is not State.OPEN:
            self.state = State.CLOSED
            self._failed_at.clear()

    def failed(self, now_s: float) -> None:
        """It did not answer, or badly, and that was not the asker's fault."""
        if self.state is State.OPEN:
            return
        self._failed_at.append(now_s)
        full = len(self._failed_at) == self._failures
        if self.state is State.HALF_OPEN or (full and now_s - self._failed_at[0] <= self._within_s):
            self.trip(now_s)

    def trip(self, now_s: float) -> None:
        """Open at once: there is no point in asking again, as when it does not know us."""
        self.state = State.OPEN
        self._since_s = now_s
        self._failed_at.clear()

    def let_go(self, now_s: float) -> None:
        """It was asked and is not waited for any more: no verdict. A trial that ends so can be made again at once."""
        if self.state is State.HALF_OPEN:
            self.state = State.OPEN
            self._since_s = now_s - self._open_s
