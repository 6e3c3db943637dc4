"""An INVITE with Replaces (RFC 3891 §3): which call it may take the place of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.events import CallConfirmed, IncomingCall
from services.gateway.sip.profile import Profile

if TYPE_CHECKING:
    from services.gateway.sip.call import Call
    from tests.unit.gateway.sip.conftest import Line


def replaces(call: Call, flags: str = "", **other: str) -> str:
    """The header for a call that we are in: its to-tag is ours."""
    dialog = call.dialog
    parts = {"call_id": dialog.call_id, "ours": dialog.local_tag, "theirs": dialog.remote_tag} | other
    return f"Replaces: {parts['call_id']};to-tag={parts['ours']};from-tag={parts['theirs']}{flags}"


def third_party(line: Line, extra: str, sdp: bytes) -> None:
    """Another caller, with a Call-ID of its own."""
    data = line.request("INVITE", cseq=1, to_tag="", branch="z9hG4bKthird", body=sdp, extra=extra)
    line.receive(as_third(data))


def as_third(data: bytes) -> bytes:
    return data.replace(b"Call-ID: call-1@", b"Call-ID: call-2@").replace(b">;tag=theirs", b">;tag=third")


def test_it_takes_the_place_of_a_confirmed_call(line: Line, sdp_offer: bytes) -> None:
    line.establish()
    third_party(line, replaces(line.established), sdp_offer)
    (event,) = line.events
    assert isinstance(event, IncomingCall)
    assert event.replaces is line.established
    assert event.call is not line.established
    line.answer()
    ok = line.messages[-1]
    ack = line.request("ACK", cseq=1, to_tag=ok.to.tag)
    line.receive(as_third(ack))
    assert line.events[1:] == [CallConfirmed(event.call, None)]
    line.keep(line.agent.bye(line.established, line.now))
    line.respond(line.requests[-1], 200)
    line.keep(line.agent.bye(event.call, line.now))
    line.respond(line.requests[-1], 200)
    line.over()
    assert [one.call for one in line.ended] == [line.established, event.call]


def test_it_takes_the_place_of_a_call_of_ours_that_rings(line: Line, sdp_offer: bytes) -> None:
    callee = line.dial()
    callee.respond(180)
    line.clear()
    third_party(line, replaces(callee.call, ";early-only"), sdp_offer)
    assert line.of(IncomingCall)[0].replaces is callee.call


@pytest.mark.parametrize("other", [{"call_id": "else@x"}, {"ours": "else"}, {"theirs": "else"}])
def test_a_dialog_that_is_not_there(line: Line, sdp_offer: bytes, other: dict[str, str]) -> None:
    line.establish()
    third_party(line, replaces(line.established, **other), sdp_offer)
    assert line.statuses == [481]
    assert line.events == []


def test_early_only_and_the_call_is_answered(line: Line, sdp_offer: bytes) -> None:
    line.establish()
    third_party(line, replaces(line.established, ";early-only"), sdp_offer)
    assert line.statuses == [486]


def test_a_call_that_comes_in_and_rings_cannot_be_taken(line: Line, sdp_offer: bytes) -> None:
    line.invite()
    line.keep(line.agent.ringing(line.call, line.now))
    line.sent.clear()
    third_party(line, replaces(line.call), sdp_offer)
    assert line.statuses == [481]


def test_the_call_of_another_trunk(line: Line, sdp_offer: bytes) -> None:
    line.profile = Profile(name="one")
    line.establish()
    line.profile = Profile(name="other")
    third_party(line, replaces(line.established), sdp_offer)
    assert line.statuses == [481]


def test_a_call_that_has_just_ended(line: Line, sdp_offer: bytes) -> None:
    line.establish()
    line.keep(line.agent.bye(line.established, line.now))
    third_party(line, replaces(line.established), sdp_offer)
    assert line.statuses == [603]
    line.over()


@pytest.mark.parametrize("extra", ["Replaces: x", "Replaces: a;to-tag=1;from-tag=2\r\nReplaces: a;to-tag=1;from-tag=2"])
def test_unreadable(line: Line, sdp_offer: bytes, extra: str) -> None:
    third_party(line, extra, sdp_offer)
    assert line.statuses == [400]
    line.over()


def test_a_call_with_a_peer_without_tag(line: Line, sdp_offer: bytes) -> None:
    """RFC 2543: "0" stands for none."""
    line.receive(line.request("INVITE", body=sdp_offer).replace(b";tag=theirs", b""))
    call = line.call
    line.answer()
    ack = line.request("ACK", to_tag=line.messages[-1].to.tag).replace(b";tag=theirs", b"")
    line.receive(ack)
    line.clear()
    third_party(line, replaces(call, theirs="0"), sdp_offer)
    assert line.of(IncomingCall)[0].replaces is call
