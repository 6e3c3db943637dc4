"""Which traces are exported: drawn by trace id at the head, or kept later because of what happened. Pure.

Times are seconds of one clock that never goes back. What is exported and what is held may be anything: spans, in truth.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

S = TypeVar("S")
_LOW = (1 << 64) - 1


def drawn(trace_id: int, ratio: float) -> bool:
    """The same answer in every process: it follows from the trace id's lower 64 bits, which are random."""
    return ratio >= 1.0 or (trace_id & _LOW) < int(ratio * (1 << 64))


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one process. A span that is held takes about 4 kB."""

    spans: int = 10_000
    """Held in all."""
    spans_a_trace: int = 500
    """A turn has five to ten in a process: some fifty turns."""
    traces: int = 10_000
    """Of which is remembered that they are kept or over."""
    held_s: float = 3600.0
    """Since a trace's first span. Its gateway may have died, and then nobody says that the call is over."""
    grace_s: float = 5.0
    """After the end of the call, for a late `keep` and for spans still open."""
    remembered_s: float = 120.0
    """After the end of the call, that it was kept or not."""


@dataclass(slots=True)
class _Held(Generic[S]):
    since: float
    spans: deque[S] = field(default_factory=deque)


class HeldSpans(Generic[S]):
    """The spans of calls that were not drawn, until somebody wants their trace or the call is over.

    Never more than the bounds say. Where a bound is met the oldest trace goes first; within a trace its oldest spans
    but the very first, for that one tells what the call was.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._held: dict[int, _Held[S]] = {}
        """By trace, the oldest first."""
        self._kept: dict[int, str] = {}
        """Why, by trace."""
        self._over: set[int] = set()
        """Calls whose grace has run or runs out."""
        self._due: deque[tuple[float, int]] = deque()
        """When what is held of a call that is over goes."""
        self._forget: deque[tuple[float, int]] = deque()
        self._waiting: set[int] = set()
        """Calls within their grace."""
        self.held = 0
        """Spans that are held now."""
        self.unsampled = 0
        """Spans that went because nobody wanted their call."""
        self.overflowed = 0
        """Spans that went because a bound was met."""

    def why(self, trace_id: int) -> str | None:
        """Why a trace is kept; None when it is not."""
        return self._kept.get(trace_id)

    def ended(self, trace_id: int, span: S, now: float) -> str | None:
        """A span of a trace that was not drawn. The reason when it is to be exported now; None: held, or gone."""
        self.tick(now)
        if (why := self._kept.get(trace_id)) is not None:
            return why
        if trace_id in self._over and trace_id not in self._waiting:
            self.unsampled += 1
            return None
        held = self._held.get(trace_id)
        if held is None:
            held = self._held[trace_id] = _Held(now)
        held.spans.append(span)
        self.held += 1
        if len(held.spans) > self._bounds.spans_a_trace:
            self._lose_second(held)
        while self.held > self._bounds.spans:
            self._lose_oldest_trace(but=trace_id)
        return None

    def keep(self, trace_id: int, why: str, now: float) -> Iterable[S]:
        """What is held of the trace, in the order in which it ended: to be exported. What comes will be told by
        `ended`. The first reason stays."""
        self.tick(now)
        self._kept.setdefault(trace_id, why)
        if len(self._kept) > self._bounds.traces:
            del self._kept[next(iter(self._kept))]
        held = self._held.pop(trace_id, None)
        if held is None:
            return ()
        self.held -= len(held.spans)
        return held.spans

    def over(self, trace_id: int, now: float) -> None:
        """The call has ended. Said again it changes nothing."""
        self.tick(now)
        if trace_id in self._over:
            return
        self._over.add(trace_id)
        self._waiting.add(trace_id)
        self._due.append((now + self._bounds.grace_s, trace_id))
        self._forget.append((now + self._bounds.remembered_s, trace_id))
        if len(self._over) > self._bounds.traces:
            self._forgotten(self._forget.popleft()[1])

    def tick(self, now: float) -> None:
        """Lets go what is due. Everything else does so too: without spans nothing needs to be let go."""
        while self._due and self._due[0][0] <= now:
            trace_id = self._due.popleft()[1]
            self._waiting.discard(trace_id)
            self.unsampled += self._drop(trace_id)
        while self._forget and self._forget[0][0] <= now:
            self._forgotten(self._forget.popleft()[1])
        while self._held:
            oldest = next(iter(self._held))
            if now - self._held[oldest].since < self._bounds.held_s:
                break
            self.overflowed += self._drop(oldest)

    def _forgotten(self, trace_id: int) -> None:
        self._over.discard(trace_id)
        self._kept.pop(trace_id, None)

    def _drop(self, trace_id: int) -> int:
        held = self._held.pop(trace_id, None)
        if held is None:
            return 0
        self.held -= len(held.spans)
        return len(held.spans)

    def _lose_second(self, held: _Held[S]) -> None:
        first = held.spans.popleft()
        held.spans.popleft()
        held.spans.appendleft(first)
        self.held -= 1
        self.overflowed += 1

    def _lose_oldest_trace(self, but: int) -> None:
        """The one that has just got a span goes last: alone, it loses spans one by one."""
        oldest = next((one for one in self._held if one != but), but)
        if oldest == but:
            self._lose_second(self._held[but])
        else:
            self.overflowed += self._drop(oldest)
