"""Calls of ours: the INVITE, what is answered to it, where the ACK goes, and how they are given up (RFC 3261 §9, §13).

Invariant of all these tests: one CallEnded a call that ended, and nothing held once time has passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.call import CallState
from services.gateway.sip.digest import Credentials
from services.gateway.sip.events import CallAnswered, CallEnded, EndReason, LookUp, Progress
from services.gateway.sip.message import Response
from services.gateway.sip.profile import Profile
from services.gateway.sip.sessiontimer import SessionTimerMode, SessionTimerPolicy
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


def test_rung_answered_and_hung_up_on(line: Line, sdp_answer: bytes, sdp_offer: bytes) -> None:
    callee = line.dial(caller=("+4930", 'The "Desk"'), headers=[("User-to-User", "00")])
    invite = callee.invite
    assert (invite.method, invite.uri, invite.cseq.number) == ("INVITE", "sip:bob@198.51.100.7", 1)
    assert invite.headers.get("To") == "<sip:bob@198.51.100.7>"
    assert invite.from_.display_name == 'The "Desk"'
    assert (invite.from_.user, invite.from_.tag) == ("+4930", callee.call.dialog.local_tag)
    assert invite.headers.get("Contact") == "<sip:+4930@192.0.2.1:5060>"
    assert invite.headers.get("User-to-User") == "00"
    assert invite.body == sdp_offer
    callee.respond(100)
    callee.respond(180)
    callee.respond(183, sdp=sdp_answer)
    callee.respond(200, sdp=sdp_answer)
    assert line.events == [
        Progress(callee.call, 100, "Trying", None),
        Progress(callee.call, 180, "Ringing", None),
        Progress(callee.call, 183, "Session Progress", sdp_answer),
        CallAnswered(callee.call, sdp_answer),
    ]
    assert line.methods == ["INVITE", "ACK"]
    ack = line.requests[-1]
    assert (ack.uri, ack.cseq.number, ack.body) == ("sip:bob@198.51.100.7:5062", 1, b"")
    assert line.sent[-1].flow.address == ("198.51.100.7", 5062)
    assert ack.via.branch != invite.via.branch
    assert (ack.from_.tag, ack.to.tag, ack.call_id) == (invite.from_.tag, "theirs", invite.call_id)
    callee.send("BYE")
    assert line.ended == [CallEnded(callee.call, True, EndReason.REMOTE_BYE)]
    assert line.statuses == [200]
    line.over()


def test_a_200_again_gets_the_same_ack(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    callee.respond(200, sdp=sdp_answer)
    callee.respond(200, sdp=sdp_answer)
    line.run(20)
    callee.respond(200, sdp=sdp_answer)
    acks = [sent for sent in line.sent if sent.data.startswith(b"ACK")]
    assert len(acks) == 3
    assert len(set(acks)) == 1
    assert line.kinds == ["CallAnswered"]
    line.keep(line.agent.bye(callee.call, line.now))
    callee.respond(200, sdp=sdp_answer)  # after the BYE too
    callee.ok("BYE")
    callee.respond(200, sdp=sdp_answer)
    assert line.methods == ["INVITE", "ACK", "ACK", "ACK", "BYE", "ACK", "ACK"]
    line.over()
    assert len(line.ended) == 1


@pytest.mark.parametrize("status", [401, 407])
def test_a_challenge_is_answered(line: Line, sdp_answer: bytes, status: int) -> None:
    line.profile = TRUNK
    callee = line.dial()
    first = callee.invite
    callee.respond(100)
    callee.respond(status, extra=CHALLENGES[status])
    ack, second = line.requests[-2:]
    assert (ack.method, ack.via.branch, ack.uri) == ("ACK", first.via.branch, first.uri)
    assert (second.method, second.cseq.number) == ("INVITE", 2)
    assert second.via.branch != first.via.branch
    assert (second.call_id, second.from_.tag) == (first.call_id, first.from_.tag)
    assert second.to.tag is None
    assert second.body == first.body
    answered_by = {401: "Authorization", 407: "Proxy-Authorization"}[status]
    credentials = second.headers.get(answered_by)
    assert credentials is not None
    assert 'nonce="n1"' in credentials
    callee.respond(status, extra=CHALLENGES[status], request=first)  # again: its ACK again, and nothing else
    assert line.methods == ["INVITE", "ACK", "INVITE", "ACK"]
    callee.respond(200, sdp=sdp_answer)
    ack = line.requests[-1]
    # §13.2.2.4, §22.1: the number and the credentials of the INVITE
    assert (ack.method, ack.cseq.number, ack.headers.get(answered_by)) == ("ACK", 2, credentials)
    line.keep(line.agent.bye(callee.call, line.now))
    assert line.requests[-1].cseq.number == 3
    callee.ok("BYE")
    line.over()
    assert len(line.ended) == 1


@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("password", [True, False])
def test_a_challenge_that_cannot_be_met(line: Line, status: int, password: bool) -> None:
    line.profile = TRUNK if password else Profile()
    callee = line.dial()
    callee.respond(status, extra=CHALLENGES[status])
    if password:
        assert line.ended == []
        callee.respond(status, extra=CHALLENGES[status])
    assert [(ended.reason, ended.status) for ended in line.ended] == [(EndReason.REFUSED, status)]
    line.over()
    assert line.methods == ["INVITE", "ACK"] * (1 + password)


def test_a_422_is_asked_again_with_more(line: Line, sdp_answer: bytes) -> None:
    policy = SessionTimerPolicy(SessionTimerMode.ALWAYS, 300, 90)
    line.profile = Profile(session_timer=policy)
    callee = line.dial()
    first = callee.invite
    assert first.headers.get("Session-Expires") == "300"
    callee.respond(422, extra="Min-SE: 600")
    second = callee.invite
    assert (second.headers.get("Session-Expires"), second.headers.get("Min-SE")) == ("600", "600")
    assert (second.cseq.number, second.call_id, second.from_.tag) == (2, first.call_id, first.from_.tag)
    assert second.to.tag is None
    callee.respond(200, sdp=sdp_answer)
    assert line.requests[-1].cseq.number == 2
    assert line.kinds == ["CallAnswered"]


def test_a_422_that_asks_for_no_more_is_a_refusal(line: Line) -> None:
    callee = line.dial()
    callee.respond(422, extra="Min-SE: 90")
    assert [(ended.reason, ended.status) for ended in line.ended] == [(EndReason.REFUSED, 422)]
    line.over()


def test_a_422_at_a_trunk_that_challenges(line: Line, sdp_answer: bytes) -> None:
    line.profile = TRUNK
    callee = line.dial()
    callee.respond(407, extra=CHALLENGES[407])
    callee.respond(422, extra="Min-SE: 600")
    if callee.invite.headers.get("Proxy-Authorization") is None:
        callee.respond(407, extra=CHALLENGES[407].replace("n1", "n2"))
    assert callee.invite.headers.get("Min-SE") == "600"
    callee.respond(200, sdp=sdp_answer)
    assert line.kinds == ["CallAnswered"]


@pytest.mark.parametrize("status", [300, 302, 404, 408, 480, 486, 487, 500, 503, 600, 603])
@pytest.mark.parametrize("rung", [False, True])
def test_refused(line: Line, status: int, rung: bool) -> None:
    callee = line.dial()
    if rung:
        callee.respond(180)
        line.events.clear()
    callee.respond(status)
    callee.respond(status)
    assert [(one.reason, one.status, one.by_remote) for one in line.ended] == [(EndReason.REFUSED, status, True)]
    assert line.methods == ["INVITE", "ACK", "ACK"]
    assert callee.call.state is CallState.ENDED
    assert line.agent.bye(callee.call, line.now) == []
    callee.respond(180)  # too late
    line.over()
    assert len(line.events) == 1


def test_a_redirect_to_what_is_no_uri(line: Line) -> None:
    callee = line.dial()
    moved = Response.to_request(callee.invite, 302, "theirs", headers=[("Contact", "<sip:>, nobody")])
    line.receive(moved.encode())
    assert [(one.reason, one.status, one.contact) for one in line.ended] == [(EndReason.REFUSED, 302, "")]
    line.over()


def test_nobody_answers(line: Line) -> None:
    line.dial()
    line.run(31.9)
    assert line.sent_at == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]  # timer A
    assert line.ended == []
    line.run(32)
    assert [(ended.reason, ended.status) for ended in line.ended] == [(EndReason.UNREACHABLE, 408)]
    line.over()
    assert len(line.sent) == 7


def test_nobody_can_be_reached(line: Line) -> None:
    line.dial()
    line.keep(line.agent.unreachable(line.sent[0].flow, line.now))
    assert [(ended.reason, ended.status) for ended in line.ended] == [(EndReason.UNREACHABLE, 503)]
    line.over()


@pytest.mark.parametrize("how", ["503", "unreachable", "timer B"])
def test_the_next_server(line: Line, sdp_answer: bytes, how: str) -> None:
    callee = line.dial("sip:bob@carrier.example")
    assert line.events == [LookUp(1, "sip:bob@carrier.example")]
    line.events.clear()
    line.keep(line.agent.looked_up(1, [udp("198.51.100.8"), udp("198.51.100.9")], line.now))
    first = callee.invite
    if how == "503":
        callee.respond(503)
    elif how == "unreachable":
        line.keep(line.agent.unreachable(line.sent[0].flow, line.now))
    else:
        line.run(32)
    second = callee.invite
    assert line.ended == []
    assert line.sent[-1].flow.address == ("198.51.100.9", 5060)
    assert (second.uri, second.call_id, second.from_.tag) == (first.uri, first.call_id, first.from_.tag)
    assert second.via.branch != first.via.branch
    assert second.cseq.number > first.cseq.number
    callee.respond(200, sdp=sdp_answer)
    assert line.requests[-1].cseq.number == second.cseq.number
    assert line.kinds == ["CallAnswered"]
    callee.send("BYE")
    line.over()


def test_no_server_left(line: Line) -> None:
    callee = line.dial("sip:bob@carrier.example")
    line.keep(line.agent.looked_up(1, [udp("198.51.100.8"), udp("198.51.100.9")], line.now))
    callee.respond(503)
    callee.respond(503)
    assert [(ended.reason, ended.status) for ended in line.ended] == [(EndReason.REFUSED, 503)]
    line.over()
    assert line.methods == ["INVITE", "ACK"] * 2


def test_a_name_that_leads_nowhere(line: Line) -> None:
    line.dial("sip:bob@carrier.example")
    line.keep(line.agent.looked_up(1, [], line.now))
    assert [(ended.reason, ended.status) for ended in line.ended] == [(EndReason.UNREACHABLE, 503)]
    assert line.sent == []
    line.over()


def test_given_up_while_the_dns_is_asked(line: Line) -> None:
    callee = line.dial("sip:bob@carrier.example")
    line.keep(line.agent.bye(callee.call, line.now))
    assert [ended.reason for ended in line.ended] == [EndReason.LOCAL_BYE]
    line.keep(line.agent.looked_up(1, [udp("198.51.100.8")], line.now))
    line.over()
    assert line.sent == []
    assert len(line.ended) == 1


def test_what_is_too_large_for_udp_goes_over_tcp(line: Line, sdp_answer: bytes, sdp_offer: bytes) -> None:
    callee = line.dial(offer=sdp_offer + b"a=x:" + b"y" * 1300 + b"\r\n")
    (sent,) = line.sent
    assert sent.flow == Flow(Transport.TCP, ("198.51.100.7", 5060))
    assert (callee.invite.via.transport, callee.invite.headers.get("Contact")) == (
        "TCP",
        "<sip:192.0.2.1:5060;transport=tcp>",
    )
    line.run(31)
    assert len(line.sent) == 1
    callee.respond(200, sdp=sdp_answer)
    assert line.kinds == ["CallAnswered"]
    callee.send("BYE")
    line.over()


def test_where_nobody_listens_on_tcp_it_goes_over_udp(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    callee = line.dial(offer=sdp_offer + b"a=x:" + b"y" * 1300 + b"\r\n")
    first = callee.invite
    line.keep(line.agent.unreachable(line.sent[0].flow, line.now))
    assert line.sent[-1].flow == Flow(Transport.UDP, ("198.51.100.7", 5060))
    assert (callee.invite.via.transport, callee.invite.call_id) == ("UDP", first.call_id)
    assert line.ended == []
    callee.respond(200, sdp=sdp_answer)
    assert line.kinds == ["CallAnswered"]
    callee.send("BYE")
    line.over()


def test_a_server_that_says_503_over_tcp_is_not_asked_again_over_udp(line: Line, sdp_offer: bytes) -> None:
    callee = line.dial(offer=sdp_offer + b"a=x:" + b"y" * 1300 + b"\r\n")
    callee.respond(503)
    assert [(ended.reason, ended.status) for ended in line.ended] == [(EndReason.REFUSED, 503)]
    line.over()


# The far end offers


def test_an_invite_without_an_offer(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    callee = line.dial(offer=b"")
    assert callee.invite.body == b""
    callee.respond(180)
    callee.respond(200, sdp=sdp_offer)
    assert line.kinds == ["Progress", "CallAnswered"]
    assert line.of(CallAnswered)[0].sdp == sdp_offer
    assert callee.call.state is CallState.ANSWERED
    assert line.methods == ["INVITE"]
    callee.respond(200, sdp=sdp_offer)
    assert line.methods == ["INVITE"]
    line.keep(line.agent.acknowledge(callee.call, sdp_answer, line.now))
    assert line.methods == ["INVITE", "ACK"]
    assert line.requests[-1].body == sdp_answer
    assert line.requests[-1].headers.get("Content-Type") == "application/sdp"
    assert line.agent.acknowledge(callee.call, sdp_answer, line.now) == []
    callee.respond(200, sdp=sdp_offer)
    assert line.sent[-1] == line.sent[-2]
    callee.send("BYE")
    line.over()


def test_bye_instead_of_our_answer(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    callee = line.dial(offer=b"")
    callee.respond(200, sdp=sdp_offer)
    line.keep(line.agent.bye(callee.call, line.now))
    assert line.methods == ["INVITE", "ACK", "BYE"]
    assert line.agent.acknowledge(callee.call, sdp_answer, line.now) == []
    callee.ok("BYE")
    line.over()
    assert len(line.ended) == 1


def test_their_bye_instead_of_our_answer(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    callee = line.dial(offer=b"")
    callee.respond(200, sdp=sdp_offer)
    callee.send("BYE")
    assert line.agent.acknowledge(callee.call, sdp_answer, line.now) == []
    line.over()
    assert [ended.reason for ended in line.ended] == [EndReason.REMOTE_BYE]


@pytest.mark.parametrize("target", ["", "bob", "tel:+4930", "sip:@", "sip:bob@a b"])
def test_no_sip_uri(line: Line, target: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        line.dial(target)
    assert line.agent.held == 0
