"""What recognition gives up when finals wait too long, one step after the other, and takes up again. Pure.

As in CoDel (RFC 8289) it is a standing queue that counts, not a burst: a step is taken when every final of a while
waited longer than its bound.
"""

import enum
from dataclasses import dataclass


class Step(enum.IntEnum):
    """Each with all that stands above it. Finals are never given up."""

    NOTHING = 0
    NO_PARTIALS = 1
    SMALLER_MODEL = 2
    """And no head starts."""
    NO_NEW_CALLS = 3


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds. `delays_s`: a final's wait above which steps 1, 2 and 3 are taken, ascending."""

    delays_s: tuple[float, float, float] = (0.15, 0.4, 1.0)
    rise_s: float = 1.0
    """How long the wait must have been above a bound."""
    recover_s: float = 5.0
    """How long below half of it, for a step back."""
    relapse_s: float = 30.0
    """A step taken again within this time of the step back: the next recovery waits twice as long."""
    longest_recover_s: float = 60.0


class Ladder:
    """The step that recognition is on. Times are local seconds, never running back."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._recover_s = self._bounds.recover_s
        self._above_since: float | None = None
        self._below_since: float | None = None
        self._stepped_back_at: float | None = None
        self.step = Step.NOTHING

    def observe(self, delay_s: float, now: float) -> bool:
        """A final began after waiting delay_s, or still waits, or (0) a worker has nothing to do. Has the step changed?

        One step at a time: each gets its while to help.
        """
        delays = self._bounds.delays_s
        above = self.step < Step.NO_NEW_CALLS and delay_s > delays[self.step]
        below = self.step > Step.NOTHING and delay_s < delays[self.step - 1] / 2
        self._above_since = _since(self._above_since, above, now)
        self._below_since = _since(self._below_since, below, now)
        if self._above_since is not None and now - self._above_since >= self._bounds.rise_s:
            self._rise(now)
        elif self._below_since is not None and now - self._below_since >= self._recover_s:
            self.step = Step(self.step - 1)
            self._stepped_back_at = now
        else:
            return False
        self._above_since = self._below_since = None
        return True

    def _rise(self, now: float) -> None:
        self.step = Step(self.step + 1)
        if self._stepped_back_at is not None and now - self._stepped_back_at < self._bounds.relapse_s:
            self._recover_s = min(self._recover_s * 2, self._bounds.longest_recover_s)
        else:
            self._recover_s = self._bounds.recover_s


def _since(since: float | None, holds: bool, now: float) -> float | None:
    if not holds:
        return None
    return now if since is None else since
