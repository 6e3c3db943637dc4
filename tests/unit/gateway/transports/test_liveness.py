"""Which connections are kept: those that talk like SIP, take what we send, and answer pings if they ever did."""

import pytest

from services.gateway.sip.framing import KeepAlive
from services.gateway.transports.limits import StreamLimits
from services.gateway.transports.liveness import Liveness, Verdict

LIMITS = StreamLimits(first_message_s=10, message_s=10, idle_s=3600, stuck_s=32, pong_s=10)
CRLF, PING = KeepAlive.CRLF, KeepAlive.PING
MESSAGE = b"..."


def accepted() -> Liveness:
    return Liveness(0.0, LIMITS)


def opened() -> Liveness:
    return Liveness(0.0, LIMITS, ping_s=120.0)


def test_half_open_connection_ends() -> None:
    liveness = accepted()
    assert liveness.expire(9.9) is None
    assert liveness.expire(10.0) is Verdict.NO_MESSAGE


def test_pings_are_no_message() -> None:
    liveness = accepted()
    liveness.received(9.0, [CRLF, PING], partial=False)
    assert liveness.expire(10.0) is Verdict.NO_MESSAGE


def test_connection_of_ours_owes_nothing() -> None:
    assert opened().expire(100.0) is None


def test_slow_message_ends_the_connection_however_often_a_byte_comes() -> None:
    liveness = accepted()
    liveness.received(1.0, [MESSAGE], partial=False)
    for second in range(100, 110):
        liveness.received(float(second), [], partial=True)
        assert liveness.expire(float(second)) is None
    assert liveness.expire(110.0) is Verdict.TOO_SLOW


def test_each_message_has_its_own_time() -> None:
    liveness = accepted()
    liveness.received(1.0, [], partial=True)
    liveness.received(9.0, [MESSAGE], partial=True)
    assert liveness.expire(18.9) is None
    liveness.received(18.9, [MESSAGE], partial=False)
    assert liveness.expire(100.0) is None


def test_idle_connection_ends_and_any_byte_keeps_it() -> None:
    liveness = accepted()
    liveness.received(0.0, [MESSAGE], partial=False)
    liveness.received(3000.0, [CRLF, PING], partial=False)
    assert liveness.expire(6599.0) is None
    liveness.sent(6599.0)
    assert liveness.expire(10_198.0) is None
    assert liveness.expire(10_199.0) is Verdict.IDLE


def test_peer_that_takes_nothing_ends() -> None:
    liveness = opened()
    liveness.waiting(1.0, 500)
    liveness.waiting(20.0, 0)
    liveness.waiting(21.0, 500)
    liveness.waiting(52.0, 900)
    assert liveness.expire(52.9) is None
    assert liveness.expire(53.0) is Verdict.NOT_READING


def test_only_the_one_who_opened_pings() -> None:
    liveness = accepted()
    liveness.received(1.0, [MESSAGE], partial=False)
    assert liveness.expire(1000.0) is None
    assert opened().expire(120.0) is Verdict.PING


def test_ping_is_told_once_a_time() -> None:
    liveness = opened()
    assert [liveness.expire(at) for at in (119.9, 120.0, 120.5, 239.9, 240.0)] == [
        None,
        Verdict.PING,
        None,
        None,
        Verdict.PING,
    ]


def test_peer_that_never_pongs_lives() -> None:
    liveness = opened()
    assert liveness.expire(120.0) is Verdict.PING
    assert liveness.expire(131.0) is None


def test_peer_that_ponged_once_must_go_on() -> None:
    liveness = opened()
    liveness.expire(120.0)
    liveness.received(120.1, [CRLF], partial=False)
    assert liveness.expire(240.0) is Verdict.PING
    assert liveness.expire(249.9) is None
    assert liveness.expire(250.0) is Verdict.NO_PONG


def test_any_byte_proves_life() -> None:
    liveness = opened()
    liveness.expire(120.0)
    liveness.received(120.1, [CRLF], partial=False)
    liveness.expire(240.0)
    liveness.received(249.0, [MESSAGE], partial=False)
    assert liveness.expire(251.0) is None


@pytest.mark.parametrize("reads", [[[CRLF, PING]], [[CRLF], [PING]]])
def test_ping_of_the_peer_is_no_pong(reads: list[list[bytes | KeepAlive]]) -> None:
    liveness = opened()
    liveness.expire(120.0)
    for items in reads:
        liveness.received(120.1, items, partial=False)
    liveness.expire(240.0)
    assert liveness.expire(251.0) is None
