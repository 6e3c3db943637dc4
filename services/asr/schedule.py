"""Which recognition pass runs next: finals before head starts before partials, and fair over calls. Pure.

Within a kind it is first come, first served, but for a call that asks more often than its share: what it asked too soon
counts as asked later (as in GCRA, ITU-T I.371).
"""

import enum
from typing import Generic, Protocol, TypeVar


class Kind(enum.IntEnum):
    """What a pass is for, the most urgent first."""

    FINAL = 0
    """The brain waits for it."""
    HEAD_START = 1
    """A moment of silence: it becomes the final when the silence lasts."""
    PARTIAL = 2
    """The words so far, while the caller speaks."""


class Request(Protocol):
    """A pass that waits. `wanted_at`: local seconds since when it is wanted as what it is."""

    call_id: str
    kind: Kind
    wanted_at: float


SHARE_S = 0.5
"""Seconds between a call's passes of a kind; no caller ends utterances faster for long."""
MOST_BEHIND_S = 2.0
"""No call is put back by more: others may keep coming for ever."""

Waiting = TypeVar("Waiting", bound=Request)


class Schedule(Generic[Waiting]):
    """Passes that wait. Finals are always taken in; of the others at most `most_early`."""

    def __init__(self, most_early: int) -> None:
        self._most_early = most_early
        self._tags: dict[Waiting, float] = {}
        self._next: dict[tuple[Kind, str], float] = {}

    def __len__(self) -> int:
        return len(self._tags)

    def waiting(self, kind: Kind) -> int:
        return sum(one.kind is kind for one in self._tags)

    def add(self, request: Waiting) -> list[Waiting]:
        """Takes a pass in and returns those that are shed for it; the pass itself when there is no room.

        A newer partial takes the place of an older one of its call; a head start that of the youngest partial.
        """
        shed: list[Waiting] = []
        if request.kind is Kind.PARTIAL:
            shed = [one for one in self._tags if one.kind is Kind.PARTIAL and one.call_id == request.call_id]
        early = [one for one in self._tags if one.kind is not Kind.FINAL and one not in shed]
        if request.kind is not Kind.FINAL and len(early) >= self._most_early:
            partials = [one for one in early if one.kind is Kind.PARTIAL]
            if request.kind is Kind.PARTIAL or not partials:
                return [request]
            shed = [max(partials, key=lambda one: one.wanted_at)]
        for one in shed:
            self._tags.pop(one)
        lane = request.kind, request.call_id
        too_soon_s = self._next.get(lane, request.wanted_at) - request.wanted_at
        tag = request.wanted_at + min(max(too_soon_s, 0.0), MOST_BEHIND_S)
        self._tags[request] = tag
        self._next[lane] = tag + SHARE_S
        return shed

    def remove(self, request: Waiting) -> bool:
        """Takes a pass out. Was it waiting?"""
        return self._tags.pop(request, None) is not None

    def promote(self, request: Waiting, now: float) -> bool:
        """The silence lasted: a pass becomes a final. Is it waiting as one?"""
        waited = self.remove(request)
        request.kind, request.wanted_at = Kind.FINAL, now
        if waited:
            self.add(request)
        return waited

    def next(self) -> Waiting | None:
        """Takes the next pass out."""
        if not self._tags:
            return None
        first = min(self._tags, key=lambda one: (one.kind, self._tags[one], one.wanted_at))
        self._tags.pop(first)
        return first

    def longest_wait(self, now: float) -> float:
        """Of the finals that wait now, in seconds; 0 when none does."""
        return max((now - one.wanted_at for one in self._tags if one.kind is Kind.FINAL), default=0.0)

    def forget(self, call_id: str) -> None:
        """The call is over."""
        for kind in Kind:
            self._next.pop((kind, call_id), None)
