"""REFER of ours and its NOTIFYs (RFC 3515)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.call import CallState
from services.gateway.sip.events import EndReason, ReferAnswered, ReferNotified
from services.gateway.sip.message import Response

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line


NOTIFY = {"content_type": "message/sipfrag;version=2.0"}


def notify(line: Line, body: bytes, state: str = "active;expires=60", event: str = "refer") -> None:
    line.send("NOTIFY", body=body, extra=f"Event: {event}\r\nSubscription-State: {state}", **NOTIFY)


def test_refer_and_its_notifys(line: Line) -> None:
    line.establish()
    call = line.established
    line.keep(line.agent.refer(call, "sip:100@pbx.example", line.now))
    (refer,) = line.requests
    assert (refer.method, refer.headers.get("Refer-To")) == ("REFER", "<sip:100@pbx.example>")
    line.respond(refer, 202)
    notify(line, b"SIP/2.0 100 Trying\r\n")
    notify(line, b"SIP/2.0 200 OK\r\n", "terminated;reason=noresource", f"refer;id={refer.cseq.number}")
    assert line.statuses == [200, 200]
    assert line.events == [
        ReferAnswered(call, 202, "Accepted"),
        ReferNotified(call, 100, "Trying", False),
        ReferNotified(call, 200, "OK", True),
    ]
    notify(line, b"SIP/2.0 200 OK\r\n")
    assert line.statuses[-1] == 481
    line.send("BYE")
    assert len(line.ended) == 1
    line.run(200)
    assert line.agent.held == 0


def test_the_outcome_is_final_once(line: Line) -> None:
    line.establish()
    line.keep(line.agent.refer(line.established, "tel:+4930100", line.now))
    notify(line, b"SIP/2.0 486 Busy Here")  # may overtake the 202
    line.respond(line.requests[0], 202)
    notify(line, b"SIP/2.0 486 Busy Here", "terminated")
    notified = [event for event in line.events if isinstance(event, ReferNotified)]
    assert notified == [ReferNotified(line.established, 486, "Busy Here", True)]
    line.keep(line.agent.refer(line.established, "tel:+4930101", line.now))
    assert len(line.requests) == 2


def test_a_subscription_that_ends_in_silence(line: Line) -> None:
    line.establish()
    line.keep(line.agent.refer(line.established, "tel:+4930100", line.now))
    line.send("NOTIFY", extra="Event: refer\r\nSubscription-State: terminated;reason=giveup")
    assert line.events == [ReferNotified(line.established, None, "", True)]


@pytest.mark.parametrize("status", [403, 405, 603])
def test_refer_refused(line: Line, status: int) -> None:
    line.establish()
    line.keep(line.agent.refer(line.established, "sip:100@pbx.example", line.now))
    line.respond(line.requests[0], status)
    assert [(e.status, e.call) for e in line.events if isinstance(e, ReferAnswered)] == [(status, line.established)]
    notify(line, b"SIP/2.0 100 Trying")
    assert line.statuses == [481]
    assert line.ended == []


def test_refer_that_nobody_answers_leaves_the_call_alone(line: Line) -> None:
    line.establish()
    line.keep(line.agent.refer(line.established, "sip:100@pbx.example", line.now))
    line.run(100)
    assert line.events == [ReferAnswered(line.established, 408, "Request Timeout")]
    assert line.established.state is CallState.CONFIRMED


def test_refer_into_a_dialog_the_peer_forgot(line: Line) -> None:
    line.establish()
    line.keep(line.agent.refer(line.established, "sip:100@pbx.example", line.now))
    line.respond(line.requests[0], 481)
    assert line.kinds == ["ReferAnswered", "CallEnded"]
    assert line.ended[0].reason is EndReason.DIALOG_GONE
    line.run(100)
    assert line.agent.held == 0


def test_notify_after_the_end(line: Line) -> None:
    line.establish()
    line.keep(line.agent.refer(line.established, "sip:100@pbx.example", line.now))
    line.respond(line.requests[0], 202)
    line.send("BYE")
    notify(line, b"SIP/2.0 200 OK", "terminated")
    assert line.statuses == [200, 481]
    assert line.kinds == ["ReferAnswered", "CallEnded"]


def test_the_202_after_the_end_says_nothing(line: Line) -> None:
    line.establish()
    line.keep(line.agent.refer(line.established, "sip:100@pbx.example", line.now))
    line.send("BYE")
    line.respond(line.requests[0], 202)
    assert line.kinds == ["CallEnded"]
    line.run(100)
    assert line.agent.held == 0


def test_notify_of_another_package(line: Line) -> None:
    line.establish()
    notify(line, b"x", event="presence")
    assert line.statuses == [489]
    assert line.messages[0].headers.get("Allow-Events") == "refer"


@pytest.mark.parametrize(
    "target", ["sip:", "tel:", "sip:a@", "sip:a\0b@pbx.example", "sip:a\x7f@pbx.example", "sip:ü@pbx.example"]
)
def test_a_target_that_is_no_uri_is_refused(line: Line, target: str) -> None:
    """RFC 3261 §25.1: URIs are ASCII without control characters."""
    line.establish()
    with pytest.raises(ValueError, match=r"URI|bad host"):
        line.agent.refer(line.established, target, line.now)
    assert line.agent.refer(line.established, "tel:+4930100;phone-context=x", line.now)


def test_a_reason_phrase_that_is_no_utf8(line: Line) -> None:
    line.establish()
    line.keep(line.agent.refer(line.established, "sip:100@pbx.example", line.now))
    line.receive(Response.to_request(line.requests[0], 403, reason="Abgelehnt: f\udcfcr Sie").encode())
    assert line.events == [ReferAnswered(line.established, 403, "Abgelehnt: f\ufffdr Sie")]


def test_a_transfer_that_failed_is_not_in_the_way_of_the_next(line: Line) -> None:
    """A peer that tells the outcome and leaves the subscription open, though it must end it (RFC 3515 §2.4.5)."""
    line.establish()
    line.keep(line.agent.refer(line.established, "sip:100@pbx.example", line.now))
    line.respond(line.requests[0], 202)
    notify(line, b"SIP/2.0 486 Busy Here")
    line.clear()
    line.keep(line.agent.refer(line.established, "sip:200@pbx.example", line.now))
    line.respond(line.requests[0], 202)
    notify(line, b"SIP/2.0 486 Busy Here", "terminated;reason=noresource")
    assert line.statuses == [481], "the end of the first one"
    notify(line, b"SIP/2.0 200 OK", "terminated;reason=noresource", event="refer;id=2")
    assert line.events == [
        ReferAnswered(line.established, 202, "Accepted"),
        ReferNotified(line.established, 200, "OK", True),
    ]


def test_a_peer_that_never_says_how_it_goes(line: Line) -> None:
    line.establish()
    call = line.established
    line.keep(line.agent.refer(call, "sip:100@pbx.example", line.now))
    line.respond(line.requests[0], 202)
    line.run(line.now + 31)
    assert line.events == [ReferAnswered(call, 202, "Accepted")]
    line.run(line.now + 2)
    assert line.events[1:] == [ReferNotified(call, None, "", True)]
    notify(line, b"SIP/2.0 200 OK\r\n", "terminated;reason=noresource")
    assert (line.statuses, len(line.events)) == ([200], 2)
    line.keep(line.agent.refer(call, "sip:101@pbx.example", line.now))
    assert len(line.requests) >= 2


def test_a_peer_that_will_not_say_how_it_goes(line: Line) -> None:
    """RFC 4488."""
    line.establish()
    call = line.established
    line.keep(line.agent.refer(call, "sip:100@pbx.example", line.now))
    accepted = Response.to_request(line.requests[0], 202, headers=[("Refer-Sub", "false")])
    line.receive(accepted.encode())
    assert line.events == [ReferAnswered(call, 202, "Accepted"), ReferNotified(call, None, "", True)]
    line.keep(line.agent.refer(call, "sip:101@pbx.example", line.now))
    assert line.requests[-1].headers.get("Refer-To") == "<sip:101@pbx.example>"
