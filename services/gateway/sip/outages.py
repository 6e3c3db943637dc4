"""Targets that failed of late: tried last for a while, never left out (RFC 3263 §4.3, RFC 3261 §21.5.4)."""

from __future__ import annotations

from collections.abc import Iterable

from services.gateway.sip.targets import Target
from services.gateway.sip.transport import Address, Transport

HOLD_S = 60.0
"""For a target that timed out, or said 503 without Retry-After: two of timer B, so that not each call waits for it."""
LONGEST_S = 600.0
"""However long Retry-After asks for: a carrier that overdoes it must not keep its own best server unused."""
MAX_KNOWN = 1024


class Outages:
    """Pure: `now` is seconds on a monotonic clock."""

    def __init__(self) -> None:
        self._until: dict[tuple[Transport, Address], float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def failed(self, target: Target, now: float, retry_after_s: float | None = None) -> None:
        """It timed out, could not be connected to, or said 503 (with Retry-After)."""
        held_s = HOLD_S if retry_after_s is None else min(max(0.0, retry_after_s), LONGEST_S)
        key = _key(target)
        if key not in self._until and len(self._until) >= MAX_KNOWN:
            self._until = {one: until for one, until in self._until.items() if until > now}
            if len(self._until) >= MAX_KNOWN:
                del self._until[min(self._until, key=lambda one: self._until[one])]
        self._until[key] = now + held_s

    def answered(self, target: Target) -> None:
        """It said something else than 503: all is well again."""
        self._until.pop(_key(target), None)

    def out(self, target: Target, now: float) -> bool:
        return self._until.get(_key(target), now) > now

    def in_order(self, targets: Iterable[Target], now: float) -> list[Target]:
        """The same targets: first those not known to be out, in their order, then the others, soonest back first."""
        return sorted(targets, key=lambda one: self._until.get(_key(one), now) if self.out(one, now) else now)


def _key(target: Target) -> tuple[Transport, Address]:
    return target.flow.transport, target.flow.address
