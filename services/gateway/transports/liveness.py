"""Whether a connection is worth keeping: half-open, too slow, idle, dead (RFC 5626 §4.4.1)."""

from collections.abc import Sequence
from enum import StrEnum

from services.gateway.sip.framing import KeepAlive
from services.gateway.transports.limits import StreamLimits

# The two halves of a ping come in one segment or right after one another.
_PING_SPREAD_S = 1.0


class Verdict(StrEnum):
    """What to do with a connection now; all but PING are reasons to close it."""

    PING = "ping"
    NO_MESSAGE = "no message after connecting"
    TOO_SLOW = "message not completed"
    NO_PONG = "no answer to a ping"
    NOT_READING = "peer does not read"
    IDLE = "idle"


class Liveness:
    """One connection's clocks. Times are seconds on a monotonic clock.

    `ping_s`: the time between our pings on a connection that we opened and so keep alive (RFC 5626 §4.4.1); nobody
    owes us a first message there. None for one that we accepted.
    """

    def __init__(self, now: float, limits: StreamLimits, ping_s: float | None = None) -> None:
        self._limits = limits
        self._ping_s = ping_s
        self._opened = now
        self._active = now
        self._heard_message = ping_s is not None
        self._partial_since: float | None = None
        self._stuck_since: float | None = None
        self._next_ping = now + (ping_s or 0.0)
        self._pinged: float | None = None  # and no byte since
        self._pongs = False
        self._doubtful_until = now

    def received(self, now: float, items: Sequence[bytes | KeepAlive], partial: bool) -> None:
        """Bytes came; `items` is what they completed, `partial` whether a message has begun since."""
        self._active = now
        for item in items:
            if item is KeepAlive.CRLF and self._pinged is not None and not self._pongs:
                self._pongs, self._doubtful_until = True, now + _PING_SPREAD_S
            elif item is KeepAlive.PING and now < self._doubtful_until:
                self._pongs = False  # what looked like a pong was the first half of a ping of theirs
            self._pinged = None
        self._pinged = None  # whatever came, it came from one who lives
        completed = any(isinstance(item, bytes) for item in items)
        self._heard_message = self._heard_message or completed
        if not partial:
            self._partial_since = None
        elif self._partial_since is None or completed:
            self._partial_since = now

    def sent(self, now: float) -> None:
        """A message of ours went out."""
        self._active = now

    def waiting(self, now: float, unsent_bytes: int) -> None:
        """How much of ours the peer has not taken yet."""
        if not unsent_bytes:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now

    def expire(self, now: float) -> Verdict | None:
        """To be asked every now and then. PING is given once; whoever gets it sends the ping."""
        limits = self._limits
        if not self._heard_message and now >= self._opened + limits.first_message_s:
            return Verdict.NO_MESSAGE
        if self._partial_since is not None and now >= self._partial_since + limits.message_s:
            return Verdict.TOO_SLOW
        if self._stuck_since is not None and now >= self._stuck_since + limits.stuck_s:
            return Verdict.NOT_READING
        if self._pongs and self._pinged is not None and now >= self._pinged + limits.pong_s:
            return Verdict.NO_PONG
        if now >= self._active + limits.idle_s:
            return Verdict.IDLE
        if self._ping_s is not None and now >= self._next_ping:
            self._next_ping, self._pinged = now + self._ping_s, now
            return Verdict.PING
        return None
