"""One INVITE of ours, several who answer it (RFC 3261 §13.2.2.4, RFC 6026 §7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.call import CallState
from services.gateway.sip.events import CallAnswered, Progress

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line


def other(sdp: bytes) -> bytes:
    """What another callee says."""
    return sdp.replace(b"6000", b"7000")


def test_only_the_first_with_media_is_heard(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    callee.respond(180, tag="a")
    callee.respond(183, tag="b", sdp=sdp_answer)
    callee.respond(183, tag="a", sdp=other(sdp_answer))
    assert [(event.status, event.sdp) for event in line.of(Progress)] == [(180, None), (183, sdp_answer), (183, None)]
    callee.respond(487)
    line.over()


def test_a_prack_in_each_early_dialog(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    callee.respond(183, tag="a", sdp=sdp_answer, rseq=7, contact="<sip:a@198.51.100.7:5071>")
    callee.respond(180, tag="b", rseq=700, contact="<sip:b@198.51.100.7:5072>")
    callee.respond(180, tag="a", rseq=8, contact="<sip:a@198.51.100.7:5071>")
    pracks = [request for request in line.requests if request.method == "PRACK"]
    assert [(one.to.tag, one.uri, one.cseq.number, one.headers.get("RAck")) for one in pracks] == [
        ("a", "sip:a@198.51.100.7:5071", 2, "7 1 INVITE"),
        ("b", "sip:b@198.51.100.7:5072", 2, "700 1 INVITE"),
        ("a", "sip:a@198.51.100.7:5071", 3, "8 1 INVITE"),
    ]
    for prack in pracks:
        callee.respond(200, request=prack)
    callee.respond(487)
    line.over()
    assert len(line.ended) == 1


def test_another_fork_than_the_first_answers(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    callee.respond(183, tag="a", sdp=sdp_answer)
    callee.respond(180, tag="b", contact="<sip:b@198.51.100.7:5072>")
    callee.respond(200, tag="b", sdp=other(sdp_answer), contact="<sip:b@198.51.100.7:5072>")
    assert line.events[-1] == CallAnswered(callee.call, other(sdp_answer))
    assert (line.requests[-1].method, line.requests[-1].to.tag) == ("ACK", "b")
    assert callee.call.exchange.remote_sdp == other(sdp_answer)
    line.keep(line.agent.bye(callee.call, line.now))
    assert (line.requests[-1].uri, line.requests[-1].to.tag) == ("sip:b@198.51.100.7:5072", "b")
    callee.ok("BYE")
    line.over()
    assert len(line.ended) == 1


@pytest.mark.parametrize("heard_before", [False, True])
@pytest.mark.parametrize("again", [False, True])
def test_its_own_answer_counts(line: Line, sdp_answer: bytes, heard_before: bool, again: bool) -> None:
    """The first fork has answered reliably already; so has the one that takes the call, or does it in its 200."""
    callee = line.dial()
    callee.respond(183, tag="a", sdp=sdp_answer, rseq=1)
    callee.ok("PRACK")
    callee.respond(183 if heard_before else 180, tag="b", sdp=other(sdp_answer) if heard_before else b"", rseq=5)
    callee.ok("PRACK")
    callee.respond(200, tag="b", sdp=other(sdp_answer) if again or not heard_before else b"")
    assert line.events[-1] == CallAnswered(callee.call, other(sdp_answer))
    assert callee.call.exchange.remote_sdp == other(sdp_answer)
    callee.send("BYE", tag="b")
    line.over()


def test_a_second_200_is_acknowledged_and_hung_up_once(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    callee.respond(200, tag="a", sdp=sdp_answer, contact="<sip:a@198.51.100.7:5071>")
    for _ in range(3):
        callee.respond(200, tag="b", sdp=sdp_answer, contact="<sip:b@198.51.100.7:5072>")
    assert [(one.method, one.to.tag, one.cseq.number) for one in line.requests[1:]] == [
        ("ACK", "a", 1),
        ("ACK", "b", 1),
        ("BYE", "b", 2),
        ("ACK", "b", 1),
        ("ACK", "b", 1),
    ]
    assert [sent.flow.address[1] for sent in line.sent[1:4]] == [5071, 5072, 5072]
    callee.ok("BYE")
    assert callee.call.state is CallState.CONFIRMED
    assert line.kinds == ["CallAnswered"]
    callee.send("BYE", tag="a")
    line.over()
    assert len(line.ended) == 1


def test_the_bye_to_a_fork_counts_on_from_its_pracks(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    callee.respond(180, tag="a", rseq=1)
    callee.ok("PRACK")
    callee.respond(180, tag="b", rseq=1)
    callee.ok("PRACK")
    callee.respond(200, tag="a", sdp=sdp_answer)
    callee.respond(200, tag="b", sdp=sdp_answer)
    assert [(one.method, one.to.tag, one.cseq.number) for one in line.requests[1:]] == [
        ("PRACK", "a", 2),
        ("PRACK", "b", 2),
        ("ACK", "a", 1),
        ("ACK", "b", 1),
        ("BYE", "b", 3),
    ]
    line.keep(line.agent.bye(callee.call, line.now))
    assert (line.requests[-1].to.tag, line.requests[-1].cseq.number) == ("a", 3)


def test_two_200s_to_a_call_given_up(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    callee.respond(180, tag="a")
    line.keep(line.agent.bye(callee.call, line.now))
    callee.respond(200, tag="a", sdp=sdp_answer)
    callee.respond(200, tag="b", sdp=sdp_answer)
    assert [(one.method, one.to.tag) for one in line.requests[2:]] == [
        ("ACK", "a"),
        ("BYE", "a"),
        ("ACK", "b"),
        ("BYE", "b"),
    ]
    line.over()
    assert len(line.ended) == 1


def test_early_dialogs_without_end(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    for number in range(1000):
        callee.respond(180, tag=f"t{number}")
    assert len(line.of(Progress)) == 16
    callee.respond(200, tag="t999", sdp=sdp_answer)
    assert line.events[-1] == CallAnswered(callee.call, sdp_answer)
    callee.send("BYE", tag="t999")
    line.over()


def test_200s_without_end(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    for number in range(1000):
        callee.respond(200, tag=f"t{number}", sdp=sdp_answer)
    assert len(callee.call.sent_acks) <= 16
    assert line.agent.held < 500
    callee.send("BYE", tag="t0")
    line.over()


@pytest.mark.parametrize("answers", [False, True])
def test_a_fork_of_the_invite_before_the_challenge(line: Line, sdp_answer: bytes, answers: bool) -> None:
    """Its early dialogs ended with it; the same tag again is a new one."""
    line.profile = line.trunk()
    callee = line.dial()
    callee.respond(180, tag="a", rseq=9)
    callee.ok("PRACK")
    callee.respond(407, tag="a", extra='Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth"')
    assert callee.invite.headers.get("Proxy-Authorization")
    callee.respond(180, tag="a", rseq=1)
    prack = line.requests[-1]
    assert (prack.method, prack.headers.get("RAck")) == ("PRACK", f"1 {callee.invite.cseq.number} INVITE")
    assert prack.cseq.number > callee.invite.cseq.number
    callee.ok("PRACK")
    callee.respond(200 if answers else 486, tag="a", sdp=sdp_answer if answers else b"")
    if answers:
        callee.send("BYE", tag="a")
    line.over()
    assert len(line.ended) == 1
