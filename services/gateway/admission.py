"""Who gets in: as many calls as there are slots, to the call."""

from collections.abc import Hashable
from dataclasses import dataclass

# Long enough for a trunk to try its next destination first.
RETRY_AFTER_FULL_S = 5
RETRY_AFTER_DRAINING_S = 30


@dataclass(frozen=True, slots=True)
class Refusal:
    """503 with Retry-After (RFC 3261 §21.5.4)."""

    reason: str
    retry_after_s: int


class Admission:
    """Counts by the calls themselves, so that a slot freed twice or never taken changes nothing."""

    def __init__(self, max_calls: int) -> None:
        self.max_calls = max_calls
        self.draining = False
        self._calls: set[Hashable] = set()

    @property
    def taken(self) -> int:
        return len(self._calls)

    def admit(self, call: Hashable) -> Refusal | None:
        """Takes a slot for the call, or says why there is none."""
        if call in self._calls:
            return None
        if self.draining:
            return Refusal("Draining", RETRY_AFTER_DRAINING_S)
        if len(self._calls) >= self.max_calls:
            return Refusal("All lines are busy", RETRY_AFTER_FULL_S)
        self._calls.add(call)
        return None

    def free(self, call: Hashable) -> None:
        self._calls.discard(call)

    def drain(self) -> None:
        """No new calls from now on."""
        self.draining = True
