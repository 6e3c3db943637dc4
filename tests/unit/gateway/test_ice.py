"""ICE lite: only who knows the password is answered, believed and sent to."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import stun
from services.gateway.ice import CONSENT_LIMIT_US, MAX_CHECKED, REMEMBERED, IceLite
from services.gateway.sip.ice import IceCredentials, IceParameters
from services.gateway.stun import Attribute, MessageClass, StunMessage

OURS = IceCredentials("evtj", "VOkJxbRl1RmTxUk/WvJxBt")
THEIRS = IceCredentials("h6vY", "asd88fgpdd777uzjYhagZg")
HOST = ("192.0.2.1", 5000)
REFLEXIVE = ("203.0.113.9", 61000)
ID = b"transaction1"
SECOND = 1_000_000
_FRESH = count()


def agent() -> IceLite:
    return IceLite(IceParameters(OURS, THEIRS), 0)


def check(
    *more: tuple[int, bytes],
    nominate: bool = False,
    username: str = "evtj:h6vY",
    password: str | None = OURS.password,
    kind: MessageClass = MessageClass.REQUEST,
    transaction: bytes | None = None,
) -> bytes:
    """A transaction of its own, as each check is, unless `transaction` tells one."""
    transaction = transaction or b"%012d" % next(_FRESH)
    attributes = [
        (int(Attribute.USERNAME), username.encode()),
        (int(Attribute.PRIORITY), b"\x6e\x00\x01\xff"),
        *more,
    ]
    if nominate:
        attributes.append((Attribute.USE_CANDIDATE, b""))
    return stun.compose(StunMessage(kind, transaction, tuple(attributes)), password)


CONTROLLING = (int(Attribute.ICE_CONTROLLING), b"12345678")
CONTROLLED = (int(Attribute.ICE_CONTROLLED), b"12345678")


def test_a_check_is_answered_with_its_source() -> None:
    ice = agent()
    response = ice.receive(check(CONTROLLING, transaction=ID), REFLEXIVE, SECOND)
    assert response is not None
    answer = stun.parse(response)
    assert answer is not None
    assert answer.message_class is MessageClass.SUCCESS
    assert answer.transaction_id == ID
    assert answer.mapped_address == REFLEXIVE
    assert answer.authentic(OURS.password)
    assert ice.selected is None, "a check alone selects nothing"
    assert ice.believes(REFLEXIVE)
    assert not ice.believes(HOST)
    assert ice.last_check_us == SECOND


def test_the_latest_nomination_wins() -> None:
    ice = agent()
    ice.receive(check(CONTROLLING, nominate=True), HOST, SECOND)
    assert ice.selected == HOST
    ice.receive(check(CONTROLLING), REFLEXIVE, 2 * SECOND)
    assert ice.selected == HOST
    ice.receive(check(CONTROLLING, nominate=True), REFLEXIVE, 3 * SECOND)
    assert ice.selected == REFLEXIVE
    assert ice.believes(HOST), "packets of the former pair are still on their way"


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\0\1",
        check(password=None, nominate=True),
        check(password=THEIRS.password, nominate=True),
        check(username="h6vY:evtj", nominate=True),
        check(username="", nominate=True),
        check(username="evt:h6vY", nominate=True),
        check(nominate=True)[:-1] + b"\0",
        stun.compose(StunMessage(MessageClass.REQUEST, ID, ((Attribute.USE_CANDIDATE, b""),)), OURS.password),
        stun.compose(StunMessage(MessageClass.REQUEST, ID, ((Attribute.USERNAME, b"\xff:"),)), OURS.password),
    ],
)
def test_strangers_get_nothing(datagram: bytes) -> None:
    ice = agent()
    assert ice.receive(datagram, HOST, SECOND) is None
    assert (ice.selected, ice.unauthentic, ice.last_check_us) == (None, 1, 0)
    assert not ice.believes(HOST)


@pytest.mark.parametrize("kind", [MessageClass.INDICATION, MessageClass.SUCCESS, MessageClass.ERROR])
def test_other_messages_change_nothing(kind: MessageClass) -> None:
    ice = agent()
    assert ice.receive(check(nominate=True, kind=kind), HOST, SECOND) is None
    assert (ice.selected, ice.unauthentic, ice.last_check_us) == (None, 0, 0)


@pytest.mark.parametrize(("attribute", "code"), [(CONTROLLED, 487), ((0x7001, b"new!"), 420)])
def test_authentic_checks_that_cant_be_taken_are_told_why(attribute: tuple[int, bytes], code: int) -> None:
    ice = agent()
    response = ice.receive(check(attribute, nominate=True), HOST, SECOND)
    assert response is not None
    answer = stun.parse(response)
    assert answer is not None
    assert answer.error is not None
    assert answer.error[0] == code
    assert answer.authentic(OURS.password)
    assert ice.selected is None
    assert not ice.believes(HOST)


def test_attributes_that_may_be_unknown_are_passed_over() -> None:
    assert agent().receive(check(CONTROLLING, (0xC057, b"\0\0\3\xe7")), HOST, SECOND) is not None


def test_a_check_that_was_overheard_moves_nothing() -> None:
    """MESSAGE-INTEGRITY does not cover the source: who saw a nomination could have the media sent anywhere."""
    ice = agent()
    overheard = check(nominate=True)
    ice.receive(overheard, HOST, SECOND)
    assert ice.receive(overheard, HOST, SECOND) is not None, "sent again, for our answer was lost"
    for _ in range(REMEMBERED - 1):
        ice.receive(check(nominate=True), HOST, 2 * SECOND)
    assert ice.receive(overheard, REFLEXIVE, 3 * SECOND) is None
    assert (ice.selected, ice.believes(REFLEXIVE), ice.unauthentic) == (HOST, False, 1)


def test_consent_ends_when_the_selected_pair_is_silent() -> None:
    ice = agent()
    ice.receive(check(nominate=True), HOST, SECOND)
    ice.receive(check(), REFLEXIVE, 20 * SECOND)
    assert ice.last_check_us == SECOND, "another pair's checks say nothing of this one"
    assert ice.consents(SECOND + CONSENT_LIMIT_US - 1)
    assert not ice.consents(SECOND + CONSENT_LIMIT_US)
    ice.receive(check(), HOST, SECOND + CONSENT_LIMIT_US)
    assert ice.consents(SECOND + CONSENT_LIMIT_US)


def test_a_check_sent_again_is_no_news() -> None:
    """Who saw it can send it under its source's address: that is neither consent (RFC 7675 §5.1) nor a nomination."""
    ice = agent()
    first = check(nominate=True)
    ice.receive(first, HOST, SECOND)
    ice.receive(check(nominate=True), REFLEXIVE, 2 * SECOND)
    assert ice.receive(first, HOST, 20 * SECOND) is not None
    assert (ice.selected, ice.last_check_us) == (REFLEXIVE, 2 * SECOND)


def test_few_sources_are_remembered_and_the_selected_always() -> None:
    ice = agent()
    ice.receive(check(nominate=True), HOST, SECOND)
    for port in range(1000, 1000 + 3 * MAX_CHECKED):
        ice.receive(check(), ("192.0.2.7", port), SECOND)
        assert ice.believes(HOST)
        assert ice.believes(("192.0.2.7", port))
    assert sum(ice.believes(("192.0.2.7", port)) for port in range(1000, 1000 + 3 * MAX_CHECKED)) == MAX_CHECKED - 1


@given(st.binary(max_size=120), st.integers(0, 200), st.integers(0, 255))
def test_nothing_raises_and_nothing_altered_is_believed(noise: bytes, at: int, value: int) -> None:
    good = check(CONTROLLING, nominate=True)
    altered = bytearray(good)
    altered[at % (len(good) - 8)] = value  # without FINGERPRINT a check is as authentic
    ice = agent()
    assert ice.receive(noise, HOST, SECOND) is None
    assert (ice.receive(bytes(altered), HOST, SECOND) is not None) == (bytes(altered) == good)
    assert ice.receive(good, ("not-an-address", 1), SECOND) is None
