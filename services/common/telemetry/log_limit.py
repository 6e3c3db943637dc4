"""How often a line of log may be written. Pure: times are seconds of one clock that never goes back."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

BURST: Final = 20
"""Lines of one kind at once: a start, a drain, a bad minute."""
A_SECOND: Final = 1.0
KINDS: Final = 4000
"""Kinds that are counted; of more, the one that was silent longest is forgotten."""


@dataclass(slots=True)
class _Kind:
    left: float
    at: float
    suppressed: int = 0


class LineLimit:
    """A token bucket a kind of line, filled with A_SECOND up to BURST."""

    def __init__(self, burst: int = BURST, a_second: float = A_SECOND, kinds: int = KINDS) -> None:
        self._burst = burst
        self._a_second = a_second
        self._kinds = kinds
        self._of: dict[Hashable, _Kind] = {}
        """By kind, the one that was silent longest first."""
        self.suppressed = 0
        """Lines that were not written, of all kinds."""

    def admit(self, kind: Hashable, now: float) -> int | None:
        """None: not to be written. Otherwise how many of its kind were not, since the last that was."""
        one = self._of.pop(kind, None)
        if one is None:
            one = _Kind(self._burst, now)
            if len(self._of) >= self._kinds:
                del self._of[next(iter(self._of))]
        self._of[kind] = one
        one.left = min(self._burst, one.left + (now - one.at) * self._a_second)
        one.at = now
        if one.left < 1.0:
            one.suppressed += 1
            self.suppressed += 1
            return None
        one.left -= 1.0
        suppressed, one.suppressed = one.suppressed, 0
        return suppressed
