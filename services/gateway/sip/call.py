"""One call as the user agent knows it, and as its user sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from services.gateway.sip.alarms import Alarm
from services.gateway.sip.dialog import Dialog
from services.gateway.sip.digestclient import DigestClient
from services.gateway.sip.header import Headers
from services.gateway.sip.message import Request, Response
from services.gateway.sip.offeranswer import OfferAnswer
from services.gateway.sip.outbound import Outbound
from services.gateway.sip.profile import Profile
from services.gateway.sip.refer import Referral
from services.gateway.sip.reliable import ReliableProvisionals
from services.gateway.sip.sessiontimer import Agreed, SessionNegotiation, SessionTimer
from services.gateway.sip.subscription import ReferSubscription
from services.gateway.sip.transactionlayer import Running
from services.gateway.sip.transport import Flow, Send
from services.gateway.sip.uri import NameAddr, UriError, readable, split_outside_quotes, user_of


class CallState(Enum):
    PROCEEDING = "proceeding"
    """INVITE received or sent, no final response yet."""
    ANSWERED = "answered"
    """200 sent and no ACK yet; or 200 received and the ACK waits for our answer to its offer."""
    CONFIRMED = "confirmed"
    ENDED = "ended"


class CallStateError(Exception):
    """A command that the call's state does not allow, e.g. `answer` twice or `refer` before the ACK."""


@dataclass(slots=True)
class PendingAck:
    """A 200 to an INVITE or re-INVITE that is repeated until its ACK comes."""

    repeating: Running
    expects_answer: bool
    """The 200 carried our offer: the ACK carries the answer."""
    initial: bool


@dataclass(slots=True)
class PendingOffer:
    """A re-INVITE, UPDATE or PRACK of the peer that waits for our answer."""

    running: Running
    request: Request


class Call:
    """Handle of one call: hashable by identity, made and changed by `UserAgent` alone.

    Read the properties and `state`; the other attributes are the user agent's own.
    """

    def __init__(
        self, request: Request, dialog: Dialog, flow: Flow, profile: Profile, outbound: Outbound | None = None
    ) -> None:
        self.request = request
        """The INVITE as it came, or as it went out last (headers, body, Request-URI)."""
        self.state = CallState.PROCEEDING
        self.dialog = dialog
        self.flow = flow
        """Where the peer, or the proxy before it, was last heard."""
        self.profile = profile
        self.outbound = outbound
        """What a call of ours has beside, until it is answered; None in a call that came."""
        self.owns_call_id = outbound is not None
        self.behind_nat = False
        """Its Contact cannot be reached; `flow` can."""
        self.invite: Running | None = None
        """Server transaction of the INVITE until its final response."""
        self.offered: PendingOffer | None = None
        self.referring: PendingOffer | None = None
        """A REFER of the peer that waits for the user's word."""
        self.acks: dict[int, PendingAck] = {}
        """By CSeq number: a re-INVITE may overtake the ACK before it."""
        self.bye_waits: tuple[tuple[str, str], ...] | None = None
        """Headers of the BYE that waits for the ACK."""
        self.invite_sent: Request | None = None
        """The latest INVITE or re-INVITE of ours."""
        self.accepted: Response | None = None
        """The 2xx whose offer waits for our answer."""
        self.sent_acks: dict[tuple[int, str], Send] = {}
        """Our ACKs by CSeq number and tag in To: a 2xx may come again."""
        self.exchange = OfferAnswer()
        self.agreed: Agreed | None = None
        """The session timer that our 2xx will start."""
        self.provisionals: ReliableProvisionals | None = None
        self.digest: DigestClient | None = None
        self.session = SessionNegotiation(profile.session_timer)
        self.timer = SessionTimer()
        self.alarm: Alarm | None = None
        """For the earliest deadline of `provisionals` and `timer`."""
        self.referral: Referral | None = None
        """Of a REFER of ours."""
        self.subscription: ReferSubscription | None = None
        """Of a REFER of the peer's."""

    @property
    def inbound(self) -> bool:
        return not self.owns_call_id

    @property
    def call_id(self) -> str:
        """Call-ID of the SIP dialog."""
        return readable(self.request.call_id)

    @property
    def caller(self) -> NameAddr:
        """From."""
        return self.request.from_

    @property
    def callee(self) -> NameAddr:
        """To."""
        return self.request.to

    @property
    def caller_number(self) -> str:
        """User part of From; empty when withheld (RFC 3323 §4.1: anonymous@anonymous.invalid)."""
        return _number(self.caller)

    @property
    def caller_name(self) -> str:
        """Display name of From; may be empty."""
        return readable(self.caller.display_name)

    @property
    def asserted(self) -> NameAddr | None:
        """First P-Asserted-Identity (RFC 3325): to be believed only from a trusted trunk."""
        value = self.headers.get("P-Asserted-Identity")
        try:
            return None if value is None else NameAddr.parse(split_outside_quotes(value, ",")[0])
        except UriError:
            return None

    @property
    def asserted_number(self) -> str:
        """User part of `asserted`, as `caller_number`; empty when there is none."""
        return _number(self.asserted) if self.asserted else ""

    @property
    def asserted_name(self) -> str:
        """Display name of `asserted`; empty when there is none."""
        return readable(self.asserted.display_name) if self.asserted else ""

    @property
    def called_number(self) -> str:
        """User part of the Request-URI, unescaped."""
        return readable(user_of(self.request.uri))

    @property
    def headers(self) -> Headers:
        """Headers of the INVITE."""
        return self.request.headers

    def __repr__(self) -> str:
        return f"<Call {self.call_id} {self.state.value}>"


def _number(party: NameAddr) -> str:
    user = readable(party.user)
    return "" if user.lower() == "anonymous" else user
