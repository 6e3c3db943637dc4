"""Offers and answers in a dialog (RFC 3264, RFC 3311, RFC 6337)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sip.offeranswer import (
    ANSWERED_IN,
    Carrier,
    Collision,
    Description,
    Exchange,
    OfferAnswer,
    OfferAnswerError,
    Side,
)

OURS, THEIRS, LATER = b"ours", b"theirs", b"later"

PATTERNS = [
    (Carrier.INVITE, Carrier.INVITE_2XX),
    (Carrier.INVITE_2XX, Carrier.ACK),
    (Carrier.INVITE, Carrier.INVITE_1XX),
    (Carrier.INVITE_1XX, Carrier.PRACK),
    (Carrier.PRACK, Carrier.PRACK_2XX),
    (Carrier.UPDATE, Carrier.UPDATE_2XX),
]


def dialog(invite: Side | None = None, agreed: bool = False) -> OfferAnswer:
    """With an INVITE open, in which an exchange may be done already; without one, after a call was set up."""
    state = OfferAnswer()
    if invite is Side.LOCAL:
        state.invite_sent()
        if agreed:
            state.local_offer(Carrier.INVITE, OURS)
            state.received(Carrier.INVITE_1XX, THEIRS)
    else:
        assert state.invite_received() is None
        if agreed or invite is None:
            state.received(Carrier.INVITE, THEIRS)
            state.local_answer(Carrier.INVITE_1XX, OURS)
    if invite is None:
        state.invite_closed(True)
    return state


def inviter_of(offer: Carrier, offerer: Side) -> Side | None:
    """Who sent the INVITE that the pattern plays in."""
    if offer is Carrier.UPDATE:
        return None
    other = Side.REMOTE if offerer is Side.LOCAL else Side.LOCAL
    return other if offer in (Carrier.INVITE_1XX, Carrier.INVITE_2XX) else offerer


@pytest.mark.parametrize(("offer", "answer"), PATTERNS)
def test_the_six_patterns_with_our_offer(offer: Carrier, answer: Carrier) -> None:
    state = dialog(inviter_of(offer, Side.LOCAL), agreed=offer is Carrier.PRACK)
    assert state.may_offer(offer)
    state.local_offer(offer, LATER)
    assert (state.exchange, state.offer) == (Exchange.LOCAL_OFFER, LATER)
    assert state.received(answer, THEIRS) is Description.ANSWER
    assert (state.exchange, state.local_sdp, state.remote_sdp, state.offer) == (Exchange.STABLE, LATER, THEIRS, None)


@pytest.mark.parametrize(("offer", "answer"), PATTERNS)
def test_the_six_patterns_with_their_offer(offer: Carrier, answer: Carrier) -> None:
    state = dialog(inviter_of(offer, Side.REMOTE), agreed=offer is Carrier.PRACK)
    assert state.received(offer, LATER) is Description.OFFER
    assert (state.exchange, state.may_answer(answer)) == (Exchange.REMOTE_OFFER, True)
    state.local_answer(answer, OURS)
    assert (state.exchange, state.local_sdp, state.remote_sdp) == (Exchange.STABLE, OURS, LATER)


def test_the_patterns_are_all_there_are() -> None:
    assert {(offer, answer) for offer, answers in ANSWERED_IN.items() for answer in answers} == set(PATTERNS)


def test_the_first_answer_counts() -> None:
    """RFC 3261 §13.2.1: the copy in the 2xx is ignored, and so is one that differs."""
    state = dialog(Side.LOCAL)
    state.local_offer(Carrier.INVITE, OURS)
    assert state.received(Carrier.UNRELIABLE_1XX, THEIRS) is Description.PREVIEW
    assert state.exchange is Exchange.LOCAL_OFFER
    assert state.received(Carrier.INVITE_1XX, THEIRS) is Description.ANSWER
    for carrier in (Carrier.UNRELIABLE_1XX, Carrier.INVITE_1XX, Carrier.INVITE_2XX):
        assert state.received(carrier, LATER) is Description.REPEATED
    state.invite_closed(True)
    assert (state.local_sdp, state.remote_sdp) == (OURS, THEIRS)


def test_an_invite_gets_one_exchange_in_its_responses() -> None:
    state = dialog(Side.REMOTE)
    state.local_offer(Carrier.INVITE_1XX, OURS)
    assert not state.may_offer(Carrier.INVITE_2XX), "the offer is open"
    assert state.received(Carrier.PRACK, THEIRS) is Description.ANSWER
    assert not state.may_offer(Carrier.INVITE_1XX)
    assert not state.may_offer(Carrier.INVITE_2XX)
    state.invite_closed(True)
    assert state.received(Carrier.ACK, LATER) is Description.REPEATED


@pytest.mark.parametrize(
    ("first", "status"), [("our INVITE", 491), ("their INVITE", 500), ("our UPDATE", 491), ("their UPDATE", 500)]
)
def test_an_invite_that_collides(first: str, status: int) -> None:
    """RFC 3261 §14.2, RFC 3311 §5.2."""
    state = dialog()
    if first == "our INVITE":
        state.invite_sent()  # without an offer: the INVITE alone is in the way
    elif first == "their INVITE":
        state.invite_received()
    elif first == "our UPDATE":
        state.local_offer(Carrier.UPDATE, OURS)
    else:
        state.received(Carrier.UPDATE, THEIRS)
    before = state.exchange
    assert state.invite_received() == Collision(status)
    assert state.exchange is before
    assert not state.may_invite()
    with pytest.raises(OfferAnswerError, match="no INVITE may be sent"):
        state.invite_sent()


@pytest.mark.parametrize(
    ("first", "status"), [("our INVITE", 491), ("their INVITE", 500), ("our UPDATE", 491), ("their UPDATE", 500)]
)
def test_an_update_with_an_offer_that_collides(first: str, status: int) -> None:
    """RFC 3311 §5.2."""
    state = dialog()
    if first == "our INVITE":
        state.invite_sent()
        state.local_offer(Carrier.INVITE, OURS)
    elif first == "their INVITE":
        state.invite_received()
        state.received(Carrier.INVITE, THEIRS)
    elif first == "our UPDATE":
        state.local_offer(Carrier.UPDATE, OURS)
    else:
        state.received(Carrier.UPDATE, THEIRS)
    assert state.received(Carrier.UPDATE, LATER) == Collision(status)
    assert not state.may_offer(Carrier.UPDATE)


def test_our_2xx_with_an_offer_keeps_others_off_until_the_ack() -> None:
    state = dialog()
    assert state.invite_received() is None
    state.local_offer(Carrier.INVITE_2XX, OURS)
    state.invite_closed(True)
    assert state.received(Carrier.UPDATE, LATER) == Collision(491)
    assert state.invite_received() == Collision(491)
    assert state.received(Carrier.ACK, THEIRS) is Description.ANSWER
    assert state.invite_received() is None


def test_an_ack_without_the_answer() -> None:
    state = dialog(Side.REMOTE)
    state.local_offer(Carrier.INVITE_2XX, OURS)
    state.invite_closed(True)
    state.failed(Carrier.INVITE_2XX)
    assert (state.exchange, state.local_sdp, state.may_invite()) == (Exchange.STABLE, None, True)


def test_update_before_the_first_exchange() -> None:
    state = dialog(Side.REMOTE)
    assert state.received(Carrier.UPDATE, THEIRS) == Collision(500)
    assert not state.may_offer(Carrier.UPDATE)
    state = dialog(Side.REMOTE, agreed=True)
    assert state.may_offer(Carrier.UPDATE)
    assert not state.may_offer(Carrier.PRACK), "PRACK is the inviter's"
    assert state.received(Carrier.UPDATE, LATER) is Description.OFFER


def test_a_refused_re_invite_leaves_the_session_as_it_was() -> None:
    """RFC 3261 §14.1."""
    for answered in (False, True):
        state = dialog()
        state.invite_sent()
        state.local_offer(Carrier.INVITE, LATER)
        if answered:
            state.received(Carrier.INVITE_1XX, LATER)
        state.invite_closed(False)
        assert (state.exchange, state.local_sdp, state.remote_sdp) == (Exchange.STABLE, OURS, THEIRS)
        assert state.may_invite()


def test_what_an_update_agreed_outlives_the_refused_re_invite() -> None:
    state = dialog()
    state.invite_sent()
    state.local_offer(Carrier.INVITE, LATER)
    state.received(Carrier.INVITE_1XX, LATER)
    state.received(Carrier.UPDATE, b"newest")
    state.local_answer(Carrier.UPDATE_2XX, b"answer")
    state.invite_closed(False)
    assert (state.local_sdp, state.remote_sdp) == (b"answer", b"newest")


def test_a_refused_update_falls_alone() -> None:
    state = dialog()
    state.local_offer(Carrier.UPDATE, LATER)
    state.failed(Carrier.INVITE)
    assert state.exchange is Exchange.LOCAL_OFFER
    state.failed(Carrier.UPDATE)
    assert (state.exchange, state.local_sdp) == (Exchange.STABLE, OURS)


def test_an_invite_that_ends_without_an_answer_leaves_nothing_open() -> None:
    state = dialog(Side.LOCAL)
    state.local_offer(Carrier.INVITE, OURS)
    state.invite_closed(True)
    assert (state.exchange, state.local_sdp) == (Exchange.STABLE, None)


def test_each_fork_has_its_own_answer() -> None:
    state = dialog(Side.LOCAL)
    state.local_offer(Carrier.INVITE, OURS)
    other = state.fork()
    assert other.received(Carrier.INVITE_1XX, LATER) is Description.ANSWER
    assert state.received(Carrier.INVITE_2XX, THEIRS) is Description.ANSWER
    assert (state.remote_sdp, other.remote_sdp) == (THEIRS, LATER)


@pytest.mark.parametrize(("random", "seconds"), [(0.0, "0"), (0.999, "10"), (1.0, "10")])
def test_500_says_when_to_come_again(random: float, seconds: str) -> None:
    assert Collision(500).fields(random) == [("Retry-After", seconds)]
    assert Collision(491).fields(random) == []


def test_our_mistakes_are_told() -> None:
    with pytest.raises(OfferAnswerError, match="no offer may go out in INVITE: stable, no INVITE is open"):
        dialog().local_offer(Carrier.INVITE, OURS)
    with pytest.raises(OfferAnswerError, match="no answer may go out in 2xx to UPDATE"):
        dialog().local_answer(Carrier.UPDATE_2XX, OURS)


@given(
    st.lists(st.tuples(st.sampled_from(["received", "failed", "invite", "closed", "answer"]), st.sampled_from(Carrier)))
)
def test_whatever_the_peer_sends_the_state_holds(steps: list[tuple[str, Carrier]]) -> None:
    state = OfferAnswer()
    for step, carrier in steps:
        if step == "received":
            state.received(carrier, THEIRS)
        elif step == "failed":
            state.failed(carrier)
        elif step == "invite":
            state.invite_received()
        elif step == "closed":
            state.invite_closed(carrier is Carrier.ACK)
        elif state.may_answer(carrier):
            state.local_answer(carrier, OURS)
        assert (state.offer is None) == (state.exchange is Exchange.STABLE)
        assert (state.local_sdp is None) == (state.remote_sdp is None)
        assert not (state.may_invite() and state.exchange is not Exchange.STABLE)
