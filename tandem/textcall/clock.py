"""Call time that can be passed over: what would be waiting on the telephone takes no time here."""

from collections.abc import Callable

US = 1_000_000


class SkippingClock:
    """Microseconds since the call was answered: real time, and what was skipped on top. `read` gives real seconds."""

    def __init__(self, read: Callable[[], float]) -> None:
        self._read = read
        self._began = read()
        self._skipped_us = 0

    def now(self) -> int:
        return round((self._read() - self._began) * US) + self._skipped_us

    def skip(self, us: int) -> None:
        """So much time has passed."""
        self._skipped_us += max(us, 0)
