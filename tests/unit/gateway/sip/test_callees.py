"""Whom calls of ours reach: routes and Contacts, callees that are odd, late or not there.

Invariant of all these tests: one CallEnded a call that ended, and nothing held once time has passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.events import EndReason, LookUp

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line

# Routes and targets


def test_record_routes_are_taken_in_reverse(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    routes = "Record-Route: <sip:198.51.100.20;lr>, <sip:198.51.100.10;lr>"
    callee.respond(200, sdp=sdp_answer, extra=routes)
    ack = line.requests[-1]
    assert ack.uri == "sip:bob@198.51.100.7:5062"
    assert ack.headers.values("Route") == ["<sip:198.51.100.10;lr>", "<sip:198.51.100.20;lr>"]
    assert line.sent[-1].flow.address == ("198.51.100.10", 5060)
    line.keep(line.agent.bye(callee.call, line.now))
    assert line.sent[-1].flow.address == ("198.51.100.10", 5060)
    callee.ok("BYE")
    line.over()


def test_a_strict_router(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    callee.respond(200, sdp=sdp_answer, extra="Record-Route: <sip:198.51.100.10>")
    ack = line.requests[-1]
    assert ack.uri == "sip:198.51.100.10"
    assert ack.headers.values("Route") == ["<sip:bob@198.51.100.7:5062>"]
    assert line.sent[-1].flow.address == ("198.51.100.10", 5060)


def test_a_contact_by_name_that_leads_nowhere(line: Line, sdp_answer: bytes) -> None:
    """The ACK then goes where the INVITE went: better than a call that dies."""
    callee = line.dial()
    callee.respond(200, sdp=sdp_answer, contact="<sip:bob@inside.example>")
    (look_up,) = [event for event in line.events if isinstance(event, LookUp)]
    line.keep(line.agent.looked_up(look_up.token, [], line.now))
    assert line.methods == ["INVITE", "ACK"]
    assert line.sent[-1].flow.address == ("198.51.100.7", 5060)


@pytest.mark.parametrize("contact", ["<tel:+4930>", "<mailto:x@y>", "<sip:bob@[::1]:99999>"])
def test_contacts_that_cannot_be_called(line: Line, sdp_answer: bytes, contact: str) -> None:
    callee = line.dial()
    callee.respond(200, sdp=sdp_answer, contact=contact)
    for look_up in [event for event in line.events if isinstance(event, LookUp)]:
        line.keep(line.agent.looked_up(look_up.token, [], line.now))
    line.keep(line.agent.bye(callee.call, line.now))
    for look_up in [event for event in line.events if isinstance(event, LookUp)]:
        line.keep(line.agent.looked_up(look_up.token, [], line.now))
    line.over()
    assert len(line.ended) == 1


# Odd callees


def test_sent_elsewhere(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    """§8.1.3.4: the same Call-ID and From, a higher number, no tag in To."""
    callee = line.dial()
    callee.respond(180)
    callee.respond(302, extra="Contact: <sip:carol@198.51.100.9>")
    assert [(ended.status, ended.contact) for ended in line.ended] == [(302, "sip:carol@198.51.100.9")]
    first = callee.invite
    other = line.dial("sip:carol@198.51.100.9", redirected=callee.call)
    second = other.invite
    assert (second.uri, second.headers.get("To")) == ("sip:carol@198.51.100.9", "<sip:carol@198.51.100.9>")
    assert (second.call_id, second.headers.get("From")) == (first.call_id, first.headers.get("From"))
    assert second.cseq.number > first.cseq.number
    other.respond(200, sdp=sdp_answer)
    other.send("BYE")
    line.over()
    assert [ended.call for ended in line.ended] == [callee.call, other.call]


def test_a_callee_without_a_tag(line: Line, sdp_answer: bytes) -> None:
    """RFC 2543 let a 200 go without one (§12.1.2)."""
    callee = line.dial()
    callee.respond(200, tag=None, sdp=sdp_answer)
    assert (line.requests[-1].method, line.requests[-1].to.tag) == ("ACK", None)
    callee.respond(200, tag=None, sdp=sdp_answer)
    assert line.sent[-1] == line.sent[-2]
    line.receive(callee.request("BYE").replace(b";tag=theirs", b""))
    assert [ended.reason for ended in line.ended] == [EndReason.REMOTE_BYE]
    line.over()


def test_a_200_behind_their_bye(line: Line, sdp_answer: bytes) -> None:
    """Answered and hung up at once, and UDP turned the two round."""
    callee = line.dial()
    callee.respond(180)
    callee.send("BYE")
    callee.respond(200, sdp=sdp_answer)
    assert line.methods[-2:] == ["ACK", "BYE"]
    line.respond(line.requests[-1], 481)
    line.over()
    assert [ended.reason for ended in line.ended] == [EndReason.REMOTE_BYE]


def test_a_bye_to_no_dialog_of_ours(line: Line) -> None:
    callee = line.dial()
    callee.send("BYE")
    assert line.statuses == [481]
    assert line.ended == []


def test_responses_that_belong_to_nothing(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    stray = callee.response(200, sdp=sdp_answer)
    assert line.receive(stray.replace(b"branch=z9hG4bK", b"branch=z9hG4bKx")) == []
    assert line.receive(stray.replace(b"1 INVITE", b"1 OPTIONS")) == []
    assert line.ended == []


def test_a_provisional_behind_the_200(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    callee.respond(200, sdp=sdp_answer)
    callee.respond(183, sdp=sdp_answer, rseq=1)
    assert line.kinds == ["CallAnswered"]
    assert line.methods == ["INVITE", "ACK"]
