"""How long the caller hears nothing while it is the agent's turn. Pure: call times in microseconds."""

from dataclasses import dataclass


@dataclass(slots=True)
class Quiet:
    """Of one turn. `longest_us` began at `longest_from_us`."""

    longest_us: int = 0
    longest_from_us: int = 0
    elsewhere: bool = False
    """The caller is being put through, and hears what the other side plays."""
    _since_us: int | None = None

    def begins(self, at_us: int) -> None:
        """Nothing is heard from here on. What began already goes on."""
        if self._since_us is None and not self.elsewhere:
            self._since_us = at_us

    def ends(self, at_us: int) -> None:
        """Something is heard, the caller speaks, or it is no longer the agent's turn."""
        if self._since_us is not None and at_us - self._since_us > self.longest_us:
            self.longest_us, self.longest_from_us = at_us - self._since_us, self._since_us
        self._since_us = None
