"""One call as the user agent knows it, and as its user sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from services.gateway.sip.dialog import Dialog
from services.gateway.sip.header import Headers
from services.gateway.sip.message import Request
from services.gateway.sip.refer import Referral
from services.gateway.sip.transactionlayer import Running
from services.gateway.sip.uri import NameAddr, UriError, readable, split_outside_quotes, user_of


class CallState(Enum):
    PROCEEDING = "proceeding"
    """INVITE received, no final response yet."""
    ANSWERED = "answered"
    """200 sent, no ACK yet."""
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


class Call:
    """Handle of one call: hashable by identity, made and changed by `UserAgent` alone.

    Read the properties and `state`; the other attributes are the user agent's own.
    """

    def __init__(self, request: Request, dialog: Dialog, invite: Running, peer: tuple[str, int]) -> None:
        self.request = request
        """The INVITE as it came (headers, body, Request-URI)."""
        self.state = CallState.PROCEEDING
        self.dialog = dialog
        self.peer = peer
        self.invite: Running | None = invite
        """Server transaction of the INVITE until its final response."""
        self.reinvite: tuple[Running, Request] | None = None
        self.acks: dict[int, PendingAck] = {}
        """By CSeq number: a re-INVITE may overtake the ACK before it."""
        self.bye_waits: tuple[tuple[str, str], ...] | None = None
        """Headers of the BYE that waits for the ACK."""
        self.referral: Referral | None = None

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
