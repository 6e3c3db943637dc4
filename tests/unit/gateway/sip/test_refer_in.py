"""REFER of the peer (RFC 3515, RFC 4488), and the NOTIFYs that tell it how that goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.events import EndReason, ReferNotified, ReferReceived
from services.gateway.sip.profile import Profile

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line

ALLOWED = Profile(name="trunk", refer=True)
TO = "Refer-To: <sip:100@pbx.example>"


def referred(line: Line, extra: str = "") -> None:
    line.profile = ALLOWED
    line.establish()
    line.send("REFER", extra=TO + extra)


def notifys(line: Line) -> list[tuple[str | None, str, bytes]]:
    """Event, Subscription-State without expires, and body."""
    found = [request for request in line.requests if request.method == "NOTIFY"]
    return [
        (one.headers.get("Event"), (one.headers.get("Subscription-State") or "").partition("=")[0], one.body)
        for one in found
    ]


def test_who_may_not_refer_is_declined(line: Line) -> None:
    line.establish()
    line.send("REFER", extra=TO)
    assert line.statuses == [603]
    assert line.events == []


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ("Subject: x", 400),
        (f"{TO}\r\n{TO}", 400),
        ("Refer-To: <mailto:x@y>", 400),
        ("Refer-To: <sip:100@pbx.example;method=BYE>", 603),
    ],
)
def test_what_cannot_be_followed(line: Line, extra: str, status: int) -> None:
    line.profile = ALLOWED
    line.establish()
    line.send("REFER", extra=extra)
    assert line.statuses == [status]
    assert line.events == []


def test_before_an_answer_it_is_declined(line: Line) -> None:
    line.profile = ALLOWED
    line.invite()
    line.to_tag = line.call.dialog.local_tag
    line.send("REFER", extra=TO)
    assert line.statuses == [100, 603]


def test_accepted_and_told_to_the_end(line: Line) -> None:
    referred(line, "\r\nReferred-By: <sip:boss@pbx.example>")
    call = line.established
    assert line.events == [ReferReceived(call, "sip:100@pbx.example", None, "<sip:boss@pbx.example>")]
    assert line.statuses == []
    line.keep(line.agent.accept_refer(call, line.now))
    assert line.statuses == [202]
    assert line.messages[0].headers.get("Contact") == "<sip:192.0.2.1:5060>"
    (notify,) = line.requests
    assert notify.headers.get("Contact") == "<sip:192.0.2.1:5060>"
    line.respond(notify, 200)
    line.keep(line.agent.tell_refer(call, 180, "Ringing", line.now))
    line.respond(line.requests[-1], 200)
    line.keep(line.agent.tell_refer(call, 200, "OK", line.now))
    line.respond(line.requests[-1], 200)
    assert notifys(line) == [
        ("refer;id=2", "active;expires", b"SIP/2.0 100 Trying\r\n"),
        ("refer;id=2", "active;expires", b"SIP/2.0 180 Ringing\r\n"),
        ("refer;id=2", "terminated;reason", b"SIP/2.0 200 OK\r\n"),
    ]
    assert line.agent.tell_refer(call, 486, "Busy", line.now) == []
    line.send("REFER", extra=TO)
    assert line.kinds == ["ReferReceived", "ReferReceived"]
    line.keep(line.agent.reject_refer(call, 486, line.now))
    assert line.statuses[-1] == 486
    line.send("BYE")
    line.over()


def test_attended(line: Line) -> None:
    line.profile = ALLOWED
    line.establish()
    line.send("REFER", extra="Refer-To: <sip:100@pbx.example?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2>")
    assert line.of(ReferReceived)[0].replaces == "a@b;to-tag=1;from-tag=2"


def test_who_wants_no_notify_gets_none(line: Line) -> None:
    referred(line, "\r\nRefer-Sub: false\r\nSupported: norefersub")
    line.keep(line.agent.accept_refer(line.established, line.now))
    assert line.statuses == [202]
    assert line.messages[0].headers.get("Refer-Sub") == "false"
    line.keep(line.agent.tell_refer(line.established, 200, "OK", line.now))
    assert line.requests == []
    line.send("BYE")
    line.over()


def test_a_notify_refused_ends_the_subscription(line: Line) -> None:
    referred(line)
    line.keep(line.agent.accept_refer(line.established, line.now))
    line.respond(line.requests[-1], 481)
    assert line.agent.tell_refer(line.established, 200, "OK", line.now) == []
    assert line.ended == []
    line.send("BYE")
    line.over()


def test_nobody_answers_the_notify(line: Line) -> None:
    referred(line)
    line.keep(line.agent.accept_refer(line.established, line.now))
    line.run(40)
    assert line.agent.tell_refer(line.established, 200, "OK", line.now) == []
    assert line.ended == []


def test_the_subscription_runs_out(line: Line) -> None:
    referred(line)
    line.keep(line.agent.accept_refer(line.established, line.now))
    line.respond(line.requests[-1], 200)
    line.run(130)
    assert notifys(line)[-1] == ("refer;id=2", "terminated;reason", b"SIP/2.0 100 Trying\r\n")
    line.respond(line.requests[-1], 200)
    assert line.agent.tell_refer(line.established, 200, "OK", line.now) == []


def test_a_second_one_meanwhile(line: Line) -> None:
    referred(line)
    line.send("REFER", extra=TO)
    assert line.statuses == [491]
    line.keep(line.agent.accept_refer(line.established, line.now))
    line.send("REFER", extra=TO)
    assert line.statuses == [491, 202, 491]
    assert line.kinds == ["ReferReceived"]


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize("theirs", [False, True])
def test_bye_meanwhile(line: Line, accepted: bool, theirs: bool) -> None:
    referred(line)
    call = line.established
    if accepted:
        line.keep(line.agent.accept_refer(call, line.now))
    if theirs:
        line.send("BYE")
    else:
        line.keep(line.agent.bye(call, line.now))
    assert line.agent.accept_refer(call, line.now) == []
    assert line.agent.reject_refer(call, 603, line.now) == []
    assert line.agent.tell_refer(call, 200, "OK", line.now) == []
    line.over()
    assert [event.reason for event in line.ended] == [EndReason.REMOTE_BYE if theirs else EndReason.LOCAL_BYE]


def test_again_in_its_transaction(line: Line) -> None:
    line.profile = ALLOWED
    line.establish()
    data = line.request("REFER", extra=TO)
    line.receive(data)
    line.receive(data)
    line.keep(line.agent.accept_refer(line.established, line.now))
    line.receive(data)
    assert line.kinds == ["ReferReceived"]
    assert line.statuses == [202, 202]
    assert len(notifys(line)) == 1


def test_ours_is_named_by_the_number_it_was_accepted_with(line: Line) -> None:
    """RFC 3515 §2.4.6: the id of its NOTIFYs is the CSeq of the REFER, here of the one with credentials."""
    line.profile = line.trunk()
    line.establish()
    line.keep(line.agent.refer(line.established, "sip:100@pbx.example", line.now))
    challenge = [("Proxy-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')]
    line.receive(line.response_to(line.requests[-1], 407, headers=challenge))
    refer = line.requests[-1]
    assert (refer.method, refer.cseq.number) == ("REFER", 2)
    line.receive(line.response_to(refer, 202))
    line.clear()
    extra = "Event: refer;id=2\r\nSubscription-State: terminated;reason=noresource"
    line.send("NOTIFY", body=b"SIP/2.0 200 OK\r\n", extra=extra, content_type="message/sipfrag")
    assert line.statuses == [200]
    assert line.events == [ReferNotified(line.established, 200, "OK", True)]
