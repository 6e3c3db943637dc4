"""Packets back in order for the recogniser: nothing waits while nothing is missing."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from services.gateway.rtp import MAX_MISORDER

Item = TypeVar("Item")

WAIT_TICKS = 2
# One second: more than this held means the gap will never fill.
MAX_HELD = 50
# What was given up longer ago than this is not told from a duplicate any more: its sequence number isn't believed.
_REMEMBERED = MAX_MISORDER


@dataclass(frozen=True, slots=True)
class Ordered(Generic[Item]):
    """A packet in its turn. `lost` counts the packets given up directly before it."""

    item: Item
    arrived_us: int
    lost: int = 0


class ReorderWindow(Generic[Item]):
    """Hands a packet on at once when it is the next; else waits for the gap to fill, `wait_us` at most.

    Each packet comes out at most once and in order of sequence. One that comes after it was given up is dropped and
    counted as late, one that comes again as a duplicate.
    """

    def __init__(self, wait_us: int = WAIT_TICKS * 20_000) -> None:
        self.late = 0
        self.duplicates = 0
        self._wait_us = wait_us
        self._next: int | None = None
        self._held: dict[int, tuple[int, Item]] = {}
        self._first = 0
        self._given_up: set[int] = set()

    @property
    def holding(self) -> int:
        """Packets that wait for a gap to fill."""
        return len(self._held)

    def passes(self, sequence: int) -> bool:
        """Whether a packet is the next and nothing waits, as with most: it is in its turn and need not be pushed."""
        if sequence != self._next or self._held:
            return False
        self._next = sequence + 1
        return True

    def push(self, sequence: int, item: Item, now_us: int) -> list[Ordered[Item]]:
        """One packet with its extended sequence number; what can go on now."""
        if self._next is None:
            self._first = self._next = sequence
        if sequence == self._next and not self._held:
            self._next = sequence + 1
            return [Ordered(item, now_us)]
        if sequence < self._next:
            self._past(sequence)
            return []
        if sequence in self._held:
            self.duplicates += 1
            return []
        self._held[sequence] = (now_us, item)
        return self.expire(now_us)

    def expire(self, now_us: int) -> list[Ordered[Item]]:
        """Gives up gaps that have waited long enough; what can go on now."""
        out: list[Ordered[Item]] = []
        while self._held:
            assert self._next is not None
            lost = 0
            if self._next not in self._held:
                # A gap is known from the first packet that came from beyond it.
                noticed_us = min(arrived_us for arrived_us, _ in self._held.values())
                if now_us - noticed_us < self._wait_us and len(self._held) < MAX_HELD:
                    break
                first = min(self._held)
                lost = first - self._next
                self._give_up(self._next, first)
                self._next = first
            arrived_us, item = self._held.pop(self._next)
            out.append(Ordered(item, arrived_us, lost))
            self._next += 1
        return out

    def _give_up(self, first: int, end: int) -> None:
        horizon = end - _REMEMBERED
        if len(self._given_up) > 2 * _REMEMBERED:
            self._given_up = {one for one in self._given_up if one >= horizon}
        self._given_up.update(range(max(first, horizon), end))

    def _past(self, sequence: int) -> None:
        if sequence in self._given_up:
            self._given_up.remove(sequence)
            self.late += 1
        elif sequence < self._first:
            self.late += 1
        else:
            self.duplicates += 1
