"""Who gets in: as many calls as there are slots, to the call; and no more a second than a trunk may bring."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from services.gateway.rate_limit import TokenBucket
from services.gateway.trunk_settings import TrunkSettings

# Long enough for a trunk to try its next destination first.
RETRY_AFTER_FULL_S = 5
RETRY_AFTER_DRAINING_S = 30
RETRY_AFTER_RATE_S = 1


class NoSlot(StrEnum):
    """Why a call is not let in; for logs and metrics."""

    DRAINING = "draining"
    GATEWAY_FULL = "gateway_full"
    TRUNK_FULL = "trunk_full"
    TRUNK_RATE = "trunk_rate"


@dataclass(frozen=True, slots=True)
class Refusal:
    """503 with Retry-After (RFC 3261 §21.5.4). `reason` is the phrase on the wire: it tells nobody our limits."""

    reason: str
    retry_after_s: int
    cause: NoSlot = NoSlot.GATEWAY_FULL

    @property
    def status(self) -> int:
        return 503


@dataclass(frozen=True, slots=True)
class TrunkLimits:
    """None: no limit of its own."""

    max_calls: int | None = None
    max_calls_per_s: float | None = None

    @classmethod
    def of(cls, trunks: Iterable[TrunkSettings]) -> "dict[str, TrunkLimits]":
        """By trunk name."""
        return {trunk.name: cls(trunk.max_calls, trunk.max_calls_per_s) for trunk in trunks}


class Slots(Protocol):
    """Where slots are counted. A trunk that it was not told of has the gateway's limit alone."""

    @property
    def max_calls(self) -> int: ...

    @property
    def taken(self) -> int:
        """Of all trunks; of all processes where they share."""

    def take(self, trunk: str, now: float) -> NoSlot | None:
        """Takes one, or says why not. A call that is refused for want of a slot costs no token of the rate."""

    def give(self, trunk: str) -> None:
        """Gives back one that this process took."""


class OwnSlots:
    """Slots of one process."""

    def __init__(self, max_calls: int, limits: dict[str, TrunkLimits] | None = None) -> None:
        self._max_calls = max_calls
        self._limits = limits or {}
        self._taken: dict[str, int] = {}
        self._rates = {
            name: TokenBucket(one.max_calls_per_s) for name, one in self._limits.items() if one.max_calls_per_s
        }
        self._all = 0

    @property
    def max_calls(self) -> int:
        return self._max_calls

    @property
    def taken(self) -> int:
        return self._all

    def take(self, trunk: str, now: float) -> NoSlot | None:
        if self._all >= self._max_calls:
            return NoSlot.GATEWAY_FULL
        limit = self._limits.get(trunk)
        if limit is not None:
            if limit.max_calls is not None and self._taken.get(trunk, 0) >= limit.max_calls:
                return NoSlot.TRUNK_FULL
            if trunk in self._rates and not self._rates[trunk].take(now):
                return NoSlot.TRUNK_RATE
            self._taken[trunk] = self._taken.get(trunk, 0) + 1
        self._all += 1
        return None

    def give(self, trunk: str) -> None:
        self._all -= 1
        if trunk in self._limits:
            self._taken[trunk] -= 1


_REFUSALS = {
    NoSlot.DRAINING: Refusal("Draining", RETRY_AFTER_DRAINING_S, NoSlot.DRAINING),
    NoSlot.GATEWAY_FULL: Refusal("All lines are busy", RETRY_AFTER_FULL_S, NoSlot.GATEWAY_FULL),
    NoSlot.TRUNK_FULL: Refusal("All lines are busy", RETRY_AFTER_FULL_S, NoSlot.TRUNK_FULL),
    NoSlot.TRUNK_RATE: Refusal("Too many calls", RETRY_AFTER_RATE_S, NoSlot.TRUNK_RATE),
}


class Admission:
    """Counts by the calls themselves, so that a slot freed twice or never taken changes nothing."""

    def __init__(
        self, max_calls: int, limits: dict[str, TrunkLimits] | None = None, slots: Slots | None = None
    ) -> None:
        """`slots` where processes share them (then it has the limits too); by default they are this process's own."""
        self._slots: Slots = slots or OwnSlots(max_calls, limits)
        self.draining = False
        self._calls: dict[Hashable, str] = {}

    @property
    def max_calls(self) -> int:
        return self._slots.max_calls

    @property
    def taken(self) -> int:
        """Slots of this process's calls."""
        return len(self._calls)

    def taken_by(self, trunk: str) -> int:
        """Slots of this process's calls on a trunk."""
        return sum(one == trunk for one in self._calls.values())

    def admit(self, call: Hashable, trunk: str = "", now: float = 0.0) -> Refusal | None:
        """Takes a slot for the call, or says why there is none. `trunk` is its name, `now` monotonic seconds."""
        if call in self._calls:
            return None
        if self.draining:
            return _REFUSALS[NoSlot.DRAINING]
        why = self._slots.take(trunk, now)
        if why is not None:
            return _REFUSALS[why]
        self._calls[call] = trunk
        return None

    def free(self, call: Hashable) -> None:
        trunk = self._calls.pop(call, None)
        if trunk is not None:
            self._slots.give(trunk)

    def drain(self) -> None:
        """No new calls from now on."""
        self.draining = True
