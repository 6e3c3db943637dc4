"""How soon a worker that died is started again."""

from __future__ import annotations

FIRST_S = 0.1
LONGEST_S = 10.0
STABLE_S = 30.0
"""A worker that lived this long did not die of its start."""


class Restarts:
    """Of one worker: at once after a good life, then ever later, so that one that cannot live costs nothing."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def wait_s(self, lived_s: float) -> float:
        """Seconds to wait, after a worker that lived for `lived_s`."""
        if lived_s >= STABLE_S:
            self._next_s = FIRST_S
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, LONGEST_S)
        return wait_s
