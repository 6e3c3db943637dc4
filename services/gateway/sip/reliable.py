"""Provisional responses that arrive (RFC 3262): 100rel, RSeq, RAck and PRACK, for both sides of an INVITE."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum

from services.gateway.sip.header import CSeq, Headers
from services.gateway.sip.message import Request, Response
from services.gateway.sip.optiontags import option_tags, supports

Fields = list[tuple[str, str]]

# A call has a handful: 180, 183, a 183 for each prompt of a network announcement.
_MOST_WAITING = 16
_RACK = re.compile(r"([0-9]{1,10})\s+([0-9]{1,10})\s+(\S+)")
_RSEQ = re.compile(r"[0-9]{1,10}")


class OneHundredRel(StrEnum):
    """A trunk's setting."""

    OFF = "off"
    """An INVITE that requires 100rel is refused with 420."""
    SUPPORTED = "supported"
    """Used with every peer that supports it."""
    REQUIRED = "required"
    """An INVITE without it is refused with 421, and ours require it."""

    @property
    def option_tags(self) -> tuple[str, ...]:
        """What the setting adds to Supported, and what of a Require it understands."""
        return () if self is OneHundredRel.OFF else ("100rel",)

    @property
    def required(self) -> tuple[str, ...]:
        """What the setting adds to Require of an INVITE of ours."""
        return ("100rel",) if self is OneHundredRel.REQUIRED else ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Answer the INVITE with `status` and these fields."""

    status: int
    fields: tuple[tuple[str, str], ...]


def reliability(policy: OneHundredRel, invite: Request) -> bool | Refusal:
    """Whether the provisional responses to `invite` are to be reliable (§3), or why it cannot be served at all."""
    if policy is OneHundredRel.OFF:
        if "100rel" in option_tags(invite, "Require"):
            return Refusal(420, (("Unsupported", "100rel"),))
        return False
    if supports(invite, "100rel"):
        return True
    if policy is OneHundredRel.REQUIRED:
        return Refusal(421, (("Require", "100rel"),))  # RFC 3261 §21.4.15
    return False


@dataclass(frozen=True, slots=True)
class RAck:
    """`RSeq CSeq-number method` (§7.2): which response a PRACK acknowledges."""

    rseq: int
    cseq: CSeq

    @classmethod
    def parse(cls, text: str | None) -> RAck | None:
        """None when missing or unreadable."""
        match = _RACK.fullmatch((text or "").strip())
        return None if match is None else cls(int(match[1]), CSeq(int(match[2]), match[3]))

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq}"


class TimedOut(Enum):
    """No PRACK for 64*T1: refuse the INVITE with 504 (§3 wants a 5xx)."""

    TIMED_OUT = "timed out"


TIMED_OUT = TimedOut.TIMED_OUT


@dataclass(frozen=True, slots=True)
class Pracked:
    """What a PRACK leads to: answer it with `status`, then send `responses` on the INVITE's transaction."""

    status: int
    """200, or 481 for a PRACK that acknowledges nothing. A PRACK with an offer may yet be refused otherwise."""
    acknowledged: Response | None = None
    """The response that has arrived now."""
    responses: tuple[Response, ...] = ()


