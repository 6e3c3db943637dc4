"""Whether a peer is there: OPTIONS at intervals (RFC 3261 §11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from services.gateway.sip.message import Response
from services.gateway.sip.retryafter import retry_after_s
from services.gateway.sip.uri import readable

# 408 is what a proxy says when nobody behind it answers, 503 that the peer wants no calls. Whatever else a peer
# answers, it answers: 404, 405, 481 and 501 come from carriers that know no OPTIONS.
_NOT_THERE = frozenset((408, 503))


class Reachability(StrEnum):
    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class SendOptions:
    """Send OPTIONS outside any dialog, with a Call-ID of its own; `headers` are From, To, Accept."""

    request_uri: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ReachabilityChanged:
    """The peer went up or down."""

    state: Reachability
    why: str


KeepAliveOutput = SendOptions | ReachabilityChanged


@dataclass(frozen=True, slots=True)
class KeepAliveStatus:
    """What operators see. `rtt_s` is that of the last ping that was answered; `failures` are those in a row."""

    state: Reachability
    since: float
    why: str = ""
    failures: int = 0
    rtt_s: float | None = None


class OptionsKeepAlive:
    """Pings one peer, one ping in flight at most.

    Each SendOptions is followed by one `answered`: the final response, or None when none came. `failures_to_down`
    failures in a row are DOWN, one answer is UP. After a failure it pings each `retry_s` until the peer answers.
    """

    def __init__(
        self,
        peer: str,
        local: str,
        interval_s: float,
        ids: Callable[[], str],
        random: Callable[[], float],
        failures_to_down: int = 2,
        retry_s: float = 10.0,
        now: float = 0.0,
    ) -> None:
        """`peer` and `local` are bare URIs, `ids` gives From tags, `random` 0 ≤ x < 1. Raises ValueError."""
        if interval_s <= 0 or retry_s <= 0 or failures_to_down < 1:
            raise ValueError("OPTIONS keep-alive: intervals and failures_to_down must be above 0")
        self._peer = peer
        self._local = local
        self._interval_s = interval_s
        self._retry_s = min(retry_s, interval_s)
        self._failures_to_down = failures_to_down
        self._ids = ids
        self._random = random
        self._sent_at: float | None = None
        self._due: float | None = None
        self._running = False
        self.status = KeepAliveStatus(Reachability.UNKNOWN, now)

    def start(self, now: float) -> list[KeepAliveOutput]:
        """The first ping goes out at once."""
        if self._running:
            return []
        self._running = True
        return [] if self._sent_at is not None else self._ping(now)

    def stop(self, now: float) -> None:
        """No further pings; from now on nothing is known."""
        self._running = False
        self._due = None
        self.status = KeepAliveStatus(Reachability.UNKNOWN, now, "not pinged any more")

    def next_deadline(self) -> float | None:
        return self._due

    def expire(self, now: float) -> list[KeepAliveOutput]:
        """Call when `next_deadline` has come."""
        return self._ping(now) if self._due is not None and now >= self._due else []

    def answered(self, response: Response | None, now: float) -> list[KeepAliveOutput]:
        """The final response to the ping in flight, None for a timeout or an unreachable peer."""
        sent_at, self._sent_at = self._sent_at, None
        if sent_at is None or not self._running:
            return []
        if response is None or response.status in _NOT_THERE:
            return self._failed(response, now)
        # A tenth less at most: the pings of many trunks shall not fall together.
        self._due = now + self._interval_s * (1 - 0.1 * self._random())
        return self._become(Reachability.UP, f"OPTIONS answered {_line(response)}", 0, now - sent_at, now)

    def _failed(self, response: Response | None, now: float) -> list[KeepAliveOutput]:
        asked_s = min(retry_after_s(response) or 0, self._interval_s)
        self._due = now + max(self._retry_s * (1 - 0.1 * self._random()), asked_s)
        failures = self.status.failures + 1
        cause = "OPTIONS not answered" if response is None else f"OPTIONS answered {_line(response)}"
        state = self.status.state if failures < self._failures_to_down else Reachability.DOWN
        return self._become(state, f"{cause}, {failures} in a row", failures, self.status.rtt_s, now)

    def _become(
        self, state: Reachability, why: str, failures: int, rtt_s: float | None, now: float
    ) -> list[KeepAliveOutput]:
        changed = state is not self.status.state
        self.status = KeepAliveStatus(state, now if changed else self.status.since, why, failures, rtt_s)
        return [ReachabilityChanged(state, why)] if changed else []

    def _ping(self, now: float) -> list[KeepAliveOutput]:
        self._due = None
        self._sent_at = now
        headers = (
            ("From", f"<{self._local}>;tag={self._ids()}"),
            ("To", f"<{self._peer}>"),
            ("Accept", "application/sdp"),
        )
        return [SendOptions(self._peer, headers)]


def _line(response: Response) -> str:
    return f"{response.status} {readable(response.reason)}".strip()[:200]
