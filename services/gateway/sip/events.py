"""What a `UserAgent` gives back: messages to send, names to look up, and what became of calls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from services.gateway.sip.message import Response
from services.gateway.sip.transport import Send

if TYPE_CHECKING:
    from services.gateway.sip.call import Call


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
    """The peer answered a request of ours with 481, or not at all: it no longer knows the call."""
    SESSION_EXPIRED = "session_expired"
    """Nobody refreshed the session (RFC 4028 §10); the BYE is on its way."""
    NO_PRACK = "no_prack"
    """A reliable provisional response was never acknowledged (RFC 3262 §3)."""
    REFUSED = "refused"
    """A call of ours: the far end, or something on the way, said no. `CallEnded.status` tells how."""
    UNREACHABLE = "unreachable"
    """A call of ours: nobody answered the INVITE, or it could not be sent."""


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A new INVITE; nothing has been sent yet. Follow at once with `trying` or `reject`, then with `ringing`,
    `progress`, `answer` or `reject`.

    `sdp_offer` is None for a delayed offer: answer with an offer, and the caller's answer comes with `CallConfirmed`
    (or `ProvisionalAcknowledged`). Exactly one a call, however often the INVITE was repeated.
    """

    call: Call
    sdp_offer: bytes | None
    replaces: Call | None = None
    """The call that this one is to take the place of (RFC 3891): answer this one, then end that one."""


@dataclass(frozen=True, slots=True)
class ProvisionalAcknowledged:
    """The PRACK to our reliable 180 or 183 came; `sdp_answer` when that carried our offer."""

    call: Call
    sdp_answer: bytes | None


@dataclass(frozen=True, slots=True)
class CallConfirmed:
    """The ACK to our 200 came. `sdp_answer` is set when the 200 carried the offer (delayed offer); `answer_missing`:
    it should have been there."""

    call: Call
    sdp_answer: bytes | None
    answer_missing: bool = False


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over: stop its media, free its slot. Exactly one for each `IncomingCall` and each `invite`,
    whoever ended it.

    Comes at once with the output of `bye` and `reject` too, so that one handler frees a call in all cases.
    `detail` is the peer's Reason header (RFC 3326), or the phrase of its refusal; `status` the final response that
    ended a call of ours, 0 when none did; `contact` where a 3xx sends us.
    """

    call: Call
    by_remote: bool
    reason: EndReason
    detail: str = ""
    status: int = 0
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Reoffered:
    """A new offer in the call (hold, resume, codec change) by re-INVITE, UPDATE or PRACK. Follow at once with
    `answer_offer` or `reject_offer`.

    `sdp_offer` None (re-INVITE only) asks us to offer; the answer then comes with `ReofferConfirmed`.
    """

    call: Call
    sdp_offer: bytes | None


@dataclass(frozen=True, slots=True)
class ReofferConfirmed:
    """The ACK to our 200 to a re-INVITE; `sdp_answer` and `answer_missing` as in `CallConfirmed`."""

    call: Call
    sdp_answer: bytes | None
    answer_missing: bool = False


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


@dataclass(frozen=True, slots=True)
class Progress:
    """A provisional response to our INVITE: 100, 180, 181, 183 … `sdp`: the far end sends media already (RFC 3960)."""

    call: Call
    status: int
    reason: str
    sdp: bytes | None


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """The 200 to our INVITE; ours is acknowledged already. `sdp` None: what the last `Progress` brought holds.

    Where the INVITE had no offer, `sdp` is the far end's: follow with `acknowledge`.
    """

    call: Call
    sdp: bytes | None


@dataclass(frozen=True, slots=True)
class ReofferAnswered:
    """The answer to an offer of ours in a standing call."""

    call: Call
    sdp: bytes


@dataclass(frozen=True, slots=True)
class DtmfReceived:
    """A key in an INFO request (application/dtmf-relay)."""

    call: Call
    digit: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """Text in a MESSAGE inside the call (RFC 3428)."""

    call: Call
    text: str


@dataclass(frozen=True, slots=True)
class ReferReceived:
    """The peer asks us to call `target`. Follow at once with `accept_refer` or `reject_refer`.

    `replaces`: the Replaces header that the new call is to carry (attended transfer), or None.
    """

    call: Call
    target: str
    replaces: str | None
    referred_by: str


@dataclass(frozen=True, slots=True)
class LookUp:
    """Find the servers of `uri` (RFC 3263) and give them to `looked_up`."""

    token: int
    uri: str


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """The final response to a request of `send_request`; None when nobody answered or could be reached."""

    token: int
    response: Response | None


Event = (
    IncomingCall
    | ProvisionalAcknowledged
    | CallConfirmed
    | CallEnded
    | Reoffered
    | ReofferConfirmed
    | ReofferAnswered
    | Progress
    | CallAnswered
    | ReferAnswered
    | ReferNotified
    | ReferReceived
    | DtmfReceived
    | MessageReceived
    | RequestAnswered
)
Output = Send | LookUp | Event
