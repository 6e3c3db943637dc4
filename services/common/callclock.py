"""The gateway's call clock, as seen from another process."""

# Quartz clocks differ by some tens of parts in a million; forgetting this fast follows the drift.
DRIFT_PPM = 100


class CallClock:
    """Estimates call time from the stamps of messages that came, by the fastest message so far.

    A stamp can only look old, by what its message took; so the newest-looking one is right to within the least one-way
    delay, well under a millisecond inside a cluster. Local times are seconds on the monotonic clock, call times
    microseconds.
    """

    def __init__(self) -> None:
        self._offset_us: float | None = None
        self._observed_at = 0.0

    def observe(self, call_time_us: int, now: float) -> None:
        """A message stamped call_time_us was received at `now`."""
        seen = call_time_us - now * 1e6
        if self._offset_us is None:
            self._offset_us = seen
        else:
            aged = self._offset_us - (now - self._observed_at) * DRIFT_PPM
            self._offset_us = max(seen, aged)
        self._observed_at = now

    def at(self, now: float) -> int:
        """Call time at local time `now`; 0 before anything was observed."""
        return 0 if self._offset_us is None else round(now * 1e6 + self._offset_us)