class ReliableProvisionals:
    """UAS side (§3): the reliable responses to one INVITE, one at a time, repeated until the PRACK.

    Every method gives what is to be sent on the INVITE's server transaction, in order. 100 and unreliable responses
    do not pass here. Times are seconds of a monotonic clock.
    """

    def __init__(self, invite: Request, first_rseq: int, t1: float = 0.5) -> None:
        """`first_rseq`: random in 1..2**31-1 (§3). Raises ValueError."""
        if not 1 <= first_rseq < 2**31:
            raise ValueError(f"first RSeq is {first_rseq}, not within 1..2**31-1 (RFC 3262 §3)")
        self._cseq = invite.cseq
        self._t1 = t1
        self._rseq = first_rseq
        self._waiting: deque[Response] = deque()
        self._final: Response | None = None
        self._closed = False
        # The one on its way. It stays here after the final response too, for its PRACK may still come.
        self._sent: tuple[int, Response] | None = None
        self._interval = t1
        self._resend_at: float | None = None
        self._times_out_at = 0.0

    @property
    def unacknowledged(self) -> bool:
        """A response waits for its PRACK."""
        return self._sent is not None

    def send(self, response: Response, now: float) -> tuple[Response, ...]:
        """A 101..199, which gets its Require and RSeq here. It waits while another is unacknowledged: §3 demands that
        for the first and recommends it for the rest.

        Dropped after a final response (§3), and when 16 wait already. ValueError for another status.
        """
        if not 101 <= response.status <= 199:
            raise ValueError(f"{response.status} cannot be sent reliably, only 101 to 199 (RFC 3262 §3)")
        if self._closed or self._final is not None or len(self._waiting) >= _MOST_WAITING:
            return ()
        self._waiting.append(response)
        return self._next(now)

    def final(self, response: Response, now: float) -> tuple[Response, ...]:
        """The final response: sent at once, but for a 2xx while a session description is unacknowledged (§3).

        What still waits is dropped, unless the 2xx has to wait anyhow for a description among it. A refusal (CANCEL)
        overtakes a 2xx that waits.
        """
        if self._closed:
            return ()
        described = self._sent is not None and bool(self._sent[1].body)
        if response.status < 300 and (described or any(waiting.body for waiting in self._waiting)):
            self._final = response
            return ()
        self._close()
        return (response,)

    def pracked(self, prack: Request, now: float) -> Pracked:
        """A PRACK of the dialog. One that comes a second time, in a new transaction, gets 481 (§3)."""
        rack = RAck.parse(prack.headers.get("RAck"))
        if self._sent is None or rack != RAck(self._sent[0], self._cseq):
            return Pracked(481)
        acknowledged = self._sent[1]
        self._sent = None
        self._resend_at = None
        if self._closed:
            return Pracked(200, acknowledged)
        if self._final is not None and not any(waiting.body for waiting in self._waiting):
            final = self._final
            self._close()
            return Pracked(200, acknowledged, (final,))
        return Pracked(200, acknowledged, self._next(now))

    def next_deadline(self) -> float | None:
        return None if self._resend_at is None else min(self._resend_at, self._times_out_at)

    def expire(self, now: float) -> tuple[Response, ...] | TimedOut:
        """The retransmission that is due. `TIMED_OUT` once; nothing is repeated after it."""
        if self._resend_at is None or self._sent is None:
            return ()
        if now >= self._times_out_at:
            # Not closed: the refusal is still to pass through `final`.
            self._waiting.clear()
            self._sent = self._final = self._resend_at = None
            return TIMED_OUT
        if now < self._resend_at:
            return ()
        self._interval *= 2  # §3: without the ceiling of T2
        self._resend_at = now + self._interval
        return (self._sent[1],)

    def stop(self) -> None:
        """The INVITE ended otherwise."""
        self._close()

    def _next(self, now: float) -> tuple[Response, ...]:
        if self._sent is not None or not self._waiting:
            return ()
        response = _reliable(self._waiting.popleft(), self._rseq)
        self._sent = (self._rseq, response)
        self._rseq += 1
        self._interval = self._t1
        self._resend_at = now + self._t1
        self._times_out_at = now + 64 * self._t1
        return (response,)

    def _close(self) -> None:
        self._closed = True
        self._waiting.clear()
        self._resend_at = None


def _reliable(response: Response, rseq: int) -> Response:
    fields: Iterable[tuple[str, str]] = [*response.headers, ("Require", "100rel"), ("RSeq", str(rseq))]
    return Response(response.status, response.reason, Headers(fields), response.body)


@dataclass(frozen=True, slots=True)
class Received:
    """What to do with a provisional response that came."""

    process: bool
    """False: a copy, or one whose predecessor is missing. It is to be dropped whole (§4)."""
    rack: RAck | None = None
    """Send a PRACK with this RAck."""

    @property
    def fields(self) -> Fields:
        """For the PRACK."""
        return [] if self.rack is None else [("RAck", str(self.rack))]


class ProvisionalReceiver:
    """UAC side (§4): one for each early dialog of an INVITE, for each has its own order of RSeq.

    The policy does not matter here: whoever sends reliably without our asking still waits for the PRACK.
    """

    def __init__(self) -> None:
        self._last: int | None = None

    def received(self, response: Response) -> Received:
        """A provisional response; an unreliable one is just processed."""
        rseq = (response.headers.get("RSeq") or "").strip()
        reliable = 101 <= response.status <= 199 and "100rel" in option_tags(response, "Require")
        if not reliable or not _RSEQ.fullmatch(rseq):
            return Received(True)
        number = int(rseq)
        if self._last is not None and number != self._last + 1:
            return Received(False)  # A gap is filled by the retransmission of what is missing.
        self._last = number
        return Received(True, RAck(number, response.cseq))
