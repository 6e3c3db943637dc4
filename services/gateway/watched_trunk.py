"""One trunk under watch: its registration, its pings and its calls, and what is news in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from services.gateway.sip.events import CallEnded, EndReason
from services.gateway.sip.keepalive import OptionsKeepAlive, Reachability, SendOptions
from services.gateway.sip.message import Response
from services.gateway.sip.registration import Registration, RegistrationState, SendRegister
from services.gateway.trunk_state import Direction, TrunkState, TrunkStatus


@dataclass(frozen=True, slots=True)
class News:
    """For the log, once a change: trunk_up, trunk_down, registered, registration_failed."""

    event: str
    bad: bool
    fields: dict[str, str | int] = field(default_factory=dict)


WatchOutput = SendRegister | SendOptions | News


class WatchedTrunk:
    """Either of `registration` and `keepalive` may be None.

    Each SendRegister is followed by one `register_answered`, each SendOptions by one `ping_answered`.
    """

    def __init__(
        self, name: str, registration: Registration | None, keepalive: OptionsKeepAlive | None, now: float
    ) -> None:
        self.name = name
        self._registration = registration
        self._keepalive = keepalive
        self._state = TrunkState(name, now)
        self._stopped = False
        self._told: Reachability = Reachability.UNKNOWN
        self._told_registration: tuple[RegistrationState, str] | None = None

    def start(self, now: float) -> list[WatchOutput]:
        outputs: list[WatchOutput] = []
        if self._registration is not None:
            outputs += self._registration.start(now)
        if self._keepalive is not None:
            outputs += [one for one in self._keepalive.start(now) if isinstance(one, SendOptions)]
        return [*outputs, *self._news(now)]

    def stop(self, now: float) -> list[WatchOutput]:
        """No pings from now on; the binding is taken back, which may take one more REGISTER after the answer."""
        self._stopped = True
        if self._keepalive is not None:
            self._keepalive.stop(now)
        return [] if self._registration is None else [*self._registration.stop(now)]

    def register_answered(self, response: Response | None, now: float) -> list[WatchOutput]:
        """The final response, None when there was none."""
        assert self._registration is not None
        return [*self._registration.answered(response, now), *self._news(now)]

    def ping_answered(self, response: Response | None, now: float) -> list[WatchOutput]:
        """The final response, None when there was none."""
        assert self._keepalive is not None
        outputs = [one for one in self._keepalive.answered(response, now) if isinstance(one, SendOptions)]
        return [*outputs, *self._news(now)]

    def next_deadline(self) -> float | None:
        deadlines: list[float | None] = []
        if self._registration is not None:
            deadlines.append(self._registration.next_deadline())
            # A binding ends by itself, while nobody tells us.
            if self._told is Reachability.UP and not self._stopped:
                deadlines.append(self._registration.status.registered_until)
        if self._keepalive is not None:
            deadlines.append(self._keepalive.next_deadline())
        return min((at for at in deadlines if at is not None), default=None)

    def expire(self, now: float) -> list[WatchOutput]:
        """Call when `next_deadline` has come."""
        outputs: list[WatchOutput] = []
        if self._registration is not None:
            outputs += self._registration.expire(now)
        if self._keepalive is not None:
            outputs += [one for one in self._keepalive.expire(now) if isinstance(one, SendOptions)]
        return [*outputs, *self._news(now)]

    def call_over(self, ended: CallEnded, answered: bool, now: float) -> None:
        outcome = "answered" if answered else f"{ended.status or ''} {ended.detail}".strip()
        reached = answered or ended.call.inbound or ended.reason is not EndReason.UNREACHABLE
        direction: Direction = "in" if ended.call.inbound else "out"
        outcome = outcome or ended.reason.value.replace("_", " ")
        self._state.call_ended(ended.call, direction, outcome, now, reached)

    def down(self, now: float) -> str | None:
        """Why no call may go out by it, None when one may."""
        return None if self._state.outbound(now) else self._state.status(now).why

    def status(self, now: float) -> TrunkStatus:
        return self._state.status(now)

    def _news(self, now: float) -> list[WatchOutput]:
        registration, keepalive = self._registration, self._keepalive
        if registration is not None:
            self._state.registration_is(registration.status, now)
        if keepalive is not None:
            self._state.keepalive_is(keepalive.status, now)
        if self._stopped:
            return []
        news: list[WatchOutput] = []
        if registration is not None:
            news += self._registration_news(registration, now)
        status = self._state.status(now)
        if status.state is not self._told:
            self._told = status.state
            if status.state is Reachability.UP:
                news.append(News("trunk_up", False, {"trunk": self.name, "why": status.why}))
            elif status.state is Reachability.DOWN:
                news.append(News("trunk_down", True, {"trunk": self.name, "why": status.why}))
        return news

    def _registration_news(self, registration: Registration, now: float) -> list[News]:
        status = registration.status
        told = (status.state, status.why)
        if status.state not in (RegistrationState.REGISTERED, RegistrationState.FAILED):
            return []
        if told == self._told_registration:
            return []
        self._told_registration = told
        if status.state is RegistrationState.REGISTERED:
            granted_s = round((status.registered_until or now) - now)
            return [News("registered", False, {"trunk": self.name, "for_s": granted_s})]
        retry_s = round((status.retry_at or now) - now)
        return [News("registration_failed", True, {"trunk": self.name, "why": status.why, "retry_s": retry_s})]


def detail(status: TrunkStatus, clock: Callable[[float], str]) -> str:
    """A line for people; `clock` gives the time of day, HH:MM:SS, of a time in `status`."""
    text = status.why
    if status.state is Reachability.UP:
        if status.rtt_s is not None and text.startswith("OPTIONS answered"):
            text += f" in {status.rtt_s * 1000:.0f} ms"
        if status.registered_until is not None:
            until = f"registered until {clock(status.registered_until)[:5]}"
            rest = text.removeprefix("registered")
            text = f"{until}; {text}" if rest == text else until + rest
    if status.retry_at is not None:
        text += f"; next try {clock(status.retry_at)}"
    return text
