"""Whose offer is open in a dialog (RFC 3264, RFC 3311 §5, RFC 6337): offers, answers, collisions, roll-back.

The machine knows nothing of SDP: a description is bytes, and what is in it is the user's.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from enum import Enum


class Carrier(Enum):
    """The message that a description came in or goes out in."""

    INVITE = "INVITE"
    """A re-INVITE too."""
    INVITE_1XX = "reliable 1xx to INVITE"
    INVITE_2XX = "2xx to INVITE"
    ACK = "ACK"
    PRACK = "PRACK"
    PRACK_2XX = "2xx to PRACK"
    UPDATE = "UPDATE"
    UPDATE_2XX = "2xx to UPDATE"
    UNRELIABLE_1XX = "unreliable 1xx to INVITE"
    """Only ever a copy of the answer that is still to come reliably (RFC 3261 §13.2.1)."""


ANSWERED_IN: dict[Carrier, tuple[Carrier, ...]] = {
    Carrier.INVITE: (Carrier.INVITE_1XX, Carrier.INVITE_2XX),
    Carrier.INVITE_1XX: (Carrier.PRACK,),
    Carrier.INVITE_2XX: (Carrier.ACK,),
    Carrier.PRACK: (Carrier.PRACK_2XX,),
    Carrier.UPDATE: (Carrier.UPDATE_2XX,),
}
"""What an offer may travel in, and its answer in turn: the six patterns of RFC 6337 §2.2, table 1."""

_OF_INVITE = (Carrier.INVITE, Carrier.INVITE_1XX, Carrier.INVITE_2XX)


class Side(Enum):
    LOCAL = "local"
    REMOTE = "remote"


class Exchange(Enum):
    STABLE = "stable"
    LOCAL_OFFER = "local offer"
    """We wait for the answer."""
    REMOTE_OFFER = "remote offer"
    """The peer waits for ours."""


class Description(Enum):
    """What a description of the peer is."""

    OFFER = "offer"
    ANSWER = "answer"
    PREVIEW = "preview"
    """An answer in an unreliable 1xx: media may flow by it, the exchange is still open."""
    REPEATED = "repeated"
    """Neither: a further copy of an answer, or one where none has a place. To be ignored (RFC 3261 §13.2.1)."""


@dataclass(frozen=True, slots=True)
class Collision:
    """Refuse the request with `status`: 491, or 500 with Retry-After of 0 to 10 s, at random (RFC 3311 §5.2)."""

    status: int

    def fields(self, random: float) -> list[tuple[str, str]]:
        """Header fields for the refusal; `random` is uniform in [0, 1)."""
        return [("Retry-After", str(min(int(random * 11), 10)))] if self.status == 500 else []


class OfferAnswerError(Exception):
    """A local step that the state does not allow: a mistake of the caller, never of the peer."""


class OfferAnswer:
    """One dialog's offers and answers. Begin with the INVITE: `invite_sent` or `invite_received`."""

    def __init__(self) -> None:
        self.exchange = Exchange.STABLE
        self.local_sdp: bytes | None = None
        """Our description of the last exchange that was completed; None before the first."""
        self.remote_sdp: bytes | None = None
        """The peer's."""
        self.offer: bytes | None = None
        """The open one."""
        self._carrier: Carrier | None = None
        self._invite: Side | None = None
        self._agreed_in_invite = False
        self._before_invite: tuple[bytes | None, bytes | None] | None = None

    # the INVITE transaction

    def may_invite(self) -> bool:
        """Whether we may send a re-INVITE (RFC 3261 §14.1): no INVITE of either side and no offer is open. The caller
        also waits for the ACK to its last 2xx, or for 64*T1."""
        return self._invite is None and self.exchange is Exchange.STABLE

    def invite_sent(self) -> None:
        """Before `local_offer`, if the INVITE carries one. Raises OfferAnswerError."""
        if not self.may_invite():
            raise OfferAnswerError(f"no INVITE may be sent: {self._where()}")
        self._open_invite(Side.LOCAL)

    def invite_received(self) -> Collision | None:
        """An INVITE of the peer, before `received` (RFC 3261 §14.2). A Collision is no part of the state."""
        collision = self._collision()
        if collision is None:
            self._open_invite(Side.REMOTE)
        return collision

    def invite_closed(self, success: bool) -> None:
        """The final response to the open INVITE came or went, and what it carries has been told here before.

        An offer that can no longer be answered falls. A refusal leaves the session as it was before the INVITE
        (§14.1), also where a reliable 1xx had brought the answer, unless a later exchange built on that.
        """
        if self._carrier in (Carrier.INVITE, Carrier.INVITE_1XX):
            self._close()
        if not success and self._agreed_in_invite and self._before_invite is not None:
            self.local_sdp, self.remote_sdp = self._before_invite
        self._invite = None
        self._before_invite = None
        self._agreed_in_invite = False

    def fork(self) -> OfferAnswer:
        """The same state for another dialog that our INVITE made: each has its own answer (RFC 3261 §13.2.2.4)."""
        return copy(self)

    # our descriptions

    def may_offer(self, carrier: Carrier) -> bool:
        """Whether `carrier` may go out with an offer of ours now."""
        if carrier not in ANSWERED_IN or self.exchange is not Exchange.STABLE:
            return False
        if carrier is Carrier.INVITE:
            return self._invite is Side.LOCAL and not self._agreed_in_invite
        if carrier in (Carrier.INVITE_1XX, Carrier.INVITE_2XX):
            # RFC 6337 §2.2: an INVITE without an offer asks for one, in the first reliable response. One that brought
            # an offer gets no second exchange in its responses.
            return self._invite is Side.REMOTE and not self._agreed_in_invite
        # RFC 3311 §5.1: neither PRACK nor UPDATE runs ahead of the exchange that an open INVITE is for.
        if self._invite is not None and not self._agreed_in_invite:
            return False
        return self.local_sdp is not None and (carrier is Carrier.UPDATE or self._invite is Side.LOCAL)

    def local_offer(self, carrier: Carrier, sdp: bytes) -> None:
        """Our offer goes out. Raises OfferAnswerError."""
        if not self.may_offer(carrier):
            raise OfferAnswerError(f"no offer may go out in {carrier.value}: {self._where()}")
        self.exchange, self._carrier, self.offer = Exchange.LOCAL_OFFER, carrier, sdp

    def may_answer(self, carrier: Carrier) -> bool:
        """Whether `carrier` is where our answer to the open offer goes."""
        return self.exchange is Exchange.REMOTE_OFFER and carrier in self._answers

    def local_answer(self, carrier: Carrier, sdp: bytes) -> None:
        """Our answer goes out. Raises OfferAnswerError. A copy in an unreliable 1xx is none and is not told."""
        if not self.may_answer(carrier):
            raise OfferAnswerError(f"no answer may go out in {carrier.value}: {self._where()}")
        self._complete(local=sdp, remote=self.offer)

    # the peer's descriptions

    def received(self, carrier: Carrier, sdp: bytes) -> Description | Collision:
        """A description of the peer: an offer to answer, an answer to ours, or nothing of either.

        A Collision is only for the requests UPDATE and PRACK; an INVITE asks `invite_received` first.
        """
        if self.exchange is Exchange.LOCAL_OFFER:
            if carrier in self._answers:
                self._complete(local=self.offer, remote=sdp)
                return Description.ANSWER
            if carrier is Carrier.UNRELIABLE_1XX and self._carrier is Carrier.INVITE:
                return Description.PREVIEW
        if not self._may_be_offered(carrier):
            if carrier in (Carrier.UPDATE, Carrier.PRACK):
                return self._offer_collision() or Collision(500)
            return Description.REPEATED
        self.exchange, self._carrier, self.offer = Exchange.REMOTE_OFFER, carrier, sdp
        return Description.OFFER

    def failed(self, carrier: Carrier) -> None:
        """What carried the open offer was refused, or its answer never came (no SDP in the ACK or 2xx, no PRACK): the
        offer falls and the session is as before (RFC 3264 §8). Another carrier's failure changes nothing."""
        if self._carrier is carrier:
            self._close()

    # inside

    @property
    def _answers(self) -> tuple[Carrier, ...]:
        return () if self._carrier is None else ANSWERED_IN[self._carrier]

    def _may_be_offered(self, carrier: Carrier) -> bool:
        if carrier not in ANSWERED_IN or self.exchange is not Exchange.STABLE:
            return False
        if carrier is Carrier.INVITE:
            return self._invite is Side.REMOTE and not self._agreed_in_invite
        if carrier in (Carrier.INVITE_1XX, Carrier.INVITE_2XX):
            return self._invite is Side.LOCAL and not self._agreed_in_invite
        return self.local_sdp is not None

    def _collision(self) -> Collision | None:
        if self._invite is Side.LOCAL:
            return Collision(491)
        if self._invite is Side.REMOTE:
            return Collision(500)
        return self._offer_collision()

    def _offer_collision(self) -> Collision | None:
        if self.exchange is Exchange.LOCAL_OFFER:
            return Collision(491)
        if self.exchange is Exchange.REMOTE_OFFER:
            return Collision(500)
        return None

    def _open_invite(self, side: Side) -> None:
        self._invite = side
        self._before_invite = (self.local_sdp, self.remote_sdp)
        self._agreed_in_invite = False

    def _complete(self, local: bytes | None, remote: bytes | None) -> None:
        self.local_sdp, self.remote_sdp = local, remote
        if self._carrier in _OF_INVITE:
            self._agreed_in_invite = True
        else:
            self._before_invite = None
        self._close()

    def _close(self) -> None:
        self.exchange, self._carrier, self.offer = Exchange.STABLE, None, None

    def _where(self) -> str:
        invite = "no INVITE is open" if self._invite is None else f"a {self._invite.value} INVITE is open"
        return f"{self.exchange.value}, {invite}"
