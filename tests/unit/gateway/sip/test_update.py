"""UPDATE of the peer (RFC 3311): for the session, for the target, and with an offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.events import Reoffered
from services.gateway.sip.message import Response
from services.gateway.sip.profile import Profile
from services.gateway.sip.sessiontimer import SessionTimerPolicy

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line


def test_without_a_body_it_refreshes_target_and_session(line: Line) -> None:
    line.establish()
    data = line.request("UPDATE", extra="Supported: timer\r\nSession-Expires: 90;refresher=uac")
    line.receive(data.replace(b"<sip:ada@198.51.100.7:5062>", b"<sip:ada@198.51.100.9:5070>"))
    (ok,) = line.messages
    assert isinstance(ok, Response)
    assert ok.status == 200
    assert (ok.headers.get("Session-Expires"), ok.headers.get("Require")) == ("90;refresher=uac", "timer")
    assert ok.headers.get("Contact") == "<sip:192.0.2.1:5060>"
    assert line.events == []
    line.keep(line.agent.bye(line.established, line.now))
    assert line.sent[-1].flow.address == ("198.51.100.9", 5070)
    line.over()


def test_with_an_offer(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.establish()
    line.send("UPDATE", body=sdp_offer)
    assert line.events == [Reoffered(line.established, sdp_offer)]
    assert line.statuses == []
    line.keep(line.agent.answer_offer(line.established, sdp_answer, line.now))
    (ok,) = line.messages
    assert (ok.body, ok.headers.get("Content-Type")) == (sdp_answer, "application/sdp")
    assert (line.established.exchange.local_sdp, line.established.exchange.remote_sdp) == (sdp_answer, sdp_offer)
    line.run(100)
    assert line.statuses == [200]  # no ACK is waited for
    line.send("BYE")
    line.over()


def test_an_offer_refused(line: Line, sdp_offer: bytes) -> None:
    line.establish()
    line.send("UPDATE", body=sdp_offer)
    line.keep(line.agent.reject_offer(line.established, 488, line.now))
    assert line.statuses == [488]
    line.send("UPDATE", body=sdp_offer)
    assert len(line.of(Reoffered)) == 2


def test_bye_while_its_offer_waits(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.establish()
    line.send("UPDATE", body=sdp_offer)
    line.send("BYE")
    assert line.statuses == [200, 487]
    assert line.agent.answer_offer(line.established, sdp_answer, line.now) == []
    line.over()


@pytest.mark.parametrize("first", ["UPDATE", "INVITE", "INVITE without offer"])
def test_an_update_while_an_offer_of_theirs_waits(line: Line, sdp_offer: bytes, sdp_answer: bytes, first: str) -> None:
    """RFC 3311 §5.2: 500 with Retry-After."""
    line.establish()
    line.send(first.split()[0], body=b"" if first.endswith("offer") else sdp_offer)
    line.clear()
    line.send("UPDATE", body=sdp_offer)
    assert line.statuses == [500]
    assert 0 <= int(line.messages[0].headers.get("Retry-After") or "-1") <= 10
    assert line.events == []
    line.keep(line.agent.answer_offer(line.established, sdp_answer, line.now))
    assert line.statuses == [500, 200]
    line.send("BYE")
    line.over()


def test_an_update_while_our_offer_waits(line: Line, sdp_offer: bytes) -> None:
    """Ours is in the 200 to a delayed offer: 491."""
    line.invite(body=b"")
    line.answer()
    line.to_tag = line.call.dialog.local_tag
    line.send("UPDATE", body=sdp_offer)
    assert line.statuses == [100, 200, 491]
    line.send("UPDATE")  # without an offer there is nothing to collide
    assert line.statuses == [100, 200, 491, 200]


def test_one_in_the_early_dialog_before_anything_is_agreed(line: Line, sdp_offer: bytes) -> None:
    line.invite()
    line.keep(line.agent.ringing(line.call, line.now))
    line.to_tag = line.call.dialog.local_tag
    line.send("UPDATE", body=sdp_offer)
    assert line.statuses == [100, 180, 500]
    assert line.kinds == ["IncomingCall"]


def test_one_in_the_early_dialog(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.invite(extra="Supported: 100rel, timer\r\nSession-Expires: 300;refresher=uac")
    line.keep(line.agent.progress(line.call, sdp_answer, line.now))
    line.to_tag = line.call.dialog.local_tag
    line.send("PRACK", extra=f"RAck: {line.messages[-1].headers.get('RSeq')} 1 INVITE")
    line.send("UPDATE", body=sdp_offer)
    assert line.kinds == ["IncomingCall", "ProvisionalAcknowledged", "Reoffered"]
    line.keep(line.agent.answer_offer(line.call, sdp_answer, line.now))
    assert line.messages[-1].body == sdp_answer
    line.answer()
    ok = line.messages[-1]
    # What the INVITE asked for stands, whatever the UPDATE left out.
    assert (ok.cseq.method, ok.headers.get("Session-Expires")) == ("INVITE", "300;refresher=uac")
    line.ack(cseq=1)
    line.send("BYE")
    line.over()


def test_one_of_the_callee_in_the_early_dialog(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    callee = line.dial()
    callee.respond(183, rseq=1, sdp=sdp_answer)
    callee.ok("PRACK")
    callee.send("UPDATE", body=sdp_offer)
    assert line.events[-1] == Reoffered(callee.call, sdp_offer)
    line.keep(line.agent.answer_offer(callee.call, sdp_answer, line.now))
    assert line.messages[-1].body == sdp_answer
    callee.respond(200)
    assert line.kinds[-1] == "CallAnswered"
    callee.send("BYE")
    line.over()


def test_a_session_that_is_too_short(line: Line, sdp_offer: bytes) -> None:
    line.profile = Profile(session_timer=SessionTimerPolicy(min_se_s=120))
    line.establish()
    line.send("UPDATE", body=sdp_offer, extra="Supported: timer\r\nSession-Expires: 100")
    (refused,) = line.messages
    assert (line.statuses, refused.headers.get("Min-SE")) == ([422], "120")
    assert line.events == []
    line.send("UPDATE", body=sdp_offer, extra="Supported: timer\r\nSession-Expires: 120")
    assert line.kinds == ["Reoffered"]


def test_a_body_that_is_no_sdp(line: Line) -> None:
    line.establish()
    line.send("UPDATE", body=b"hello", content_type="text/plain")
    assert line.statuses == [415]
    line.send("UPDATE")
    assert line.statuses == [415, 200]


def test_outside_of_a_call(line: Line) -> None:
    line.send("UPDATE")
    line.send("UPDATE", to_tag="gone")
    assert line.statuses == [481, 481]
