"""Session timers (RFC 4028)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.sip.header import Headers
from services.gateway.sip.message import Request, Response
from services.gateway.sip.sessiontimer import (
    EXPIRED,
    Agreed,
    Refresh,
    SessionNegotiation,
    SessionTimer,
    SessionTimerMode,
    SessionTimerPolicy,
    TooSmall,
)

OFF, ACCEPT, ALWAYS = SessionTimerMode.OFF, SessionTimerMode.ACCEPT, SessionTimerMode.ALWAYS
TIMER = ("Supported", "timer")


def request(*fields: tuple[str, str]) -> Request:
    return Request("INVITE", "sip:1@x", Headers(fields))


def response(status: int, *fields: tuple[str, str]) -> Response:
    return Response(status, "", Headers(fields))


def negotiation(mode: SessionTimerMode = ACCEPT, expires_s: int = 1800, min_se_s: int = 90) -> SessionNegotiation:
    return SessionNegotiation(SessionTimerPolicy(mode, expires_s, min_se_s))


@pytest.mark.parametrize(("expires_s", "min_se_s", "named"), [(1800, 0, "min_se_s"), (100, 120, "expires_s")])
def test_a_policy_that_contradicts_itself_is_refused(expires_s: int, min_se_s: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SessionTimerPolicy(ACCEPT, expires_s, min_se_s)


@pytest.mark.parametrize(
    ("timer", "refresher", "we_refresh", "answered"),
    [
        (False, "", True, "uas"),
        (False, ";refresher=uac", True, "uas"),  # not applicable: a UAC without timer cannot
        (False, ";refresher=uas", True, "uas"),
        (True, "", True, "uas"),
        (True, ";refresher=uac", False, "uac"),
        (True, "; Refresher = UAC ;x=y", False, "uac"),
        (True, ";refresher=uas", True, "uas"),
        (True, ";refresher=you", True, "uas"),
    ],
)
def test_who_refreshes_by_table_2(timer: bool, refresher: str, we_refresh: bool, answered: str) -> None:
    fields = [("x", f"600{refresher}"), *([TIMER] if timer else [])]
    asked = request(*fields)
    agreed = negotiation().requested(asked)
    assert agreed == Agreed(600, we_refresh)
    require = [("Require", "timer")] if timer else []
    expected = [("Session-Expires", f"600;refresher={answered}"), *require]
    assert SessionNegotiation.response_fields(asked, agreed) == expected


@pytest.mark.parametrize(
    ("mode", "fields", "outcome"),
    [
        (OFF, [TIMER, ("Session-Expires", "60")], None),
        (ACCEPT, [TIMER], None),
        (ACCEPT, [TIMER, ("Session-Expires", "nonsense")], None),
        (ACCEPT, [TIMER, ("Session-Expires", "")], None),
        (ACCEPT, [TIMER, ("Session-Expires", "120")], TooSmall(300)),
        (ACCEPT, [("k", "100rel, TIMER"), ("Session-Expires", "0")], TooSmall(300)),
        (ACCEPT, [("Require", "timer"), ("Session-Expires", "120")], TooSmall(300)),
        (ACCEPT, [("Session-Expires", "120")], Agreed(120, True)),  # never 422 without timer
        (ACCEPT, [("Session-Expires", "1")], Agreed(10, True)),
        (ACCEPT, [TIMER, ("Session-Expires", "7200")], Agreed(1800, True)),
        (ACCEPT, [TIMER, ("Session-Expires", "7200"), ("Min-SE", "3600")], Agreed(3600, True)),
        (ACCEPT, [TIMER, ("Session-Expires", "900"), ("Min-SE", "3600")], Agreed(900, True)),
        (ACCEPT, [TIMER, ("Session-Expires", "900"), ("Min-SE", "?")], Agreed(900, True)),
        (ALWAYS, [TIMER], Agreed(1800, True)),
        (ALWAYS, [TIMER, ("Min-SE", "3600")], Agreed(3600, True)),
        (ALWAYS, [], Agreed(1800, True, peer_expires=False)),
    ],
)
def test_uas(mode: SessionTimerMode, fields: list[tuple[str, str]], outcome: object) -> None:
    assert negotiation(mode, min_se_s=300).requested(request(*fields)) == outcome


def test_the_422_says_what_we_accept() -> None:
    assert TooSmall(300).fields == [("Min-SE", "300")]


def test_a_re_invite_that_forgets_the_timer_does_not_end_it() -> None:
    hold = request(TIMER)
    agreed = negotiation().requested(hold, running=Agreed(600, we_refresh=False))
    assert agreed == Agreed(600, we_refresh=True)
    assert SessionNegotiation.response_fields(hold, agreed)[0] == ("Session-Expires", "600;refresher=uas")
    assert negotiation().requested(request(), Agreed(600, False)) == Agreed(600, True)
    assert negotiation().requested(request(), Agreed(600, True, False)) == Agreed(600, True, False)


@pytest.mark.parametrize(
    ("mode", "running", "fields"),
    [
        (OFF, None, []),
        (ACCEPT, None, []),
        (ALWAYS, None, [("Session-Expires", "1800")]),
        (ACCEPT, Agreed(600, True), [("Session-Expires", "600;refresher=uac")]),
        (ACCEPT, Agreed(600, False), [("Session-Expires", "600;refresher=uas")]),
    ],
)
def test_fields_of_our_requests(mode: SessionTimerMode, running: Agreed | None, fields: list[tuple[str, str]]) -> None:
    assert negotiation(mode).request_fields(running) == fields
    assert SessionTimerPolicy(mode).option_tags == (() if mode is OFF else ("timer",))


def test_422_raises_the_interval_and_is_bounded() -> None:
    ours = negotiation(ALWAYS)
    assert ours.too_small(response(422, ("Min-SE", "3600")))
    assert ours.request_fields() == [("Session-Expires", "3600"), ("Min-SE", "3600")]
    assert not ours.too_small(response(422, ("Min-SE", "3600"))), "no more than what we gave"
    assert not ours.too_small(response(422)), "says nothing"
    again = negotiation(ALWAYS)
    assert [again.too_small(response(422, ("Min-SE", str(2000 + n)))) for n in range(5)] == [True] * 3 + [False] * 2


def test_the_peers_min_se_counts_for_our_requests_too() -> None:
    ours = negotiation()
    agreed = ours.requested(request(TIMER, ("Session-Expires", "600"), ("Min-SE", "200")))
    assert isinstance(agreed, Agreed)
    assert ours.request_fields(agreed) == [("Session-Expires", "600;refresher=uac"), ("Min-SE", "200")]


@pytest.mark.parametrize(
    ("mode", "fields", "running", "agreed"),
    [
        (ACCEPT, [("Require", "timer"), ("Session-Expires", "600;refresher=uac")], None, Agreed(600, True)),
        (ACCEPT, [("Session-Expires", "600;refresher=uas")], None, Agreed(600, False)),
        (ACCEPT, [("Session-Expires", "600")], None, Agreed(600, True)),
        (ACCEPT, [("Session-Expires", "600;refresher=uas")], Agreed(600, True), Agreed(600, True)),
        (ACCEPT, [("Session-Expires", "600;refresher=uac")], Agreed(600, False), Agreed(600, True)),
        (ACCEPT, [("Session-Expires", "3;refresher=uac")], None, Agreed(10, True)),
        (ACCEPT, [], None, None),
        (ACCEPT, [], Agreed(600, False), None),  # §7.2: turned off by the 2xx
        (ALWAYS, [], None, Agreed(1800, True, peer_expires=False)),
        (ALWAYS, [], Agreed(600, False), Agreed(600, True, peer_expires=False)),
        (OFF, [("Session-Expires", "600;refresher=uac")], None, None),
    ],
)
def test_2xx_to_our_request(
    mode: SessionTimerMode, fields: list[tuple[str, str]], running: Agreed | None, agreed: Agreed | None
) -> None:
    assert negotiation(mode).accepted(response(200, *fields), running) == agreed


def test_the_refresher_refreshes_at_half_the_interval() -> None:
    timer = SessionTimer()
    assert timer.next_deadline() is None
    timer.refreshed(Agreed(600, True), 1000.0)
    assert timer.next_deadline() == 1300.0
    assert timer.expire(1299.9) is None
    assert timer.expire(1300.0) == Refresh("INVITE")
    assert timer.expire(1300.0) is None, "once"
    assert timer.next_deadline() == 1568.0
    timer.refreshed(Agreed(600, True), 1301.0)
    assert timer.next_deadline() == 1601.0


@pytest.mark.parametrize(("interval", "ends_at"), [(600, 568.0), (90, 60.0), (96, 64.0)])
def test_the_other_side_ends_the_session_a_little_early(interval: int, ends_at: float) -> None:
    timer = SessionTimer()
    timer.refreshed(Agreed(interval, False), 0.0)
    assert timer.next_deadline() == ends_at
    assert timer.expire(ends_at - 0.1) is None
    assert timer.expire(ends_at) is EXPIRED
    assert (timer.next_deadline(), timer.expire(ends_at)) == (None, None)


def test_update_where_the_peer_allows_it() -> None:
    timer = SessionTimer()
    timer.peer_allows(request(("Allow", "INVITE, ACK,UPDATE")))
    timer.peer_allows(request())
    timer.refreshed(Agreed(600, True), 0.0)
    assert timer.expire(300.0) == Refresh("UPDATE")
    assert timer.failed(405, 300.1) is None
    timer.peer_allows(response(405, ("Allow", "UPDATE")))
    assert timer.expire(300.1) == Refresh("INVITE"), "it promised what it refuses"


@pytest.mark.parametrize("status", [408, 481])
def test_no_answer_to_a_refresh_ends_the_session(status: int) -> None:
    timer = SessionTimer()
    timer.refreshed(Agreed(600, True), 0.0)
    timer.expire(300.0)
    assert timer.failed(status, 332.0) is EXPIRED
    assert timer.next_deadline() is None


def test_a_refused_refresh_is_tried_again_but_not_for_ever() -> None:
    timer = SessionTimer()
    timer.refreshed(Agreed(600, True), 0.0)
    tries, now = 0, 0.0
    for _ in range(50):
        deadline = timer.next_deadline()
        assert deadline is not None
        now = deadline
        outcome = timer.expire(now)
        if outcome is EXPIRED:
            break
        tries += 1
        assert timer.failed(500, now) is None
    assert (tries, now) == (5, 568.0)


def test_491_waits_as_long_as_told() -> None:
    timer = SessionTimer()
    timer.refreshed(Agreed(600, True), 0.0)
    timer.expire(300.0)
    assert timer.failed(491, 300.2, retry_in_s=2.5) is None
    assert timer.next_deadline() == 302.7


def test_the_peers_own_request_settles_our_refused_refresh() -> None:
    timer = SessionTimer()
    timer.refreshed(Agreed(600, True), 0.0)
    timer.expire(300.0)
    timer.refreshed(Agreed(600, False), 300.1)
    assert timer.failed(491, 300.2, 1.0) is None
    assert timer.next_deadline() == pytest.approx(868.1)


@pytest.mark.parametrize("status", [488, 491, 500])
def test_a_peer_without_timers_is_only_asked_whether_it_lives(status: int) -> None:
    timer = SessionTimer()
    timer.refreshed(Agreed(600, True, peer_expires=False), 0.0)
    timer.expire(300.0)
    assert timer.failed(status, 301.0) is None
    assert timer.next_deadline() == 601.0
    timer.expire(601.0)
    assert timer.failed(408, 633.0) is EXPIRED


modes = st.sampled_from(list(SessionTimerMode))
policies = st.builds(
    lambda mode, least, more: SessionTimerPolicy(mode, least + more, least),
    modes,
    st.integers(90, 2000),
    st.integers(0, 2000),
)


@given(policies, policies, st.lists(st.booleans(), min_size=1, max_size=8))
def test_of_two_sides_one_refreshes(ours: SessionTimerPolicy, theirs: SessionTimerPolicy, senders: list[bool]) -> None:
    """Whoever sends: after each 2xx the two agree on the interval, and just one of two that know timers refreshes."""
    sides = (SessionNegotiation(ours), SessionNegotiation(theirs))
    running: list[Agreed | None] = [None, None]
    for sender in senders:
        uac, uas = int(sender), int(not sender)
        for _ in range(5):
            supported = [("Supported", ",".join(sides[uac].policy.option_tags))]
            sent = request(*supported, *sides[uac].request_fields(running[uac]))
            outcome = sides[uas].requested(sent, running[uas])
            if not isinstance(outcome, TooSmall):
                break
            assert sides[uac].too_small(response(422, *outcome.fields))
        assert not isinstance(outcome, TooSmall)
        answer = response(200, *SessionNegotiation.response_fields(sent, outcome))
        running[uas], running[uac] = outcome, sides[uac].accepted(answer, running[uac])
        mine, other = running
        if mine is not None and other is not None:
            assert mine.interval_s == other.interval_s
            assert mine.we_refresh != other.we_refresh
        elif mine is not None or other is not None:
            alone = mine or other
            assert alone is not None
            assert alone.we_refresh
            assert not alone.peer_expires


@given(st.text(max_size=40), st.text(max_size=40))
def test_garbage_never_raises(expires: str, min_se: str) -> None:
    fields = [(name, " ".join(value.split())) for name, value in (("Session-Expires", expires), ("Min-SE", min_se))]
    ours = negotiation(ALWAYS)
    ours.requested(request(TIMER, *fields))
    ours.accepted(response(200, *fields))
    ours.too_small(response(422, *fields))
