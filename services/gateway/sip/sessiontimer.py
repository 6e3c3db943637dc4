"""Session timers (RFC 4028): agreeing on an interval and who refreshes, and the clock that follows from it.

`SessionNegotiation` reads and writes the header fields, `SessionTimer` runs; a dialog has one of each. The wire
speaks of "uac" and "uas", and means whoever sent *this* request; nothing outside this file does: it is `we_refresh`
everywhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, StrEnum

from services.gateway.sip.header import Headers
from services.gateway.sip.message import Request, Response
from services.gateway.sip.optiontags import allowed_methods, supports

Fields = list[tuple[str, str]]

_LEAST_MIN_SE_S = 90  # §5: no Min-SE is lower, and it is the value where the header is missing.
# Less than 90 s breaks the RFC. Who agrees on it gets its way rather than a dead call, but no storm of refreshes.
_SHORTEST_S = 10
_MOST_422 = 3
_MOST_RETRIES = 4
_FIRST_RETRY_S = 2.0
_LONGEST_S = 2**31 - 1
_INTERVAL = re.compile(r"\s*([0-9]{1,10})\s*(?:;(.*))?", re.DOTALL)


class SessionTimerMode(StrEnum):
    OFF = "off"
    """No timers: "timer" is not in our Supported."""
    ACCEPT = "accept"
    """A timer when the peer (or a proxy between) asks for one."""
    ALWAYS = "always"
    """A timer in every session; with a peer that knows none we refresh alone, which finds dead peers (§7.2)."""


@dataclass(frozen=True, slots=True)
class SessionTimerPolicy:
    """A trunk's setting. Seconds; `expires_s` is the longest interval that we ask for or agree to unless the peer's
    Min-SE is above it. RFC 4028 §5 wants 90 or more of `min_se_s`; less is for tests. ValueError when the two
    contradict each other."""

    mode: SessionTimerMode = SessionTimerMode.ACCEPT
    expires_s: int = 1800
    min_se_s: int = _LEAST_MIN_SE_S

    def __post_init__(self) -> None:
        if self.min_se_s < 1:
            raise ValueError(f"min_se_s is {self.min_se_s}: a session lasts a second at least")
        if self.expires_s < self.min_se_s:
            raise ValueError(f"expires_s ({self.expires_s}) is below min_se_s ({self.min_se_s}): raise it")

    @property
    def option_tags(self) -> tuple[str, ...]:
        """What the policy adds to Supported, and what of a Require it understands."""
        return () if self.mode is SessionTimerMode.OFF else ("timer",)


@dataclass(frozen=True, slots=True)
class Agreed:
    """A session that lasts `interval_s` from each refresh on, seen from our side."""

    interval_s: int
    we_refresh: bool
    peer_expires: bool = True
    """False: the peer runs no timer. Our refreshes only ask whether it lives; a refusal of one is an answer to that."""


@dataclass(frozen=True, slots=True)
class TooSmall:
    """The request is to be refused with 422 and `fields` (§9)."""

    min_se_s: int

    @property
    def fields(self) -> Fields:
        return [("Min-SE", str(self.min_se_s))]


class SessionNegotiation:
    """What one dialog agrees on, in both directions. Supported is the caller's: `policy.option_tags` say what goes in.

    `running` is the timer that the session has at the moment (`SessionTimer.agreed`), None at first and without one.
    """

    def __init__(self, policy: SessionTimerPolicy) -> None:
        self.policy = policy
        # §7.4: the highest Min-SE heard in the dialog, in a 422 or in a request of the peer.
        self._min_se_s = policy.min_se_s
        self._refused = 0

    # UAC: requests of ours

    def request_fields(self, running: Agreed | None = None) -> Fields:
        """Session-Expires and Min-SE for our INVITE, re-INVITE or UPDATE (§7.1, §7.4)."""
        if self.policy.mode is SessionTimerMode.OFF:
            return []
        fields: Fields = []
        if running is not None:
            # §7.4: roles are named in every later request, lest they change with the one who happens to send it.
            refresher = "uac" if running.we_refresh else "uas"
            fields.append(("Session-Expires", f"{max(running.interval_s, self._min_se_s)};refresher={refresher}"))
        elif self.policy.mode is SessionTimerMode.ALWAYS:
            # §7.1: without "refresher" a peer that knows no timer can be told from one that chose.
            fields.append(("Session-Expires", str(self._wanted_s)))
        if self._min_se_s > _LEAST_MIN_SE_S:
            fields.append(("Min-SE", str(self._min_se_s)))
        return fields

    def too_small(self, response: Response) -> bool:
        """A 422 to our request: True when it is to be sent again, with `request_fields` anew (§7.3).

        False when the 422 asks for no more than we gave, or after three in a row: the request has failed.
        """
        min_se = _seconds(response.headers, "Min-SE")
        self._refused += 1
        if min_se is None or min_se <= self._min_se_s or self._refused > _MOST_422:
            return False
        self._min_se_s = min_se
        return True

    def accepted(self, response: Response, running: Agreed | None = None) -> Agreed | None:
        """The 2xx to our request (§7.2). None: the session has no timer, also when it had one before."""
        self._refused = 0
        if self.policy.mode is SessionTimerMode.OFF:
            return None
        interval, refresher = _session_expires(response.headers)
        if interval is not None:
            # A 2xx that names nobody breaks §9, and one that gives away the role our request named reads "uac" as who
            # placed the call. We refresh then: twice does no harm, never ends the call.
            ours = running is not None and running.we_refresh
            return Agreed(max(interval, self._shortest_s), we_refresh=ours or refresher != "uas")
        if self.policy.mode is SessionTimerMode.ALWAYS:
            return Agreed(self._wanted_s if running is None else running.interval_s, True, peer_expires=False)
        return None

    # UAS: requests of the peer

    def requested(self, request: Request, running: Agreed | None = None) -> TooSmall | Agreed | None:
        """The peer's INVITE, re-INVITE or UPDATE (§9). An `Agreed` counts once the 2xx goes out."""
        if self.policy.mode is SessionTimerMode.OFF:
            return None
        knows_timer = supports(request, "timer")
        min_se = _seconds(request.headers, "Min-SE") or min(_LEAST_MIN_SE_S, self.policy.min_se_s)
        asked, refresher = _session_expires(request.headers)
        if asked is not None:
            # Without "timer" a proxy wrote the field, and the UAC would not know what to do about a 422.
            if asked < self.policy.min_se_s and knows_timer:
                return TooSmall(self.policy.min_se_s)
            self._min_se_s = max(self._min_se_s, min_se)
            # §9: may be lowered, to no less than the request's Min-SE, and never raised.
            interval = max(min(asked, max(self.policy.expires_s, min_se)), self._shortest_s)
            return Agreed(interval, we_refresh=not (knows_timer and refresher == "uac"))
        self._min_se_s = max(self._min_se_s, min_se)
        if self.policy.mode is SessionTimerMode.ALWAYS or running is not None:
            # A request that says nothing of the running timer may come from a peer that forgot it in a hold, and then
            # counts on it still: it goes on, in our hands.
            interval = self._wanted_s if running is None else max(running.interval_s, min_se)
            counted_on = knows_timer or (running is not None and running.peer_expires)
            return Agreed(interval, we_refresh=True, peer_expires=counted_on)
        return None

    @staticmethod
    def response_fields(request: Request, agreed: Agreed | None) -> Fields:
        """Session-Expires and Require for our 2xx to `request` (§9 and its table 2)."""
        if agreed is None:
            return []
        fields = [("Session-Expires", f"{agreed.interval_s};refresher={'uas' if agreed.we_refresh else 'uac'}")]
        if supports(request, "timer"):
            fields.append(("Require", "timer"))
        return fields

    @property
    def _shortest_s(self) -> int:
        return min(_SHORTEST_S, self.policy.min_se_s)

    @property
    def _wanted_s(self) -> int:
        return max(self.policy.expires_s, self._min_se_s)


