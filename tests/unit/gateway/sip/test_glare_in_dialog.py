"""re-INVITEs that meet, overlap and are given up, in calls that came and in calls of ours (RFC 3261 §14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.call import CallState
from services.gateway.sip.events import EndReason, ReofferConfirmed, Reoffered
from services.gateway.sip.message import Request

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line

NO_UPDATE = "Supported: timer\r\nSession-Expires: 300;refresher=uas\r\nAllow: INVITE, ACK, BYE"


def refreshing(line: Line) -> Request:
    """A re-INVITE of ours that is on its way."""
    line.invite(extra=NO_UPDATE)
    line.established = line.call
    line.answer()
    line.ack()
    line.clear()
    line.run(150)
    assert line.methods == ["INVITE"]
    return line.requests[0]


def test_theirs_while_ours_is_on_its_way(line: Line, sdp_offer: bytes) -> None:
    ours = refreshing(line)
    line.send("INVITE", body=sdp_offer, branch="z9hG4bKre")
    assert line.statuses == [491]
    line.ack(branch="z9hG4bKre", cseq=line.cseq)
    line.receive(line.response_to(ours, 200, "300;refresher=uac", line.sdp_answer))
    line.send("INVITE", body=sdp_offer)
    assert line.statuses == [491, 100]
    assert line.kinds == ["ReofferAnswered", "Reoffered"]


def test_an_update_with_an_offer_while_our_reinvite_is_on_its_way(line: Line, sdp_offer: bytes) -> None:
    ours = refreshing(line)
    line.send("UPDATE", body=sdp_offer)
    assert line.statuses == [491]
    line.send("UPDATE")
    assert line.statuses == [491, 200]
    line.receive(line.response_to(ours, 200, "300;refresher=uac", line.sdp_answer))
    assert line.kinds == ["ReofferAnswered"]


def test_both_say_491_and_theirs_comes_first(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    ours = refreshing(line)
    line.send("INVITE", body=sdp_offer, branch="z9hG4bKre")
    line.ack(branch="z9hG4bKre", cseq=line.cseq)
    line.receive(line.response_to(ours, 491))
    # It owns the Call-ID and waits 2.1 to 4 s, we 0 to 2.
    line.run(152.01)
    again = line.requests[-1]
    assert (again.method, again.cseq.number) == ("INVITE", ours.cseq.number + 1)
    line.receive(line.response_to(again, 200, "300;refresher=uac", line.sdp_answer))
    line.send("INVITE", body=sdp_offer)
    line.keep(line.agent.answer_offer(line.established, sdp_answer, line.now))
    line.ack(cseq=line.cseq)
    assert line.kinds == ["ReofferAnswered", "Reoffered", "ReofferConfirmed"]
    line.send("BYE")
    line.over()


def test_a_reinvite_to_a_call_of_ours_that_is_not_answered(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    """§14.2: an INVITE that we sent is in progress, so 491."""
    callee = line.dial()
    callee.respond(183, sdp=sdp_answer)
    callee.send("INVITE", body=sdp_offer, branch="z9hG4bKre")
    assert line.statuses == [491]
    callee.send("ACK", cseq=callee.cseq, branch="z9hG4bKre")
    callee.respond(200, sdp=sdp_answer)
    assert line.kinds == ["Progress", "CallAnswered"]
    callee.send("BYE")
    line.over()


def test_a_reinvite_to_a_call_that_came_and_is_not_answered(line: Line, sdp_offer: bytes) -> None:
    line.invite()
    line.keep(line.agent.ringing(line.call, line.now))
    line.to_tag = line.call.dialog.local_tag
    line.send("INVITE", body=sdp_offer, branch="z9hG4bKre")
    assert line.statuses == [100, 180, 500]
    assert 0 <= int(line.messages[-1].headers.get("Retry-After") or "-1") <= 10
    line.answer()
    assert line.statuses[-1] == 200


def test_the_callees_reinvite_right_after_our_ack(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    callee = line.connect()
    callee.send("INVITE", body=sdp_offer)
    assert line.events == [Reoffered(callee.call, sdp_offer)]
    line.keep(line.agent.answer_offer(callee.call, sdp_answer, line.now))
    assert line.statuses == [100, 200]
    callee.send("ACK", cseq=callee.cseq)
    assert line.events[1:] == [ReofferConfirmed(callee.call, None)]
    callee.send("BYE")
    line.over()


def test_a_reinvite_without_an_offer(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    callee = line.connect()
    callee.send("INVITE")
    assert line.events == [Reoffered(callee.call, None)]
    line.keep(line.agent.answer_offer(callee.call, sdp_offer, line.now))
    assert line.messages[-1].body == sdp_offer
    callee.send("INVITE", body=sdp_offer)  # before the answer to our offer: 491
    assert line.statuses == [100, 200, 491]
    callee.send("ACK", cseq=callee.cseq - 1, body=sdp_answer, branch="z9hG4bKack")
    assert line.events[1:] == [ReofferConfirmed(callee.call, sdp_answer)]
    assert callee.call.exchange.remote_sdp == sdp_answer
    callee.send("BYE")
    line.over()


def test_the_answer_never_comes(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    callee = line.connect()
    callee.send("INVITE")
    line.keep(line.agent.answer_offer(callee.call, sdp_offer, line.now))
    callee.send("ACK", cseq=callee.cseq)
    assert callee.call.exchange.remote_sdp == sdp_answer
    assert [(event.sdp_answer, event.answer_missing) for event in line.of(ReofferConfirmed)] == [(None, True)]
    callee.send("INVITE", body=sdp_offer)
    assert line.kinds[-1] == "Reoffered"


def test_a_reinvite_given_up(line: Line, sdp_offer: bytes) -> None:
    callee = line.connect()
    callee.send("INVITE", body=sdp_offer, branch="z9hG4bKre")
    callee.send("CANCEL", cseq=callee.cseq, branch="z9hG4bKre")
    assert line.statuses == [100, 200, 487]
    callee.send("ACK", cseq=callee.cseq, branch="z9hG4bKre")
    callee.send("INVITE", body=sdp_offer)
    assert line.kinds == ["Reoffered", "Reoffered"]
    assert callee.call.state is CallState.CONFIRMED


@pytest.mark.parametrize("ours", [False, True])
def test_bye_while_a_reinvite_of_theirs_waits(line: Line, sdp_offer: bytes, sdp_answer: bytes, ours: bool) -> None:
    callee = line.connect()
    callee.send("INVITE", body=sdp_offer)
    if ours:
        line.keep(line.agent.bye(callee.call, line.now))
        callee.ok("BYE")
    else:
        callee.send("BYE")
    assert 487 in line.statuses
    assert line.agent.answer_offer(callee.call, sdp_answer, line.now) == []
    line.over()
    assert [event.reason for event in line.ended] == [EndReason.LOCAL_BYE if ours else EndReason.REMOTE_BYE]


def test_bye_before_the_ack_of_a_reinvite(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    callee = line.connect()
    callee.send("INVITE", body=sdp_offer)
    line.keep(line.agent.answer_offer(callee.call, sdp_answer, line.now))
    callee.send("BYE")
    line.over()
    assert line.statuses == [100, 200, 200]
    assert len(line.ended) == 1


def test_a_reinvite_moves_the_target(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    callee = line.connect()
    callee.send("INVITE", body=sdp_offer, contact="<sip:bob@198.51.100.9:5070>")
    line.keep(line.agent.answer_offer(callee.call, sdp_answer, line.now))
    callee.send("ACK", cseq=callee.cseq)
    line.keep(line.agent.bye(callee.call, line.now))
    assert (line.requests[-1].uri, line.sent[-1].flow.address) == ("sip:bob@198.51.100.9:5070", ("198.51.100.9", 5070))


def test_the_200_to_our_refresh_moves_the_target(line: Line) -> None:
    ours = refreshing(line)
    response = line.response_to(ours, 200, "300;refresher=uac", line.sdp_answer)
    line.receive(response.replace(b"<sip:ada@198.51.100.7:5062>", b"<sip:ada@198.51.100.9:5070>"))
    line.keep(line.agent.bye(line.established, line.now))
    assert line.sent[-1].flow.address == ("198.51.100.9", 5070)


def test_our_refresh_refused_leaves_the_session_as_it_was(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    ours = refreshing(line)
    line.receive(line.response_to(ours, 488))
    assert line.methods == ["INVITE", "ACK"]
    assert (line.established.exchange.local_sdp, line.established.exchange.remote_sdp) == (sdp_answer, sdp_offer)
    line.send("INVITE", body=sdp_offer)
    assert line.kinds == ["Reoffered"]
