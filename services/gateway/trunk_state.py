"""What is known of a trunk, joined: its registration, its keep-alive, its calls."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

from services.gateway.sip.keepalive import KeepAliveStatus, Reachability
from services.gateway.sip.registration import RegistrationState, RegistrationStatus

Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class LastCall:
    """`outcome` is words for an operator ("answered", "486 Busy Here", "no answer from the peer")."""

    at: float
    direction: Direction
    outcome: str
    reached: bool
    """Whether the peer spoke SIP with us, be it to refuse the call."""


@dataclass(frozen=True, slots=True)
class TrunkStatus:
    """One line of `tandem trunks`. Times are of the clock that gives `now`; None where it does not apply."""

    name: str
    state: Reachability
    why: str
    since: float
    registration: RegistrationState | None
    registered_until: float | None
    retry_at: float | None
    rtt_s: float | None
    live_calls: int
    last_call: LastCall | None
    outbound: bool
    """Whether calls may be placed through it."""


class TrunkState:
    """One trunk. Feed it each new status of what the trunk has, and each call.

    DOWN: pings fail, or it has to be registered and no binding lives. UP: a ping was answered, it is registered, or,
    where it has neither, the last call reached the peer. UNKNOWN else. Only DOWN keeps calls from going out: a trunk
    that one lost call closed would have nothing to open it again.
    """

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self._registration: RegistrationStatus | None = None
        self._keepalive: KeepAliveStatus | None = None
        self._calls: set[Hashable] = set()
        self._last_call: LastCall | None = None
        self._state = Reachability.UNKNOWN
        self._since = now

    def registration_is(self, status: RegistrationStatus | None, now: float) -> None:
        """None for a trunk that does not register."""
        self._settle(now)
        self._registration = status
        self._settle(now)

    def keepalive_is(self, status: KeepAliveStatus | None, now: float) -> None:
        """None for a trunk that is not pinged."""
        self._settle(now)
        self._keepalive = status
        self._settle(now)

    def call_started(self, call: Hashable) -> None:
        self._calls.add(call)

    def call_ended(self, call: Hashable, direction: Direction, outcome: str, now: float, reached: bool = True) -> None:
        """`reached` is False for an outbound call that got no answer at all."""
        self._calls.discard(call)
        self._settle(now)
        self._last_call = LastCall(now, direction, outcome, reached)
        self._settle(now)

    def outbound(self, now: float) -> bool:
        """Whether a call may be placed through it."""
        return self._judge(now)[0] is not Reachability.DOWN

    def status(self, now: float) -> TrunkStatus:
        self._settle(now)
        state, why, _ = self._judge(now)
        registration, keepalive = self._registration, self._keepalive
        bound = registration is not None and registration.bound(now)
        return TrunkStatus(
            self.name,
            state,
            why,
            self._since,
            None if registration is None else registration.state,
            registration.registered_until if registration is not None and bound else None,
            None if registration is None else registration.retry_at,
            None if keepalive is None else keepalive.rtt_s,
            len(self._calls),
            self._last_call,
            state is not Reachability.DOWN,
        )

    def _settle(self, now: float) -> None:
        """Notes since when the state is what it is: a binding ends by itself, when nobody tells us."""
        state, _, since = self._judge(now)
        if state is not self._state:
            self._state, self._since = state, max(self._since, min(since, now))

    def _judge(self, now: float) -> tuple[Reachability, str, float]:
        """State, why, and the time of what decided it."""
        registration, keepalive = self._registration, self._keepalive
        if keepalive is not None and keepalive.state is Reachability.DOWN:
            return Reachability.DOWN, keepalive.why, keepalive.since
        if registration is not None and not registration.bound(now):
            return _unbound(registration, now)
        if registration is not None and registration.why:
            return Reachability.UP, f"registered, but the refresh failed: {registration.why}", now
        if keepalive is not None and keepalive.state is Reachability.UP:
            return Reachability.UP, keepalive.why, keepalive.since
        if registration is not None:
            return Reachability.UP, registration.state.value, registration.since
        if keepalive is not None:
            return Reachability.UNKNOWN, keepalive.why or "no ping answered yet", now
        return self._by_last_call(now)

    def _by_last_call(self, now: float) -> tuple[Reachability, str, float]:
        last = self._last_call
        if last is None:
            return Reachability.UNKNOWN, "neither registered nor pinged, and no call yet", now
        state = Reachability.UP if last.reached else Reachability.UNKNOWN
        return state, f"last call ({last.direction}): {last.outcome}", last.at


def _unbound(registration: RegistrationStatus, now: float) -> tuple[Reachability, str, float]:
    if registration.state is RegistrationState.REGISTERING:
        return Reachability.UNKNOWN, "registering", registration.since
    ended = registration.registered_until
    since = registration.since if ended is None else max(ended, registration.since)
    return Reachability.DOWN, f"not registered: {registration.why}" if registration.why else "not registered", since
