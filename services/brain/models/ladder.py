"""One answer out of several deployments: who is asked when, whose words are spoken, who is given up. Pure.

The best deployment is asked first. When it has said nothing speakable at its p90, the next one is asked beside it, and
the first to speak is heard. Whoever fails is followed by the next. One that breaks off in the middle is followed by one
that is told what was said already. When no other is left a deployment is asked a second time, for a stall or a broken
connection is mostly one request's. Times are µs of any clock that never goes back.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from services.brain.breaker import Breaker
from services.brain.models.failure import Failure
from services.brain.models.first_tokens import FirstTokens

AT_ONCE = 4
"""So many attempts run side by side at most."""
# What may be over by the next request.
_PASSING = (Failure.EMPTY, Failure.BROKEN, Failure.STALLED)


@dataclass(slots=True)
class Standing:
    """What is known of a deployment from all its calls."""

    breaker: Breaker
    first_tokens: FirstTokens = field(default_factory=FirstTokens)


@dataclass(frozen=True, slots=True)
class Rung:
    """A deployment as the ladder sees it."""

    standing: Standing
    first_within_us: int
    next_within_us: int
    hedge_most_us: int
    """0: nobody is asked beside it."""
    last_resort: bool = False
    """The script: asked only when nobody else is left, so never as a hedge, and never skipped."""


class Why(Enum):
    FIRST = auto()
    HEDGE = auto()
    FAILED = auto()
    """The one before failed before it said anything."""
    BROKE_OFF = auto()
    """The one before failed in the middle; `said` is what the caller has of it."""


@dataclass(frozen=True, slots=True)
class Start:
    """Ask the deployment of `rung`; where something was `said`, to go on behind it."""

    attempt: int
    rung: int
    why: Why
    said: str = ""


@dataclass(frozen=True, slots=True)
class Won:
    """This attempt is the one that is heard; `after_us` from its start."""

    attempt: int
    after_us: int


@dataclass(frozen=True, slots=True)
class Abandon:
    """Cancel it: another one spoke first (`failure` None), or it failed by saying nothing."""

    attempt: int
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Fell:
    """It failed by itself and is over."""

    attempt: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class Emit:
    """A piece of text for the caller."""

    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer is complete."""

    attempt: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nobody is left to ask. `skipped`: rungs that were not asked, or not again, because their breaker is open."""

    skipped: tuple[int, ...]


Output = Start | Won | Abandon | Fell | Emit | Finish | GiveUp


@dataclass(slots=True)
class _Attempt:
    number: int
    rung: int
    asked_us: int
    spoke_us: int = 0
    """The last speakable token; 0 before the first."""


class Ladder:
    """Feed it what happens and do what it says, in order. Over after Finish or GiveUp: then nothing matters to it.

    What comes from an attempt that is over is passed over.
    """

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self._rungs = tuple(rungs)
        # Places in the ladder, those that may only be asked last left out.
        self._to_ask = [place for place, one in enumerate(self._rungs) if not one.last_resort]
        self._again: list[int] = []
        """Asked once, and worth asking once more when no other is left."""
        self._last = [place for place, one in enumerate(self._rungs) if one.last_resort]
        self._running: list[_Attempt] = []
        self._winner: _Attempt | None = None
        self._count = 0
        self._said: list[str] = []
        self._skipped: set[int] = set()
        self._over = False

    # What happens.

    def begin(self, now_us: int) -> list[Output]:
        return self._next(Why.FIRST, now_us)

    def text(self, attempt: int, text: str, now_us: int) -> list[Output]:
        """A piece of the answer. Spaces and nothing at all are passed on, and are no sign of life."""
        one = self._find(attempt)
        if one is None or not text:
            return []
        if not text.strip():
            return self._emit(one, text) if one is self._winner else []
        return [*self._spoke(one, now_us), *self._emit(one, text)]

    def tool_call(self, attempt: int, now_us: int) -> list[Output]:
        """A part of a tool call: as good as a word, though nothing is said."""
        one = self._find(attempt)
        return self._spoke(one, now_us) if one is not None else []

    def ended(self, attempt: int, now_us: int) -> list[Output]:
        """The stream came to its proper end."""
        one = self._find(attempt)
        if one is None:
            return []
        if one is not self._winner:
            return self._fell(one, Failure.EMPTY, now_us)
        self._over = True
        self._running.clear()
        self._rungs[one.rung].standing.breaker.succeeded(now_us / 1e6)
        return [Finish(attempt)]

    def failed(self, attempt: int, failure: Failure, now_us: int) -> list[Output]:
        one = self._find(attempt)
        return self._fell(one, failure, now_us) if one is not None else []

    def expire(self, now_us: int) -> list[Output]:
        """To be called at `next_deadline`; again is harmless."""
        if self._over:
            return []
        out: list[Output] = []
        for one in list(self._running):
            if one in self._running and now_us >= self._deadline(one):
                failure = Failure.STALLED if one.spoke_us else Failure.SILENT
                out += self._fell(one, failure, now_us, Abandon(one.number, failure))
        at = self._hedge_at()
        if at is not None and now_us >= at:
            out += self._hedge(now_us)
        return out

    def stopped(self, now_us: int) -> None:
        """The caller went on, and nobody wants the answer: no verdict on those that had not spoken yet."""
        for one in self._running:
            breaker = self._rungs[one.rung].standing.breaker
            if one is self._winner:
                breaker.succeeded(now_us / 1e6)
            else:
                breaker.let_go(now_us / 1e6)
        self._running.clear()
        self._over = True

    def next_deadline(self) -> int | None:
        if self._over:
            return None
        times = [self._deadline(one) for one in self._running]
        hedge_at = self._hedge_at()
        return min([*times, hedge_at] if hedge_at is not None else times, default=None)

    # Who is asked.

    def _next(self, why: Why, now_us: int) -> list[Output]:
        """The best one that is left."""
        for place in [*self._others(), *self._last]:
            if self._allowed(place, now_us):
                return [self._start(place, why, now_us)]
        self._over = True
        return [GiveUp(tuple(sorted(self._skipped)))]

    def _others(self) -> list[int]:
        return [*self._to_ask, *self._again]

    def _allowed(self, place: int, now_us: int) -> bool:
        one = self._rungs[place]
        if one.last_resort or one.standing.breaker.allows(now_us / 1e6):
            self._skipped.discard(place)
            return True
        self._skipped.add(place)
        return False

    def _start(self, place: int, why: Why, now_us: int) -> Start:
        if place in self._to_ask:
            self._to_ask.remove(place)
            bisect.insort(self._again, place)
        elif place in self._again:
            self._again.remove(place)
        else:
            self._last.remove(place)
        self._count += 1
        self._running.append(_Attempt(self._count, place, now_us))
        return Start(self._count, place, why, "".join(self._said) if why is Why.BROKE_OFF else "")

    def _hedge_at(self) -> int | None:
        """When the next one is asked beside those that run; None when it is not."""
        if self._winner is not None or not self._running or len(self._running) >= AT_ONCE:
            return None
        one = self._running[-1]
        rung = self._rungs[one.rung]
        if not rung.hedge_most_us or all(place in self._skipped for place in self._others()):
            return None
        return one.asked_us + rung.standing.first_tokens.hedge_after_us(rung.hedge_most_us)

    def _hedge(self, now_us: int) -> list[Output]:
        for place in self._others():
            if self._allowed(place, now_us):
                return [self._start(place, Why.HEDGE, now_us)]
        return []  # all are skipped, and are not asked for again beside another one

    # What becomes of them.

    def _find(self, attempt: int) -> _Attempt | None:
        return next((one for one in self._running if one.number == attempt), None)

    def _deadline(self, one: _Attempt) -> int:
        rung = self._rungs[one.rung]
        return one.spoke_us + rung.next_within_us if one.spoke_us else one.asked_us + rung.first_within_us

    def _spoke(self, one: _Attempt, now_us: int) -> list[Output]:
        first = not one.spoke_us
        one.spoke_us = now_us
        if not first:
            return []
        after_us = now_us - one.asked_us
        self._rungs[one.rung].standing.first_tokens.took(after_us)
        self._winner = one
        out: list[Output] = [Won(one.number, after_us)]
        for other in [other for other in self._running if other is not one]:
            out.append(self._beaten(other, one, now_us))
        return out

    def _beaten(self, other: _Attempt, winner: _Attempt, now_us: int) -> Abandon:
        self._running.remove(other)
        standing = self._rungs[other.rung].standing
        # The hedge that comes too late had less time, which says nothing about it.
        if other.asked_us < winner.asked_us:
            standing.first_tokens.given_up()
            standing.breaker.failed(now_us / 1e6)
        else:
            standing.breaker.let_go(now_us / 1e6)
        return Abandon(other.number, None)

    def _fell(self, one: _Attempt, failure: Failure, now_us: int, told: Output | None = None) -> list[Output]:
        self._running.remove(one)
        standing = self._rungs[one.rung].standing
        if failure is Failure.UNKNOWN_TO_IT:
            standing.breaker.trip(now_us / 1e6)
        elif failure is Failure.REFUSED:
            standing.breaker.let_go(now_us / 1e6)
        else:
            standing.breaker.failed(now_us / 1e6)
        if failure is Failure.SILENT:
            standing.first_tokens.given_up()
        if failure is Failure.SILENT:
            self._again.clear()  # that is more than one request's stall, and the caller has waited long
        elif failure not in _PASSING and one.rung in self._again:
            self._again.remove(one.rung)
        broke_off = one is self._winner
        if broke_off:
            self._winner = None
        out: list[Output] = [told or Fell(one.number, failure)]
        if not self._running:
            # Where only a tool call had begun, nothing was said and the next one begins anew.
            out += self._next(Why.BROKE_OFF if broke_off and "".join(self._said).strip() else Why.FAILED, now_us)
        elif self._to_ask:
            out += self._hedge(now_us)
        return out

    def _emit(self, one: _Attempt, text: str) -> list[Output]:
        self._said.append(text)
        return [Emit(one.number, text)]
