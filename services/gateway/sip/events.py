"""What a `UserAgent` gives back: datagrams to send, and what became of calls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from services.gateway.sip.call import Call
from services.gateway.sip.transport import Send


class EndReason(Enum):
    """Why a call is over. The value is a stable label, fit for metrics and logs."""

    REMOTE_BYE = "remote_bye"
    LOCAL_BYE = "local_bye"
    CANCELLED = "cancelled"
    """The caller gave up before we answered (CANCEL, or BYE on the early dialog)."""
    REJECTED = "rejected"
    """We refused it: `UserAgent.reject`, or `UserAgent.bye` before an answer."""
    NO_ACK = "no_ack"
    """Our 200 was never acknowledged within 64*T1 (RFC 3261 §13.3.1.4); the BYE is on its way."""
    DIALOG_GONE = "dialog_gone"
    """The peer answered a request of ours with 481: it no longer knows the call."""


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A new INVITE; 100 Trying has been sent. Follow with `ringing`, `answer` or `reject`.

    `sdp_offer` is None for a delayed offer: answer with `sdp.offer(...)`, and the caller's answer comes with
    `CallConfirmed`. Exactly one a call, however often the INVITE was repeated.
    """

    call: Call
    sdp_offer: bytes | None


@dataclass(frozen=True, slots=True)
class CallConfirmed:
    """The ACK to our 200 came. `sdp_answer` is set when the 200 carried the offer (delayed offer)."""

    call: Call
    sdp_answer: bytes | None


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over: stop its media, free its slot. Exactly one for each `IncomingCall`, whoever ended it.

    Comes at once with the output of `bye` and `reject` too, so that one handler frees a call in all cases.
    `detail` is the peer's Reason header (RFC 3326) or empty.
    """

    call: Call
    by_remote: bool
    reason: EndReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Reoffered:
    """A re-INVITE (hold, resume, codec change). Follow with `answer_reinvite` or `reject_reinvite`.

    `sdp_offer` None asks us to offer; the answer then comes with `ReofferConfirmed`.
    """

    call: Call
    sdp_offer: bytes | None


@dataclass(frozen=True, slots=True)
class ReofferConfirmed:
    """The ACK to our 200 to a re-INVITE; `sdp_answer` as in `CallConfirmed`."""

    call: Call
    sdp_answer: bytes | None


@dataclass(frozen=True, slots=True)
class ReferAnswered:
    """The final response to our REFER: 2xx means NOTIFYs will follow; 408 that nobody answered it."""

    call: Call
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReferNotified:
    """How the transfer goes (RFC 3515 §2.4.4). `final` comes true at most once for each REFER.

    `status` is the SIP status in the message/sipfrag body (100, 180, 200, 486 …), None when the peer ended
    the subscription without saying how the transfer went.
    """

    call: Call
    status: int | None
    reason: str
    final: bool


Event = IncomingCall | CallConfirmed | CallEnded | Reoffered | ReofferConfirmed | ReferAnswered | ReferNotified
Output = Send | Event
