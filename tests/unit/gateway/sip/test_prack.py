"""Provisional responses that arrive, in the user agent (RFC 3262): ours to a caller, and a callee's to us."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.call import CallState
from services.gateway.sip.events import (
    CallAnswered,
    CallConfirmed,
    CallEnded,
    EndReason,
    Progress,
    ProvisionalAcknowledged,
    Reoffered,
)
from services.gateway.sip.message import Response
from services.gateway.sip.profile import Profile
from services.gateway.sip.reliable import OneHundredRel

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line

REL = "Supported: 100rel"


def rseqs(line: Line) -> list[tuple[int, str | None]]:
    """Status and RSeq of the responses to the INVITE, but for 100."""
    responses = [one for one in line.messages if isinstance(one, Response) and one.cseq.method == "INVITE"]
    return [(one.status, one.headers.get("RSeq")) for one in responses if one.status > 100]


def prack(line: Line, *, body: bytes = b"", number: int | None = None, **options: object) -> None:
    """For the latest reliable response, or for the RSeq `number`."""
    reliable = [one for one in line.messages if "RSeq" in one.headers][-1]
    rack = f"{number or reliable.headers.get('RSeq')} 1 INVITE"
    line.to_tag = reliable.to.tag or ""
    line.send("PRACK", body=body, extra=f"RAck: {rack}", **options)


def last_status(line: Line, method: str) -> int:
    return [one.status for one in line.messages if isinstance(one, Response) and one.cseq.method == method][-1]


# Ours


def test_a_180_that_arrives(line: Line) -> None:
    line.invite(extra=REL)
    call = line.call
    line.keep(line.agent.ringing(call, line.now))
    ringing = line.messages[-1]
    assert (ringing.headers.get("Require"), ringing.headers.get("Contact")) == ("100rel", "<sip:192.0.2.1:5060>")
    line.run(3.6)
    assert rseqs(line) == [(180, ringing.headers.get("RSeq"))] * 4  # at 0, 0.5, 1.5, 3.5
    prack(line)
    assert last_status(line, "PRACK") == 200
    assert line.events[1:] == [ProvisionalAcknowledged(call, None)]
    line.run(30)
    assert len(rseqs(line)) == 4
    line.answer()
    line.ack(cseq=1)
    assert line.events[2:] == [CallConfirmed(call, None)]
    line.send("BYE")
    line.over()


def test_without_100rel_nothing_is_repeated(line: Line) -> None:
    line.invite()
    line.keep(line.agent.ringing(line.call, line.now))
    line.run(10)
    assert rseqs(line) == [(180, None)]


@pytest.mark.parametrize(("policy", "extra", "status"), [("off", "Require: 100rel", 420), ("required", "", 421)])
def test_policies_that_do_not_meet(line: Line, policy: str, extra: str, status: int) -> None:
    line.profile = Profile(one_hundred_rel=OneHundredRel(policy))
    line.invite(extra=extra)
    assert line.statuses == [status]
    assert line.events == []
    line.over()


def test_a_prack_for_nothing(line: Line) -> None:
    line.invite(extra=REL)
    line.keep(line.agent.ringing(line.call, line.now))
    prack(line, number=1)
    assert last_status(line, "PRACK") == 481
    prack(line)
    assert last_status(line, "PRACK") == 200
    prack(line)
    assert last_status(line, "PRACK") == 481
    assert line.kinds == ["IncomingCall", "ProvisionalAcknowledged"]


def test_a_prack_where_there_is_no_reliable_response(line: Line) -> None:
    line.establish()
    line.send("PRACK", extra="RAck: 1 1 INVITE")
    assert line.statuses == [481]
    assert line.events == []


def test_nobody_acknowledges(line: Line) -> None:
    line.invite(extra=REL)
    call = line.call
    line.keep(line.agent.ringing(call, line.now))
    line.run(31.9)
    assert line.ended == []
    line.run(32)
    assert rseqs(line)[-1] == (504, None)
    assert line.ended == [CallEnded(call, False, EndReason.NO_PRACK)]
    line.ack(branch="z9hG4bKinvite")
    line.over()
    assert len(line.ended) == 1


def test_the_200_waits_for_the_prack_of_the_sdp(line: Line, sdp_answer: bytes) -> None:
    line.invite(extra=REL)
    line.keep(line.agent.progress(line.call, sdp_answer, line.now))
    line.answer()
    assert [status for status, _ in rseqs(line)] == [183]
    assert line.call.state is CallState.PROCEEDING
    prack(line)
    assert [status for status, _ in rseqs(line)] == [183, 200]
    assert (line.messages[-1].body, line.call.state) == (b"", CallState.ANSWERED)
    line.ack(cseq=1)
    assert line.kinds == ["IncomingCall", "ProvisionalAcknowledged", "CallConfirmed"]
    line.send("BYE")
    line.over()


def test_a_200_that_waits_and_no_prack(line: Line, sdp_answer: bytes) -> None:
    line.invite(extra=REL)
    line.keep(line.agent.progress(line.call, sdp_answer, line.now))
    line.answer()
    line.run(40)
    assert [event.reason for event in line.ended] == [EndReason.NO_PRACK]
    assert rseqs(line)[-1] == (504, None) or rseqs(line)[-1][0] == 504
    line.over()
    assert 200 not in line.statuses


def test_answered_twice_while_the_200_waits(line: Line, sdp_answer: bytes) -> None:
    line.invite(extra=REL)
    line.keep(line.agent.progress(line.call, sdp_answer, line.now))
    line.answer()
    line.answer()
    prack(line)
    assert [status for status, _ in rseqs(line)] == [183, 200]


def test_refused_while_the_200_waits(line: Line, sdp_answer: bytes) -> None:
    line.invite(extra=REL)
    line.keep(line.agent.progress(line.call, sdp_answer, line.now))
    line.answer()
    line.keep(line.agent.bye(line.call, line.now))
    assert [status for status, _ in rseqs(line)] == [183, 480]
    prack(line)
    assert last_status(line, "PRACK") == 481
    line.over()
    assert [event.reason for event in line.ended] == [EndReason.REJECTED]


@pytest.mark.parametrize("answered", [False, True])
def test_cancel_while_a_response_waits_for_its_prack(line: Line, sdp_answer: bytes, answered: bool) -> None:
    line.invite(extra=REL)
    line.keep(line.agent.progress(line.call, sdp_answer, line.now))
    if answered:
        line.answer()
    line.send("CANCEL", branch="z9hG4bKinvite")
    assert [status for status, _ in rseqs(line)] == [183, 487]
    line.ack(branch="z9hG4bKinvite")
    line.over()
    assert [status for status, _ in rseqs(line)] == [183, 487]
    assert [event.reason for event in line.ended] == [EndReason.CANCELLED]


def test_a_200_overtakes_a_180_without_sdp_and_its_prack_comes_late(line: Line) -> None:
    line.invite(extra=REL)
    line.keep(line.agent.ringing(line.call, line.now))
    line.answer()
    assert [status for status, _ in rseqs(line)] == [180, 200]
    prack(line)
    assert last_status(line, "PRACK") == 200
    line.ack(cseq=1)
    line.run(40)
    assert 504 not in line.statuses
    line.send("BYE")
    line.over()


def test_one_at_a_time_and_in_order(line: Line, sdp_answer: bytes) -> None:
    line.invite(extra=REL)
    line.keep(line.agent.ringing(line.call, line.now))
    line.keep(line.agent.progress(line.call, sdp_answer, line.now))
    assert [status for status, _ in rseqs(line)] == [180]
    prack(line)
    (_, first), (status, second) = rseqs(line)
    assert (status, int(second or 0)) == (183, int(first or 0) + 1)
    assert line.messages[-1].body == sdp_answer


def test_a_prack_with_an_offer(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.invite(extra=REL)
    line.keep(line.agent.progress(line.call, sdp_answer, line.now))
    prack(line, body=sdp_offer)
    assert line.of(Reoffered) == [Reoffered(line.call, sdp_offer)]
    line.keep(line.agent.answer_offer(line.call, sdp_answer, line.now))
    assert (last_status(line, "PRACK"), line.messages[-1].body) == (200, sdp_answer)
    line.answer()
    assert rseqs(line)[-1][0] == 200
    line.ack(cseq=1)
    line.send("BYE")
    line.over()


@pytest.mark.parametrize("status", [488, 500])
def test_the_offer_of_a_prack_refused(line: Line, sdp_offer: bytes, sdp_answer: bytes, status: int) -> None:
    line.invite(extra=REL)
    line.keep(line.agent.progress(line.call, sdp_answer, line.now))
    prack(line, body=sdp_offer)
    line.keep(line.agent.reject_offer(line.call, status, line.now))
    assert last_status(line, "PRACK") == status
    assert line.ended == []
    line.answer()
    line.ack(cseq=1)
    assert line.kinds[-1] == "CallConfirmed"


def test_cancel_while_the_offer_of_a_prack_waits(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.invite(extra=REL)
    line.keep(line.agent.progress(line.call, sdp_answer, line.now))
    prack(line, body=sdp_offer)
    line.send("CANCEL", branch="z9hG4bKinvite")
    assert last_status(line, "PRACK") == 487
    assert last_status(line, "INVITE") == 487
    line.ack(branch="z9hG4bKinvite")
    line.over()


def test_the_183_offers_and_the_prack_answers(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.invite(body=b"", extra=REL)
    line.keep(line.agent.progress(line.call, sdp_offer, line.now))
    assert line.messages[-1].body == sdp_offer
    prack(line, body=sdp_answer)
    assert line.events[1:] == [ProvisionalAcknowledged(line.call, sdp_answer)]
    line.keep(line.agent.answer(line.call, sdp_offer, line.now))
    assert (rseqs(line)[-1][0], line.messages[-1].body) == (200, b"")
    line.ack(cseq=1)
    assert line.of(CallConfirmed) == [CallConfirmed(line.call, None)]
    line.send("BYE")
    line.over()


def test_the_prack_of_a_180_is_no_answer_to_the_183_behind_it(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.invite(body=b"", extra=REL)
    line.keep(line.agent.ringing(line.call, line.now))
    line.keep(line.agent.progress(line.call, sdp_offer, line.now))
    prack(line)
    prack(line, body=sdp_answer)
    assert last_status(line, "PRACK") == 200
    assert line.events[1:] == [
        ProvisionalAcknowledged(line.call, None),
        ProvisionalAcknowledged(line.call, sdp_answer),
    ]


def test_a_prack_without_the_answer(line: Line, sdp_offer: bytes) -> None:
    """The 200 then offers once more, for there is nothing agreed."""
    line.invite(body=b"", extra=REL)
    line.keep(line.agent.progress(line.call, sdp_offer, line.now))
    prack(line)
    assert last_status(line, "PRACK") == 200
    line.keep(line.agent.answer(line.call, sdp_offer, line.now))
    assert (rseqs(line)[-1][0], line.messages[-1].body) == (200, sdp_offer)


def test_a_prack_again_in_its_transaction(line: Line) -> None:
    line.invite(extra=REL)
    line.keep(line.agent.ringing(line.call, line.now))
    reliable = line.messages[-1]
    line.to_tag = reliable.to.tag or ""
    data = line.request("PRACK", extra=f"RAck: {reliable.headers.get('RSeq')} 1 INVITE")
    line.receive(data)
    line.receive(data)
    assert line.statuses[-2:] == [200, 200]
    assert line.kinds == ["IncomingCall", "ProvisionalAcknowledged"]


# A callee's


def test_we_acknowledge(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    callee.respond(183, rseq=10, sdp=sdp_answer)
    prack = line.requests[-1]
    assert (prack.method, prack.headers.get("RAck"), prack.cseq.number) == ("PRACK", "10 1 INVITE", 2)
    assert (prack.uri, prack.to.tag) == ("sip:bob@198.51.100.7:5062", "theirs")
    callee.ok("PRACK")
    callee.respond(200)
    assert (line.requests[-1].method, line.requests[-1].cseq.number) == ("ACK", 1)
    assert line.events == [
        Progress(callee.call, 183, "Session Progress", sdp_answer),
        CallAnswered(callee.call, None),
    ]
    assert callee.call.exchange.remote_sdp == sdp_answer
    line.keep(line.agent.bye(callee.call, line.now))
    assert line.requests[-1].cseq.number == 3
    callee.ok("BYE")
    line.over()


def test_a_copy_is_dropped_and_a_gap_waits(line: Line) -> None:
    callee = line.dial()
    for number in (10, 10, 12, 11, 12, 11):
        callee.respond(180, rseq=number)
    assert [request.headers.get("RAck") for request in line.requests if request.method == "PRACK"] == [
        "10 1 INVITE",
        "11 1 INVITE",
        "12 1 INVITE",
    ]
    assert len(line.of(Progress)) == 3
    callee.respond(486)
    line.over()


def test_a_prack_that_is_challenged(line: Line) -> None:
    line.profile = line.trunk()
    callee = line.dial()
    callee.respond(180, rseq=1)
    callee.ok("PRACK", 407, extra='Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth"')
    prack = line.requests[-1]
    assert (prack.method, prack.cseq.number, prack.headers.get("RAck")) == ("PRACK", 3, "1 1 INVITE")
    assert prack.headers.get("Proxy-Authorization")


@pytest.mark.parametrize("status", [481, 500, 408])
def test_a_prack_refused_changes_nothing(line: Line, sdp_answer: bytes, status: int) -> None:
    callee = line.dial()
    callee.respond(180, rseq=1)
    callee.ok("PRACK", status)
    callee.respond(200, sdp=sdp_answer)
    assert line.kinds == ["Progress", "CallAnswered"]


def test_an_early_answer_that_was_not_reliable_and_a_200_without(line: Line, sdp_answer: bytes) -> None:
    """Not allowed (RFC 3261 §13.2.1), and done: what the 183 said holds, also for our refreshes."""
    callee = line.dial()
    callee.respond(183, sdp=sdp_answer)
    callee.respond(200)
    assert line.events[-1] == CallAnswered(callee.call, None)
    assert callee.call.exchange.remote_sdp == sdp_answer
    assert callee.call.exchange.may_invite()


def test_an_invite_without_an_offer_asks_for_no_reliable_one(line: Line, sdp_offer: bytes) -> None:
    """RFC 3262 §5: its answer would have to be in the PRACK."""
    assert line.dial().invite.headers.get("Supported") == "100rel, timer, replaces, norefersub"
    assert line.dial(offer=b"").invite.headers.get("Supported") == "timer, replaces, norefersub"


def test_a_reliable_offer_all_the_same(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    callee = line.dial(offer=b"")
    callee.respond(183, rseq=1, sdp=sdp_offer)
    assert (line.requests[-1].method, line.requests[-1].body) == ("PRACK", b"")
    callee.ok("PRACK")
    callee.respond(200, sdp=sdp_offer)
    line.keep(line.agent.acknowledge(callee.call, sdp_answer, line.now))
    assert (line.requests[-1].method, line.requests[-1].body) == ("ACK", sdp_answer)
    callee.send("BYE")
    line.over()


def test_required_of_the_callee(line: Line) -> None:
    line.profile = Profile(one_hundred_rel=OneHundredRel.REQUIRED)
    callee = line.dial()
    assert callee.invite.headers.get("Require") == "100rel"
    callee.respond(420, extra="Unsupported: 100rel")
    assert [event.status for event in line.ended] == [420]