@dataclass(frozen=True, slots=True)
class Refresh:
    """Send the refresh: `UPDATE` without a body, or `INVITE` with our last description unchanged (§7.4)."""

    method: str


class Expired(Enum):
    """The session is over: BYE (§10)."""

    EXPIRED = "expired"


EXPIRED = Expired.EXPIRED


class SessionTimer:
    """The clock of one session. Times are seconds of a monotonic clock.

    Tell it of every 2xx to an INVITE or UPDATE in the dialog, sent or received (`refreshed`), and of every refresh of
    ours that failed (`failed`); ask it for `next_deadline` and call `expire` then.
    """

    def __init__(self) -> None:
        self.agreed: Agreed | None = None
        self._updates = False
        self._update_refused = False
        self._refresh_at: float | None = None
        self._expires_at = 0.0
        self._asked = False
        self._retries = 0

    def peer_allows(self, message: Request | Response) -> None:
        """Learns from Allow of a message of the dialog whether UPDATE may be used; without Allow nothing changes."""
        allowed = allowed_methods(message)
        if allowed is not None:
            self._updates = "UPDATE" in allowed and not self._update_refused

    def refreshed(self, agreed: Agreed | None, now: float) -> None:
        """Starts the timer, or starts it anew; None stops it."""
        self.agreed = agreed
        self._asked = False
        self._retries = 0
        self._refresh_at = None
        if agreed is not None:
            # §10: half the interval leaves time for retries; BYE goes a little before the peer's own clock runs out.
            self._expires_at = now + agreed.interval_s - min(32.0, agreed.interval_s / 3)
            self._refresh_at = now + agreed.interval_s / 2 if agreed.we_refresh else None

    def stop(self) -> None:
        """The call ended."""
        self.refreshed(None, 0.0)

    def next_deadline(self) -> float | None:
        """When `expire` wants to be called; None when there is nothing to wait for."""
        if self.agreed is None:
            return None
        return self._expires_at if self._refresh_at is None else min(self._refresh_at, self._expires_at)

    def expire(self, now: float) -> Refresh | Expired | None:
        """What is due at `now`, each once."""
        if self.agreed is None:
            return None
        if now >= self._expires_at:
            self.stop()
            return EXPIRED
        if self._refresh_at is None or now < self._refresh_at:
            return None
        self._refresh_at = None
        self._asked = True
        return Refresh("UPDATE" if self._updates else "INVITE")

    def failed(self, status: int, now: float, retry_in_s: float | None = None) -> Expired | None:
        """A refresh of ours was refused with `status`; 408 stands for no answer too (§10, RFC 3261 §12.2.1.2).

        `retry_in_s`: what the response asks for: `glare.retry_after_491`, or its Retry-After.
        """
        if self.agreed is None:
            return None
        if status in (408, 481):
            self.stop()
            return EXPIRED
        if not self._asked:
            return None  # The peer's own request refreshed the session while ours was under way.
        self._asked = False
        if status in (405, 501) and self._updates:
            self._updates = False
            self._update_refused = True  # whatever Allow says again
            self._refresh_at = now
        elif not self.agreed.peer_expires:
            self.refreshed(self.agreed, now)
        elif self._retries < _MOST_RETRIES:
            # §10: not for ever. What is left is to wait for the end, or for the peer's own request.
            delay = _FIRST_RETRY_S * 2**self._retries if retry_in_s is None else max(retry_in_s, 0.0)
            self._retries += 1
            self._refresh_at = now + delay
        return None


def _session_expires(headers: Headers) -> tuple[int | None, str | None]:
    """Interval in seconds and refresher of Session-Expires; None for what is missing or unreadable."""
    match = _INTERVAL.fullmatch(headers.get("Session-Expires") or "")
    if match is None:
        return None, None
    for parameter in (match[2] or "").split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "refresher" and value.strip().lower() in ("uac", "uas"):
            return _bounded(match[1]), value.strip().lower()
    return _bounded(match[1]), None


def _seconds(headers: Headers, name: str) -> int | None:
    match = _INTERVAL.fullmatch(headers.get(name) or "")
    return None if match is None else _bounded(match[1])


def _bounded(digits: str) -> int:
    return min(int(digits), _LONGEST_S)
