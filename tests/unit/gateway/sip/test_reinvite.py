"""re-INVITE (RFC 3261 §14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.gateway.sip.call import CallState
from services.gateway.sip.events import EndReason, ReofferConfirmed, Reoffered

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line


def test_reinvite(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.establish()
    call = line.established
    line.send("INVITE", body=sdp_offer)
    assert line.statuses == [100]
    assert line.events == [Reoffered(call, sdp_offer)]
    line.keep(line.agent.answer_offer(call, sdp_answer, line.now))
    assert line.statuses == [100, 200]
    line.ack()
    assert line.events[1:] == [ReofferConfirmed(call, None)]
    line.run(100)
    assert line.statuses == [100, 200]
    assert call.state is CallState.CONFIRMED
    assert line.agent.held == 1


def test_a_reinvite_right_behind_the_invite_overtakes_its_ack(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.invite()
    line.answer()
    line.to_tag = line.messages[-1].to.tag or ""
    line.send("INVITE", body=sdp_offer)
    line.keep(line.agent.answer_offer(line.call, sdp_answer, line.now))
    line.ack(cseq=2)
    line.ack(cseq=1)
    assert line.kinds == ["IncomingCall", "Reoffered", "ReofferConfirmed", "CallConfirmed"]


def test_a_reinvite_changes_where_requests_go(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.establish()
    data = line.request("INVITE", body=sdp_offer).replace(b"<sip:ada@198.51.100.7:5062>", b"<sip:ada@198.51.100.9>")
    line.receive(data)
    line.keep(line.agent.answer_offer(line.established, sdp_answer, line.now))
    line.ack()
    line.keep(line.agent.bye(line.established, line.now))
    assert line.sent[-1].flow.address == ("198.51.100.9", 5060)


def test_a_reinvite_may_be_refused_and_the_call_goes_on(line: Line, sdp_offer: bytes) -> None:
    line.establish()
    line.send("INVITE", body=sdp_offer, branch="z9hG4bKre")
    line.keep(line.agent.reject_offer(line.established, 488, line.now, [("Warning", '305 tandem "none"')]))
    line.ack(branch="z9hG4bKre")
    line.run(100)
    assert line.statuses == [100, 488]
    assert line.ended == []


def test_a_reinvite_may_be_cancelled(line: Line, sdp_offer: bytes) -> None:
    line.establish()
    line.send("INVITE", body=sdp_offer, branch="z9hG4bKre")
    line.send("CANCEL", branch="z9hG4bKre")
    assert line.statuses == [100, 200, 487]
    assert line.agent.answer_offer(line.established, b"", line.now) == []
    assert line.ended == []


def test_reinvites_that_overlap(line: Line, sdp_offer: bytes) -> None:
    line.establish()
    line.send("INVITE", body=sdp_offer)
    line.send("INVITE", body=sdp_offer)
    assert line.statuses == [100, 500]
    assert 0 <= int(line.messages[-1].headers.get("Retry-After") or "-1") <= 10


def test_a_reinvite_while_our_offer_is_open(line: Line, sdp_offer: bytes) -> None:
    line.invite(body=b"")
    line.answer()
    line.to_tag = line.messages[-1].to.tag or ""
    line.send("INVITE", body=sdp_offer)
    assert line.statuses == [100, 200, 491]


def test_a_reinvite_without_ack_ends_the_call(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.establish()
    line.send("INVITE", body=sdp_offer)
    line.keep(line.agent.answer_offer(line.established, sdp_answer, line.now))
    line.run(100)
    assert [event.reason for event in line.ended] == [EndReason.NO_ACK]
    assert line.agent.held == 0


def test_bye_ends_an_open_reinvite(line: Line, sdp_offer: bytes) -> None:
    line.establish()
    line.send("INVITE", body=sdp_offer)
    line.send("BYE")
    assert line.statuses == [100, 200, 487]
    line.run(100)
    assert line.agent.held == 0
