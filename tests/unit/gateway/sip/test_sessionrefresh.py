"""Session timers in the user agent (RFC 4028): who refreshes, with what, and what becomes of a call that nobody does.

Invariant of all these tests: one CallEnded a call that ended, and nothing held once time has passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.call import CallState
from services.gateway.sip.events import CallEnded, EndReason, ReofferAnswered
from services.gateway.sip.profile import Profile
from services.gateway.sip.sessiontimer import SessionTimerMode, SessionTimerPolicy

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Callee, Line

ALWAYS = Profile(session_timer=SessionTimerPolicy(SessionTimerMode.ALWAYS, 300))
TIMED = "Supported: timer\r\nSession-Expires: 300;refresher="
WITH_UPDATE = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE"
# 300 s: a refresh after 150, BYE 32 s before the end (§10).
REFRESH_AT, END_AT = 150, 268


def inbound(line: Line, refresher: str, updates: bool) -> None:
    """A call that came and is confirmed at 0 s."""
    allow = f"\r\n{WITH_UPDATE}" if updates else "\r\nAllow: INVITE, ACK, BYE, CANCEL"
    line.invite(extra=TIMED + refresher + allow)
    line.established = line.call
    line.answer()
    assert line.messages[-1].headers.get("Session-Expires") == f"300;refresher={refresher}"
    assert line.messages[-1].headers.get("Require") == "timer"
    line.ack()
    line.clear()


def outbound(line: Line, refresher: str, updates: bool) -> Callee:
    line.profile = ALWAYS
    callee = line.dial()
    assert callee.invite.headers.get("Session-Expires") == "300"
    extra = f"Session-Expires: 300;refresher={refresher}"
    allow = "INVITE, ACK, BYE, CANCEL, UPDATE" if updates else "INVITE, ACK, BYE, CANCEL"
    callee.respond(200, sdp=line.sdp_answer, extra=extra, allow=allow)
    line.clear()
    return callee


@pytest.mark.parametrize("updates", [True, False])
def test_we_refresh_a_call_that_came(line: Line, sdp_answer: bytes, sdp_offer: bytes, updates: bool) -> None:
    inbound(line, "uas", updates)
    line.run(REFRESH_AT - 0.1)
    assert line.sent == []
    line.run(REFRESH_AT)
    (refresh,) = line.requests
    assert refresh.method == ("UPDATE" if updates else "INVITE")
    assert refresh.headers.get("Session-Expires") == "300;refresher=uac"
    assert refresh.body == (b"" if updates else sdp_answer)
    assert refresh.headers.get("Content-Type") == (None if updates else "application/sdp")
    assert refresh.headers.get("Contact") == "<sip:192.0.2.1:5060>"
    answer(line, 200, "300;refresher=uac", sdp_offer)
    assert [request.method for request in line.requests[1:]] == ([] if updates else ["ACK"])
    assert line.events == ([] if updates else [ReofferAnswered(line.established, sdp_offer)])
    line.run(2 * REFRESH_AT)
    assert [request.method for request in line.requests if request.method != "ACK"] == [refresh.method] * 2
    answer(line, 200, "300;refresher=uac", sdp_offer)
    line.send("BYE")
    line.over()
    assert [event.reason for event in line.ended] == [EndReason.REMOTE_BYE]


def answer(line: Line, status: int, expires: str = "", sdp: bytes = b"") -> None:
    """To the latest refresh."""
    refresh = [request for request in line.requests if request.method in ("UPDATE", "INVITE")][-1]
    response = line.response_to(refresh, status, expires, sdp if refresh.method == "INVITE" else b"")
    line.receive(response)


@pytest.mark.parametrize("updates", [True, False])
def test_we_refresh_a_call_of_ours(line: Line, sdp_offer: bytes, sdp_answer: bytes, updates: bool) -> None:
    callee = outbound(line, "uac", updates)
    line.run(REFRESH_AT)
    (refresh,) = line.requests
    assert refresh.method == ("UPDATE" if updates else "INVITE")
    assert refresh.headers.get("Session-Expires") == "300;refresher=uac"
    assert refresh.body == (b"" if updates else sdp_offer)
    answer(line, 200, "300;refresher=uac", sdp_answer)
    line.run(END_AT + 10)
    assert line.ended == []
    assert line.requests[-1].method == ("UPDATE" if updates else "ACK")
    callee.send("BYE")
    line.over()


@pytest.mark.parametrize("came", [True, False])
def test_they_refresh_and_then_do_not(line: Line, came: bool) -> None:
    if came:
        inbound(line, "uac", updates=True)
        call = line.established
    else:
        callee = outbound(line, "uas", updates=True)
        call = callee.call
    line.run(REFRESH_AT)
    assert line.sent == []
    extra = TIMED + "uac"
    if came:
        line.send("UPDATE", extra=extra)
    else:
        callee.send("UPDATE", extra=extra)
    assert line.messages[-1].headers.get("Session-Expires") == "300;refresher=uac"
    line.run(REFRESH_AT + END_AT - 0.1)
    assert line.ended == []
    line.run(REFRESH_AT + END_AT)
    assert line.ended == [CallEnded(call, False, EndReason.SESSION_EXPIRED)]
    (bye,) = line.requests
    assert (bye.method, bye.headers.get("Reason")) == ("BYE", 'SIP;cause=408;text="Session expired"')
    line.respond(bye, 200)
    line.over()
    assert len(line.ended) == 1


@pytest.mark.parametrize("came", [True, False])
@pytest.mark.parametrize("updates", [True, False])
def test_nobody_answers_our_refresh(line: Line, came: bool, updates: bool) -> None:
    if came:
        inbound(line, "uas", updates)
    else:
        outbound(line, "uac", updates)
    line.run(REFRESH_AT + 32)
    assert [event.reason for event in line.ended] == [EndReason.DIALOG_GONE]
    assert line.requests[-1].method == "BYE"
    line.over()
    assert len(line.ended) == 1


@pytest.mark.parametrize("updates", [True, False])
def test_a_refresh_refused_with_481_ends_the_call(line: Line, updates: bool) -> None:
    inbound(line, "uas", updates)
    line.run(REFRESH_AT)
    answer(line, 481)
    assert line.ended == [CallEnded(line.established, True, EndReason.DIALOG_GONE)]
    line.respond(line.requests[-1], 481)
    line.over()
    assert len(line.ended) == 1


@pytest.mark.parametrize("updates", [True, False])
@pytest.mark.parametrize(("came", "least", "most"), [(True, 0, 2), (False, 2.1, 4)])
def test_a_refresh_refused_with_491_comes_again(
    line: Line, updates: bool, came: bool, least: float, most: float
) -> None:
    """§14.1: sooner where the peer owns the Call-ID."""
    if came:
        inbound(line, "uas", updates)
    else:
        outbound(line, "uac", updates)
    line.run(REFRESH_AT)
    answer(line, 491)
    before = line.agent.next_deadline()
    assert before is not None
    line.run(REFRESH_AT + most)
    sent_at: dict[int, float] = {}
    for at, one in zip(line.sent_at, line.requests, strict=True):
        sent_at.setdefault(one.cseq.number, at)
    first, second = sorted(sent_at)
    assert sent_at[first] == REFRESH_AT
    assert REFRESH_AT + least <= sent_at[second]
    answer(line, 200, "300;refresher=uac", line.sdp_answer)
    line.run(END_AT + 30)
    assert line.ended == []
    line.keep(line.agent.bye(line.established if came else line.calls[0], line.now))
    line.over()
    assert len(line.ended) == 1


def test_refused_for_ever(line: Line) -> None:
    """No more than a few retries, and then the session runs out."""
    inbound(line, "uas", updates=True)
    for _ in range(2000):
        deadline = line.agent.next_deadline()
        if line.ended or deadline is None:
            break
        line.run(deadline)
        if line.requests and line.requests[-1].method == "UPDATE":
            line.respond(line.requests[-1], 500)
    assert [event.reason for event in line.ended] == [EndReason.SESSION_EXPIRED]
    assert END_AT <= line.now < END_AT + 1
    assert 2 <= len({request.cseq.number for request in line.requests}) <= 7
    line.over()
    assert len(line.ended) == 1


def test_a_peer_that_allows_update_and_refuses_it_gets_an_invite(line: Line, sdp_offer: bytes) -> None:
    inbound(line, "uas", updates=True)
    line.run(REFRESH_AT)
    answer(line, 405)
    line.run(REFRESH_AT)
    assert [request.method for request in line.requests] == ["UPDATE", "INVITE"]
    answer(line, 200, "300;refresher=uac", sdp_offer)
    line.run(END_AT + 20)
    assert line.ended == []


def test_a_422_to_a_refresh(line: Line) -> None:
    inbound(line, "uas", updates=True)
    line.run(REFRESH_AT)
    refresh = line.requests[-1]
    line.receive(line.response_to(refresh, 422, "", b"", [("Min-SE", "600")]))
    assert [one.headers.get("Session-Expires") for one in line.requests] == [
        "300;refresher=uac",
        "600;refresher=uac",
    ]
    answer(line, 200, "600;refresher=uac")
    line.run(REFRESH_AT + 299)
    assert len(line.requests) == 2
    line.run(REFRESH_AT + 300)
    assert len(line.requests) == 3


def test_a_peer_that_knows_no_timer_is_asked_whether_it_lives(line: Line) -> None:
    line.profile = ALWAYS
    callee = line.connect()
    for round_ in range(1, 4):
        line.run(REFRESH_AT * round_)
        assert len(line.requests) == 2 * round_ - 1
        answer(line, 200, "", line.sdp_answer)
    line.keep(line.agent.bye(callee.call, line.now))
    line.over()
    assert len(line.ended) == 1


def test_a_refresh_without_any_timer_never_comes(line: Line) -> None:
    line.establish()
    line.run(10_000)
    assert line.sent == []


@pytest.mark.parametrize("came", [True, False])
@pytest.mark.parametrize("updates", [True, False])
def test_bye_while_a_refresh_is_on_its_way(line: Line, came: bool, updates: bool) -> None:
    if came:
        inbound(line, "uas", updates)
        call = line.established
    else:
        call = outbound(line, "uac", updates).call
    line.run(REFRESH_AT)
    refresh = line.requests[-1]
    line.keep(line.agent.bye(call, line.now))
    line.respond(refresh, 487)
    bye = [request for request in line.requests if request.method == "BYE"]
    assert len(bye) == 1
    line.respond(bye[0], 200)
    line.over()
    assert [event.reason for event in line.ended] == [EndReason.LOCAL_BYE]


def test_a_refresh_that_got_a_100_and_nothing_more(line: Line) -> None:
    """An INVITE in Proceeding has no timer of its own (§17.1.1.2)."""
    inbound(line, "uas", updates=False)
    line.run(REFRESH_AT)
    answer(line, 100)
    line.over()
    assert len(line.ended) == 1


def test_bye_after_a_refresh_that_got_a_100_and_nothing_more(line: Line) -> None:
    inbound(line, "uas", updates=False)
    line.run(REFRESH_AT)
    answer(line, 100)
    line.send("BYE")
    line.over()
    assert len(line.ended) == 1


def test_the_200_to_a_refresh_that_comes_again(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    inbound(line, "uas", updates=False)
    line.run(REFRESH_AT)
    answer(line, 200, "300;refresher=uac", sdp_offer)
    answer(line, 200, "300;refresher=uac", sdp_offer)
    assert [request.method for request in line.requests] == ["INVITE", "ACK", "ACK"]
    assert line.kinds == ["ReofferAnswered"]
    line.send("INVITE", body=sdp_offer)
    assert line.kinds == ["ReofferAnswered", "Reoffered"]
    answer(line, 200, "300;refresher=uac", sdp_offer)  # and once more while theirs is open
    line.keep(line.agent.answer_offer(line.established, sdp_answer, line.now))
    assert line.messages[-1].body == sdp_answer
    line.ack(cseq=line.cseq)
    assert line.kinds == ["ReofferAnswered", "Reoffered", "ReofferConfirmed"]
    line.send("BYE")
    line.over()


def test_the_timer_of_a_call_whose_bye_waits_for_the_ack_is_still(line: Line) -> None:
    """With intervals as short as tests have them the session would run out before the ACK does."""
    line.profile = Profile(session_timer=SessionTimerPolicy(SessionTimerMode.ALWAYS, 12, 10))
    line.invite(extra="Supported: timer\r\nSession-Expires: 12;refresher=uas\r\nMin-SE: 10")
    line.answer()
    assert line.messages[-1].headers.get("Session-Expires") == "12;refresher=uas"
    line.keep(line.agent.bye(line.call, line.now))
    line.run(31)
    assert [event.reason for event in line.ended] == [EndReason.LOCAL_BYE]
    assert line.requests == []
    line.over()
    assert len(line.ended) == 1


def test_a_refresh_waits_for_the_ack_of_their_reinvite(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    inbound(line, "uas", updates=False)
    line.run(REFRESH_AT - 1)
    line.send("INVITE", body=sdp_offer, extra=TIMED + "uas")
    line.run(REFRESH_AT + 1)
    assert [request.method for request in line.requests] == []
    line.keep(line.agent.answer_offer(line.established, sdp_answer, line.now))
    line.ack(cseq=line.cseq)
    assert line.established.state is CallState.CONFIRMED
    line.run(2 * REFRESH_AT + 5)
    assert [request.method for request in line.requests][:1] == ["INVITE"]
    line.send("BYE")
    line.over()
