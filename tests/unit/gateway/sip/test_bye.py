"""BYE from either side, before and after the ACK (RFC 3261 §15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.gateway.sip.events import CallEnded, EndReason

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line


def test_our_bye(line: Line) -> None:
    line.establish()
    line.keep(line.agent.bye(line.established, line.now, reason="SIP;cause=200"))
    assert line.events == [CallEnded(line.established, False, EndReason.LOCAL_BYE)]
    (bye,) = line.requests
    assert (bye.method, bye.uri) == ("BYE", "sip:ada@198.51.100.7:5062")
    assert line.sent[-1].flow.address == ("198.51.100.7", 5062)
    assert (bye.from_.tag, bye.to.tag, bye.headers.get("Reason")) == (line.to_tag, "theirs", "SIP;cause=200")
    line.respond(bye, 200)
    assert line.agent.bye(line.established, line.now) == []
    line.run(100)
    assert len(line.requests) == 1
    assert len(line.ended) == 1
    assert line.agent.held == 0


def test_our_bye_is_repeated_and_given_up(line: Line) -> None:
    line.establish()
    line.keep(line.agent.bye(line.established, line.now))
    line.run(100)
    assert len(line.requests) == 11  # at 0, .5, 1.5, 3.5, then every 4 s up to 32 s
    assert line.agent.held == 0


def test_byes_that_cross(line: Line) -> None:
    line.establish()
    line.keep(line.agent.bye(line.established, line.now))
    line.send("BYE")
    assert line.statuses == [200]
    line.respond(line.requests[0], 481)
    assert len(line.ended) == 1
    line.run(100)
    assert line.agent.held == 0


def test_bye_on_an_unanswered_call_is_a_480(line: Line) -> None:
    line.invite()
    line.keep(line.agent.bye(line.call, line.now))
    assert line.statuses == [100, 480]
    assert len(line.ended) == 1


def test_our_bye_waits_for_the_ack(line: Line) -> None:
    line.invite()
    line.answer()
    line.keep(line.agent.bye(line.call, line.now, "SIP;cause=200"))
    assert line.requests == []
    assert [event.reason for event in line.ended] == [EndReason.LOCAL_BYE]
    line.ack()
    assert [request.headers.get("Reason") for request in line.requests] == ["SIP;cause=200"]
    line.respond(line.requests[0], 200)
    line.run(100)
    assert len(line.ended) == 1
    assert line.agent.held == 0


def test_our_bye_goes_when_no_ack_comes(line: Line) -> None:
    line.invite()
    line.answer()
    line.keep(line.agent.bye(line.call, line.now))
    line.run(32)
    assert [request.method for request in line.requests] == ["BYE"]
    line.run(100)
    assert len(line.ended) == 1
    assert line.agent.held == 0


def test_their_bye_before_the_ack(line: Line) -> None:
    line.invite()
    line.answer()
    line.to_tag = line.messages[-1].to.tag or ""
    line.send("BYE")
    assert line.statuses == [100, 200, 200]
    assert [event.reason for event in line.ended] == [EndReason.REMOTE_BYE]
    line.run(100)
    assert line.statuses == [100, 200, 200]
    assert line.agent.held == 0


def test_their_bye_on_the_early_dialog(line: Line) -> None:
    line.invite()
    line.keep(line.agent.ringing(line.call, line.now))
    line.to_tag = line.messages[-1].to.tag or ""
    line.send("BYE")
    assert line.statuses == [100, 180, 200, 487]
    assert [event.reason for event in line.ended] == [EndReason.CANCELLED]
