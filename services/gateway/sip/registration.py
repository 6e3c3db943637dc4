"""Keeps our contact bound at a registrar (RFC 3261 §10.2; the waits after failures are RFC 5626 §4.5's)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from services.gateway.sip.digestclient import MAX_ROUNDS
from services.gateway.sip.message import Response
from services.gateway.sip.retryafter import retry_after_s
from services.gateway.sip.uri import SipUri, UriError, readable

MAX_EXPIRES_S = 86_400
"""No registrar needs to hold a binding longer; one that asks for more (423) is taken as misconfigured."""
BASE_WAIT_S = 30.0
MAX_WAIT_S = 1800.0
MAX_RETRY_AFTER_S = 7200
"""A registrar may send us away for two hours, not for ever."""
MIN_WAIT_S = 5.0
REFRESH_AHEAD_S = 120.0
"""Room for a refresh that times out (32 s), the longest first wait (60 s) and one more try."""
_MAX_TOO_BRIEF = 3
# 408 and 5xx pass; 480 and 430 (RFC 5626 §4.3) too. What else is 4xx or 6xx needs a person.
_TEMPORARY = frozenset((408, 430, 480))
_SECONDS = re.compile(r"[0-9]{1,10}")


class RegistrationState(StrEnum):
    UNREGISTERED = "unregistered"
    REGISTERING = "registering"
    REGISTERED = "registered"
    FAILED = "failed"
    UNREGISTERING = "unregistering"


@dataclass(frozen=True, slots=True)
class RegistrationStatus:
    """What operators see. Times are of the clock that gives `now`."""

    state: RegistrationState
    since: float
    registered_until: float | None = None
    """When the binding last granted ends; after a failure the old one lives until then."""
    why: str = ""
    """Of the last failure; empty when there was none since the last success."""
    retry_at: float | None = None
    """FAILED without it: a try is in flight. The state stays FAILED, and `since`, until one succeeds."""

    def bound(self, now: float) -> bool:
        """Whether the registrar still knows where we are."""
        return self.registered_until is not None and now < self.registered_until


@dataclass(frozen=True, slots=True)
class SendRegister:
    """Send a REGISTER outside any dialog. Via, Max-Forwards and the answers to challenges are the sender's.

    A challenged REGISTER goes out again with the same `call_id`, From tag and the next CSeq.
    """

    request_uri: str
    headers: tuple[tuple[str, str], ...]
    """From, To, Contact, Expires."""
    cseq: int
    call_id: str


class Registration:
    """One binding's life: REGISTER, refresh, retry, un-REGISTER; one request in flight at most (§10.2).

    Each SendRegister is followed by one `answered`: the final response, or None when none came. A 401 or 407 arrives
    here only when the credentials were refused.
    """

    def __init__(
        self,
        registrar: str,
        address_of_record: str,
        contact: str,
        call_id: str,
        tag: str,
        expires_s: int,
        random: Callable[[], float],
        now: float = 0.0,
    ) -> None:
        """`registrar` is the Request-URI (no user part, §10.2), `address_of_record` and `contact` are bare URIs.

        `random` gives 0 ≤ x < 1: it spreads refreshes and retries, so that a restarted registrar is not flooded.
        Raises ValueError.
        """
        if not 1 <= expires_s <= MAX_EXPIRES_S:
            raise ValueError(f"registration expiry of {expires_s} s: it must be between 1 and {MAX_EXPIRES_S}")
        self.contact = contact
        self._registrar = registrar
        self._aor = address_of_record
        self._call_id = call_id
        self._tag = tag
        self._wanted_s = expires_s
        """What the next REGISTER asks for; a 423 raises it."""
        self._random = random
        self._cseq = 0
        self._in_flight: int | None = None
        """The expiry that the request in flight asks for."""
        self._due: float | None = None
        self._failures = 0
        self._too_brief = 0
        self._stopping = False
        self.status = RegistrationStatus(RegistrationState.UNREGISTERED, now)

    def start(self, now: float) -> list[SendRegister]:
        """Registers. Does nothing when that has begun already."""
        if self.status.state is not RegistrationState.UNREGISTERED or self._in_flight is not None:
            return []
        self._stopping = False
        self.status = RegistrationStatus(RegistrationState.REGISTERING, now)
        return self._send(self._wanted_s)

    def refresh(self, now: float) -> list[SendRegister]:
        """Registers now instead of later: the connection to the registrar broke, or it came back."""
        if self._in_flight is not None or self._due is None:
            return []
        return self._send(self._wanted_s)

    def answered(self, response: Response | None, now: float) -> list[SendRegister]:
        """The final response to the request in flight, None for a timeout or an unreachable registrar."""
        asked_s, self._in_flight = self._in_flight, None
        if asked_s is None:
            return []
        self._count_up(response)
        if asked_s == 0:
            self._end(response, now)
            return []
        if response is not None and 200 <= response.status < 300:
            self._bound(response, asked_s, now)
        elif response is not None and response.status == 423 and self._lengthen(response) and not self._stopping:
            return self._send(self._wanted_s)
        else:
            self._failed(response, now)
        return self._unregister(now) if self._stopping else []

    def next_deadline(self) -> float | None:
        return self._due

    def expire(self, now: float) -> list[SendRegister]:
        """Call when `next_deadline` has come."""
        if self._due is None or now < self._due:
            return []
        return self._send(self._wanted_s)

    def stop(self, now: float) -> list[SendRegister]:
        """Takes the binding back (Expires: 0, §10.2.2). Done when the state is UNREGISTERED, whatever was answered."""
        if self._stopping or self.status.state is RegistrationState.UNREGISTERED:
            return []
        self._stopping = True
        self._due = None
        # With a REGISTER in flight nobody knows if there is a binding, and no second may go out: wait for its answer.
        return [] if self._in_flight is not None else self._unregister(now)

    def _unregister(self, now: float) -> list[SendRegister]:
        self._due = None
        if not self.status.bound(now):
            self.status = RegistrationStatus(RegistrationState.UNREGISTERED, now)
            return []
        self.status = replace(self.status, state=RegistrationState.UNREGISTERING, since=now, why="", retry_at=None)
        return self._send(0)

    def _end(self, response: Response | None, now: float) -> None:
        removed = response is not None and 200 <= response.status < 300
        self.status = RegistrationStatus(
            RegistrationState.UNREGISTERED,
            now,
            None if removed else self.status.registered_until,
            "" if removed else f"the binding was not taken back: {_cause(response)}",
        )

    def _send(self, expires_s: int) -> list[SendRegister]:
        self._due = None
        self._in_flight = expires_s
        self._cseq += 1
        self.status = replace(self.status, retry_at=None)
        headers = (
            ("From", f"<{self._aor}>;tag={self._tag}"),
            ("To", f"<{self._aor}>"),
            ("Contact", f"<{self.contact}>"),
            ("Expires", str(expires_s)),
        )
        return [SendRegister(self._registrar, headers, self._cseq, self._call_id)]

    def _count_up(self, response: Response | None) -> None:
        """Repetitions after challenges used up CSeqs: go on from the last, for it must rise (§10.2.4)."""
        most = self._cseq + MAX_ROUNDS
        # Who saw no answer, or one whose number cannot be, leaves room for all that may have gone out.
        known = response is not None and self._cseq <= response.cseq.number <= most
        self._cseq = response.cseq.number if response is not None and known else most

    def _bound(self, response: Response, asked_s: int, now: float) -> None:
        granted_s = min(self._granted(response, asked_s), asked_s)
        if granted_s <= 0:
            self.status = replace(self.status, registered_until=None)
            self._fail("the registrar granted no time to our contact", self._backoff(), now)
            return
        self._failures = self._too_brief = 0
        ahead_s = max(granted_s / 2, granted_s - REFRESH_AHEAD_S) * (1 - 0.1 * self._random())
        self._due = now + max(ahead_s, MIN_WAIT_S)
        since = self.status.since if self.status.state is RegistrationState.REGISTERED else now
        self.status = RegistrationStatus(RegistrationState.REGISTERED, since, now + granted_s)

    def _granted(self, response: Response, asked_s: int) -> int:
        """Seconds for our contact (§10.2.4): its expires parameter, else the Expires header, else what we asked for.

        A single contact that is not ours word for word is ours behind a NAT that the registrar saw through.
        """
        contacts = response.contacts
        ours = [contact for contact in contacts if _equivalent(contact.uri, self.contact)]
        if not ours and len(contacts) == 1:
            ours = contacts
        stated = [_seconds(contact.parameters.get("expires")) for contact in ours]
        granted = max((seconds for seconds in stated if seconds is not None), default=None)
        if granted is None:
            granted = _seconds(response.headers.get("Expires"))
        return asked_s if granted is None else granted

    def _lengthen(self, response: Response) -> bool:
        """423 Interval Too Brief (§10.2.8): False when asking for more is no use."""
        min_s = _seconds(response.headers.get("Min-Expires"))
        self._too_brief += 1
        if min_s is None or not self._wanted_s < min_s <= MAX_EXPIRES_S or self._too_brief > _MAX_TOO_BRIEF:
            return False
        self._wanted_s = min_s
        return True

    def _failed(self, response: Response | None, now: float) -> None:
        if response is None or response.status in _TEMPORARY or 500 <= response.status < 600:
            wait_s = self._backoff()
        else:
            self._failures += 1
            wait_s = self._spread(MAX_WAIT_S)
        asked_s = retry_after_s(response)
        if asked_s is not None:
            # Never before the time that it named, and not all of its clients at once.
            wait_s = max(min(asked_s, MAX_RETRY_AFTER_S) * (1 + 0.1 * self._random()), MIN_WAIT_S)
        self._fail(_cause(response), wait_s, now)

    def _backoff(self) -> float:
        """RFC 5626 §4.5, with the base for when no flow is left."""
        self._failures += 1
        return self._spread(min(MAX_WAIT_S, BASE_WAIT_S * 2 ** min(self._failures, 10)))

    def _spread(self, upper_bound_s: float) -> float:
        return upper_bound_s * (0.5 + 0.5 * self._random())

    def _fail(self, why: str, wait_s: float, now: float) -> None:
        self._too_brief = 0
        self._due = now + wait_s
        since = self.status.since if self.status.state is RegistrationState.FAILED else now
        self.status = RegistrationStatus(
            RegistrationState.FAILED, since, self.status.registered_until, why, retry_at=self._due
        )


def _equivalent(uri: str, ours: str) -> bool:
    """Enough of RFC 3261 §19.1.4 to find ourselves: registrars drop and add parameters."""
    try:
        one, other = SipUri.parse(uri), SipUri.parse(ours)
    except UriError:
        return uri == ours
    return (one.user, one.host, one.port or 5060) == (other.user, other.host, other.port or 5060)


def _seconds(text: str | None) -> int | None:
    match = _SECONDS.match(text.strip()) if text else None
    return None if match is None else int(match[0])


def _cause(response: Response | None) -> str:
    if response is None:
        return "no answer from the registrar"
    line = f"{response.status} {readable(response.reason)}".strip()[:200]
    if response.status in (401, 407):
        return f"{line}: username or password refused, or a challenge with no algorithm in common"
    if 300 <= response.status < 400:
        return f"{line}: the registrar is elsewhere, set it to {_moved_to(response)}"
    return line


def _moved_to(response: Response) -> str:
    uris = [readable(contact.uri)[:200] for contact in response.contacts[:3]]
    return " or ".join(uris) if uris else "what the carrier says (it named no contact)"
