"""Calls of ours that are given up before somebody answers (RFC 3261 §9.1), and callees that cross it.

Invariant of all these tests: one CallEnded a call, and nothing held once time has passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.digest import Credentials
from services.gateway.sip.events import EndReason, LookUp
from services.gateway.sip.profile import Profile
from services.gateway.sip.targets import Target
from services.gateway.sip.transport import Flow, Transport

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line

TRUNK = Profile(name="trunk", credentials=Credentials("us", "secret"))
CHALLENGES = {
    401: 'WWW-Authenticate: Digest realm="carrier", nonce="n1", qop="auth"',
    407: 'Proxy-Authenticate: Digest realm="carrier", nonce="n1", qop="auth"',
}


def udp(host: str, port: int = 5060) -> Target:
    return Target(Flow(Transport.UDP, (host, port)), "carrier.example")


def test_cancel_waits_for_a_provisional(line: Line) -> None:
    callee = line.dial()
    line.keep(line.agent.bye(callee.call, line.now))
    assert [ended.reason for ended in line.ended] == [EndReason.LOCAL_BYE]
    assert line.methods == ["INVITE"]
    callee.respond(100)
    assert line.methods == ["INVITE", "CANCEL"]
    callee.respond(180)
    assert line.methods == ["INVITE", "CANCEL"]
    callee.ok("CANCEL")
    callee.respond(487)
    assert line.methods == ["INVITE", "CANCEL", "ACK"]
    line.over()
    assert line.kinds == ["CallEnded"]


def test_cancel(line: Line) -> None:
    callee = line.dial()
    callee.respond(180)
    line.keep(line.agent.bye(callee.call, line.now))
    invite, cancel = line.requests
    assert (cancel.method, cancel.uri, cancel.via.branch) == ("CANCEL", invite.uri, invite.via.branch)
    assert (cancel.cseq.number, cancel.to.tag, cancel.from_.tag) == (1, None, invite.from_.tag)
    assert cancel.call_id == invite.call_id
    assert line.sent[0].flow == line.sent[1].flow
    callee.ok("CANCEL")
    callee.respond(487)
    line.over()
    assert len(line.ended) == 1


def test_a_200_that_crosses_the_cancel(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    callee.respond(180)
    line.keep(line.agent.bye(callee.call, line.now))
    callee.respond(200, sdp=sdp_answer)
    assert line.methods == ["INVITE", "CANCEL", "ACK", "BYE"]
    ack, bye = line.requests[-2:]
    assert (ack.cseq.number, bye.cseq.number, bye.to.tag) == (1, 2, "theirs")
    callee.ok("CANCEL", 481)
    callee.respond(200, sdp=sdp_answer)
    assert line.methods == ["INVITE", "CANCEL", "ACK", "BYE", "ACK"]
    callee.ok("BYE")
    line.over()
    assert line.kinds == ["Progress", "CallEnded"]


def test_a_200_without_any_provisional_to_a_call_given_up(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    line.keep(line.agent.bye(callee.call, line.now))
    callee.respond(200, sdp=sdp_answer)
    assert line.methods == ["INVITE", "ACK", "BYE"]
    callee.ok("BYE")
    line.over()
    assert line.kinds == ["CallEnded"]


def test_a_200_by_name_that_comes_twice_to_a_call_given_up(line: Line, sdp_answer: bytes) -> None:
    """The ACK waits for the DNS while the 200 comes again."""
    callee = line.dial()
    line.keep(line.agent.bye(callee.call, line.now))
    for _ in range(2):
        callee.respond(200, sdp=sdp_answer, contact="<sip:bob@carrier.example>")
    for look_up in [event for event in line.events if isinstance(event, LookUp)]:
        line.keep(line.agent.looked_up(look_up.token, [udp("198.51.100.8")], line.now))
    assert line.methods.count("BYE") == 1
    assert line.methods.count("ACK") >= 1
    callee.ok("BYE")
    line.over()


def test_nobody_says_anything_to_a_call_given_up(line: Line) -> None:
    callee = line.dial()
    line.keep(line.agent.bye(callee.call, line.now))
    line.over()
    assert set(line.methods) == {"INVITE"}
    assert len(line.ended) == 1


def test_a_callee_that_ignores_cancel(line: Line) -> None:
    callee = line.dial()
    callee.respond(180)
    line.keep(line.agent.bye(callee.call, line.now))
    line.over()
    assert len(line.ended) == 1


@pytest.mark.parametrize("how", ["503", "unreachable", "timer B", "401"])
@pytest.mark.parametrize("tried", [False, True])
def test_a_call_given_up_is_not_tried_again(line: Line, how: str, tried: bool) -> None:
    """Whatever would send another INVITE for a call that lives."""
    line.profile = TRUNK
    callee = line.dial("sip:bob@carrier.example")
    line.keep(line.agent.looked_up(1, [udp("198.51.100.8"), udp("198.51.100.9")], line.now))
    if tried:
        callee.respond(100)
    line.keep(line.agent.bye(callee.call, line.now))
    if how == "timer B":
        line.run(32)
    elif how == "unreachable":
        line.keep(line.agent.unreachable(line.sent[0].flow, line.now))
    else:
        callee.respond(int(how), extra=CHALLENGES[401] if how == "401" else "")
    line.over()
    assert {request.cseq.number for request in line.requests if request.method == "INVITE"} == {1}
    assert len(line.ended) == 1


def test_cancel_waits_for_a_provisional_to_the_invite_that_is_out(line: Line) -> None:
    """§9.1: the 100 was for the INVITE before the challenge."""
    line.profile = TRUNK
    callee = line.dial()
    callee.respond(100)
    callee.respond(407, extra=CHALLENGES[407])
    line.keep(line.agent.bye(callee.call, line.now))
    assert line.methods == ["INVITE", "ACK", "INVITE"]
    callee.respond(100)
    assert line.methods == ["INVITE", "ACK", "INVITE", "CANCEL"]
    assert line.requests[-1].cseq.number == 2
    callee.ok("CANCEL")
    callee.respond(487)
    line.over()


def test_their_bye_before_an_answer(line: Line) -> None:
    """No callee may do that (§15), some do; the INVITE must not stay for ever."""
    callee = line.dial()
    callee.respond(180)
    callee.send("BYE")
    assert line.statuses == [200]
    assert [ended.reason for ended in line.ended] == [EndReason.REMOTE_BYE]
    line.over()
    assert len(line.ended) == 1
