"""What becomes of calls, row by row. Invariant: one IncomingCall and one CallEnded a call, whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.call import CallState, CallStateError
from services.gateway.sip.events import (
    CallConfirmed,
    CallEnded,
    EndReason,
    IncomingCall,
    ReferAnswered,
    ReferNotified,
    ReofferConfirmed,
    Reoffered,
)
from services.gateway.sip.message import Response

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line


def kinds(line: Line) -> list[str]:
    return [type(event).__name__ for event in line.events]


def test_a_call_from_invite_to_their_bye(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.invite()
    assert line.statuses == [100]
    assert line.events == [IncomingCall(line.call, sdp_offer)]
    line.keep(line.agent.ringing(line.call, line.now))
    line.answer()
    assert line.statuses == [100, 180, 200]
    ok = line.messages[-1]
    assert ok.body == sdp_answer
    assert ok.headers.get("Contact") == "<sip:192.0.2.1:5060>"
    assert ok.headers.get("Content-Type") == "application/sdp"
    assert ok.to.tag == line.messages[1].to.tag
    assert line.messages[0].to.tag is None
    line.ack()
    assert line.events[1:] == [CallConfirmed(line.call, None)]
    line.send("BYE", extra='Reason: Q.850;cause=16;text="bye"')
    assert line.statuses[-1] == 200
    assert line.events[2:] == [CallEnded(line.call, True, EndReason.REMOTE_BYE, 'Q.850;cause=16;text="bye"')]
    line.run(100)
    assert len(line.ended) == 1
    assert line.agent.held == 0


def test_the_handle_tells_who_rings_whom(line: Line) -> None:
    line.invite(extra='P-Asserted-Identity: "Ada" <tel:+4930999;phone-context=x>, <sip:+4930999@198.51.100.7>')
    call = line.call
    assert (call.call_id, call.called_number) == ("call-1@198.51.100.7", "echo")
    assert (call.caller_number, call.caller_name) == ("+4930123", "Ada Lovelace")
    assert call.asserted is not None
    assert call.asserted.user == "+4930999"
    assert call.callee.uri == "sip:echo@192.0.2.1"


def test_our_bye(line: Line) -> None:
    line.establish()
    line.keep(line.agent.bye(line.established, line.now, reason="SIP;cause=200"))
    assert line.events == [CallEnded(line.established, False, EndReason.LOCAL_BYE)]
    (bye,) = line.requests
    assert (bye.method, bye.uri) == ("BYE", "sip:ada@198.51.100.7:5062")
    assert line.sent[-1].destination == ("198.51.100.7", 5062)
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


def test_an_invite_again_is_answered_from_the_transaction(line: Line) -> None:
    line.invite()
    line.receive(line.invite_request)
    line.keep(line.agent.ringing(line.call, line.now))
    line.receive(line.invite_request)
    assert line.statuses == [100, 100, 180, 180]
    line.answer()
    line.receive(line.invite_request)  # RFC 6026 §7.1: absorbed, the 2xx has its own clock
    assert line.statuses[4:] == [200]
    assert kinds(line) == ["IncomingCall"]


def test_a_lost_ack_repeats_the_200_and_then_ends_the_call(line: Line) -> None:
    line.invite()
    line.answer()
    line.sent_at.clear()
    call = line.call
    line.run(31.9)
    assert line.sent_at == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert line.requests == []
    line.run(32)
    assert [request.method for request in line.requests] == ["BYE"]
    assert line.ended == [CallEnded(call, False, EndReason.NO_ACK)]
    line.run(100)
    assert line.agent.held == 0


def test_an_ack_with_the_branch_of_the_invite_counts_too(line: Line) -> None:
    line.invite()
    line.answer()
    line.ack(branch="z9hG4bKinvite")
    line.ack()
    assert kinds(line) == ["IncomingCall", "CallConfirmed"]


def test_cancel(line: Line) -> None:
    line.invite()
    call = line.call
    line.send("CANCEL", branch="z9hG4bKinvite", extra='Reason: SIP;cause=200;text="Call completed elsewhere"')
    assert line.statuses == [100, 200, 487]
    assert line.messages[1].cseq.method == "CANCEL"
    assert line.ended == [CallEnded(call, True, EndReason.CANCELLED, 'SIP;cause=200;text="Call completed elsewhere"')]
    assert line.agent.answer(call, b"", line.now) == []
    line.ack(branch="z9hG4bKinvite")
    line.run(100)
    assert line.statuses == [100, 200, 487]
    assert line.agent.held == 0


def test_a_cancel_that_crosses_our_200_changes_nothing(line: Line) -> None:
    line.invite()
    line.answer()
    line.send("CANCEL", branch="z9hG4bKinvite")
    assert line.statuses == [100, 200, 200]
    line.ack(cseq=1)
    assert kinds(line) == ["IncomingCall", "CallConfirmed"]


def test_a_cancel_for_nothing(line: Line) -> None:
    line.send("CANCEL")
    assert line.statuses == [481]


def test_reject(line: Line) -> None:
    line.invite()
    call = line.call
    line.keep(line.agent.reject(call, 503, line.now, headers=[("Retry-After", "5")]))
    assert line.messages[-1].headers.get("Retry-After") == "5"
    assert line.ended == [CallEnded(call, False, EndReason.REJECTED)]
    line.run(1)
    assert line.statuses == [100, 503, 503]
    line.ack(branch="z9hG4bKinvite")
    line.run(100)
    assert line.statuses == [100, 503, 503]
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


def test_delayed_offer(line: Line, sdp_answer: bytes) -> None:
    line.invite(body=b"")
    assert line.events == [IncomingCall(line.call, None)]
    line.answer()
    line.ack(body=sdp_answer)
    assert line.events[1:] == [CallConfirmed(line.call, sdp_answer)]


def test_sdp_beside_isup(line: Line, sdp_offer: bytes) -> None:
    isup = b"\r\n--b\r\nContent-Type: application/isup\r\n\r\n\1\r\n--b--\r\n"
    body = b"--b\r\nContent-Type: application/sdp\r\n\r\n" + sdp_offer + isup
    line.receive(line.request("INVITE", body=body, content_type='multipart/mixed; boundary="b"'))
    (event,) = line.events
    assert isinstance(event, IncomingCall)
    assert event.sdp_offer is not None
    assert event.sdp_offer.strip() == sdp_offer.strip()


def test_a_body_that_is_no_sdp(line: Line) -> None:
    line.receive(line.request("INVITE", body=b"hello", content_type="text/plain"))
    assert line.statuses == [415]
    assert line.messages[0].headers.get("Accept") == "application/sdp"
    assert line.events == []


# re-INVITE


def test_reinvite(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.establish()
    call = line.established
    line.send("INVITE", body=sdp_offer)
    assert line.statuses == [100]
    assert line.events == [Reoffered(call, sdp_offer)]
    line.keep(line.agent.answer_reinvite(call, sdp_answer, line.now))
    assert line.statuses == [100, 200]
    line.ack()
    assert line.events[1:] == [ReofferConfirmed(call, None)]
    line.run(100)
    assert line.statuses == [100, 200]
    assert call.state is CallState.CONFIRMED
    assert line.agent.held == 1


def test_a_reinvite_right_behind_the_invite_overtakes_its_ack(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.invite()
    line.answer()
    line.to_tag = line.messages[-1].to.tag or ""
    line.send("INVITE", body=sdp_offer)
    line.keep(line.agent.answer_reinvite(line.call, sdp_answer, line.now))
    line.ack(cseq=2)
    line.ack(cseq=1)
    assert kinds(line) == ["IncomingCall", "Reoffered", "ReofferConfirmed", "CallConfirmed"]


def test_a_reinvite_changes_where_requests_go(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.establish()
    data = line.request("INVITE", body=sdp_offer).replace(b"<sip:ada@198.51.100.7:5062>", b"<sip:ada@198.51.100.9>")
    line.receive(data)
    line.keep(line.agent.answer_reinvite(line.established, sdp_answer, line.now))
    line.ack()
    line.keep(line.agent.bye(line.established, line.now))
    assert line.sent[-1].destination == ("198.51.100.9", 5060)


def test_a_reinvite_may_be_refused_and_the_call_goes_on(line: Line, sdp_offer: bytes) -> None:
    line.establish()
    line.send("INVITE", body=sdp_offer, branch="z9hG4bKre")
    line.keep(line.agent.reject_reinvite(line.established, 488, line.now, [("Warning", '305 tandem "none"')]))
    line.ack(branch="z9hG4bKre")
    line.run(100)
    assert line.statuses == [100, 488]
    assert line.ended == []


def test_a_reinvite_may_be_cancelled(line: Line, sdp_offer: bytes) -> None:
    line.establish()
    line.send("INVITE", body=sdp_offer, branch="z9hG4bKre")
    line.send("CANCEL", branch="z9hG4bKre")
    assert line.statuses == [100, 200, 487]
    assert line.agent.answer_reinvite(line.established, b"", line.now) == []
    assert line.ended == []


def test_reinvites_that_overlap(line: Line, sdp_offer: bytes) -> None:
    line.establish()
    line.send("INVITE", body=sdp_offer)
    line.send("INVITE", body=sdp_offer)
    assert line.statuses == [100, 500]
    assert 0 <= int(line.messages[-1].headers.get("Retry-After") or "-1") <= 10


def test_a_reinvite_while_our_offer_is_open(line: Line, sdp_offer: bytes) -> None:
    line.invite(body=b"")
    line.answer()
    line.to_tag = line.messages[-1].to.tag or ""
    line.send("INVITE", body=sdp_offer)
    assert line.statuses == [100, 200, 491]


def test_a_reinvite_without_ack_ends_the_call(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    line.establish()
    line.send("INVITE", body=sdp_offer)
    line.keep(line.agent.answer_reinvite(line.established, sdp_answer, line.now))
    line.run(100)
    assert [event.reason for event in line.ended] == [EndReason.NO_ACK]
    assert line.agent.held == 0


def test_bye_ends_an_open_reinvite(line: Line, sdp_offer: bytes) -> None:
    line.establish()
    line.send("INVITE", body=sdp_offer)
    line.send("BYE")
    assert line.statuses == [100, 200, 487]
    line.run(100)
    assert line.agent.held == 0


# what is refused


@pytest.mark.parametrize(
    ("method", "options", "status", "header"),
    [
        ("SUBSCRIBE", {}, 405, ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY")),
        ("FOO", {}, 405, ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY")),
        ("INVITE", {"extra": "Require: 100rel, timer"}, 420, ("Unsupported", "100rel, timer")),
        ("INVITE", {"uri": "http://example.com"}, 416, None),
        ("INVITE", {"uri": "sip:@"}, 400, None),
        ("INVITE", {"to_tag": "gone"}, 481, None),
        ("BYE", {"to_tag": "gone"}, 481, None),
        ("BYE", {}, 481, None),
        ("NOTIFY", {}, 481, None),
        ("OPTIONS", {}, 200, ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY")),
        ("OPTIONS", {}, 200, ("Accept", "application/sdp")),
        ("OPTIONS", {}, 200, ("Supported", "")),
    ],
)
def test_outside_a_call(
    line: Line, method: str, options: dict[str, str], status: int, header: tuple[str, str] | None
) -> None:
    line.send(method, **options)
    assert line.statuses == [status]
    assert line.events == []
    if header is not None:
        assert line.messages[0].headers.get(header[0]) == header[1]
    assert "Server" not in line.messages[0].headers
    assert line.messages[0].to.tag


def test_max_forwards_used_up(line: Line) -> None:
    data = line.request("INVITE").replace(b"Max-Forwards: 70", b"Max-Forwards: 0")
    line.receive(data)
    assert line.statuses == [483]
    line.clear()
    line.cseq = 5
    line.establish()
    line.receive(line.request("BYE").replace(b"Max-Forwards: 70", b"Max-Forwards: 0"))
    assert line.statuses == [200]


def test_a_merged_request(line: Line, sdp_offer: bytes) -> None:
    line.invite()
    line.receive(line.request("INVITE", cseq=1, branch="z9hG4bKother", body=sdp_offer))
    assert line.statuses == [100, 482]
    assert kinds(line) == ["IncomingCall"]


def test_an_ack_for_nothing_is_dropped(line: Line) -> None:
    assert line.send("ACK", to_tag="gone") == []


def test_an_old_cseq_in_the_dialog(line: Line) -> None:
    line.establish()
    line.send("OPTIONS", cseq=0)
    line.send("OPTIONS", cseq=1)
    assert line.statuses == [500, 500]
    line.send("OPTIONS")
    assert line.statuses == [500, 500, 200]


@pytest.mark.parametrize(
    ("old", "new", "statuses"),
    [
        (b"CSeq: 1 INVITE", b"CSeq: 1 BYE", [400]),
        (b"CSeq: 1 INVITE", b"CSeq: x", [400]),
        (b"From:", b"X-From:", []),
        (b"Via:", b"X-Via:", []),
        (b"To: <sip:echo@192.0.2.1>", b'To: "echo <sip:echo@192.0.2.1>', [400]),
        (b"Contact:", b"X-Contact:", [400]),
        (b"Max-Forwards: 70", b"Max-Forwards: many", [400]),
        (b"Max-Forwards: 70", b"Max-Forwards 70", [400]),
        (b"SIP/2.0\r\nVia", b"SIP/7.0\r\nVia", [505]),
        (b"INVITE sip:echo@192.0.2.1", b"INVITE  sip:echo@192.0.2.1", [400]),
        (b"INVITE sip:echo@192.0.2.1 SIP/2.0", b"GET / HTTP/1.1", []),
        (b"Content-Length: 0", b"Content-Length: 12", [400]),
    ],
)
def test_malformed_requests(line: Line, old: bytes, new: bytes, statuses: list[int]) -> None:
    data = line.request("INVITE", cseq=1)
    assert old in data
    line.receive(data.replace(old, new, 1))
    assert line.statuses == statuses
    assert line.events == []
    assert line.agent.held == 0


# where responses go


@pytest.mark.parametrize(
    ("via", "destination", "marked"),
    [
        ("198.51.100.7:5070;branch=z9hG4bKv;rport", ("203.0.113.5", 9999), ";rport=9999;received=203.0.113.5"),
        ("198.51.100.7:5070;branch=z9hG4bKv", ("203.0.113.5", 5070), ";received=203.0.113.5"),
        ("203.0.113.5;branch=z9hG4bKv", ("203.0.113.5", 5060), ""),
        ("pbx.example.com;branch=z9hG4bKv", ("203.0.113.5", 5060), ";received=203.0.113.5"),
    ],
)
def test_responses_go_back_where_they_came_from(
    line: Line, via: str, destination: tuple[str, int], marked: str
) -> None:
    data = line.request("OPTIONS", branch="z9hG4bKv")
    data = data.replace(b"198.51.100.7:5060;branch=z9hG4bKv;rport", via.encode())
    line.receive(data, ("203.0.113.5", 9999))
    assert line.sent[0].destination == destination
    assert (line.messages[0].headers.get("Via") or "").endswith(via.removesuffix(";rport") + marked)


def test_every_via_and_record_route_is_copied(line: Line) -> None:
    line.invite(extra="Record-Route: <sip:192.0.2.7;lr>\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa, SIP/2.0/UDP b")
    line.answer()
    assert len(line.messages[-1].vias) == 3
    assert line.messages[-1].vias[1:] == ["SIP/2.0/UDP a;branch=z9hG4bKa", "SIP/2.0/UDP b"]
    assert line.messages[-1].record_route == ["<sip:192.0.2.7;lr>"]
    line.ack()
    line.keep(line.agent.bye(line.call, line.now))
    assert line.sent[-1].destination == ("192.0.2.7", 5060)
    assert line.requests[0].headers.get("Route") == "<sip:192.0.2.7;lr>"


def test_an_rfc_2543_caller_without_branch(line: Line) -> None:
    data = line.request("INVITE", branch="1")
    line.receive(data)
    line.receive(data)
    assert line.statuses == [100, 100]
    line.receive(line.request("CANCEL", branch="1"))
    assert line.statuses == [100, 100, 200, 487]


def test_a_contact_that_is_a_name_is_reached_where_the_invite_came_from(line: Line, sdp_offer: bytes) -> None:
    data = line.request("INVITE", body=sdp_offer).replace(b"<sip:ada@198.51.100.7:5062>", b"sip:ada@pbx.example.com")
    line.receive(data, ("198.51.100.7", 5099))
    line.answer()
    line.ack()
    line.keep(line.agent.bye(line.call, line.now))
    assert line.requests[0].uri == "sip:ada@pbx.example.com"
    assert line.sent[-1].destination == ("198.51.100.7", 5099)


# REFER


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
    assert kinds(line) == ["ReferAnswered", "CallEnded"]
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
    assert kinds(line) == ["ReferAnswered", "CallEnded"]


def test_the_202_after_the_end_says_nothing(line: Line) -> None:
    line.establish()
    line.keep(line.agent.refer(line.established, "sip:100@pbx.example", line.now))
    line.send("BYE")
    line.respond(line.requests[0], 202)
    assert kinds(line) == ["CallEnded"]
    line.run(100)
    assert line.agent.held == 0


def test_notify_of_another_package(line: Line) -> None:
    line.establish()
    notify(line, b"x", event="presence")
    assert line.statuses == [489]
    assert line.messages[0].headers.get("Allow-Events") == "refer"


# commands that do not fit


def test_commands_out_of_place(line: Line) -> None:
    line.invite()
    with pytest.raises(CallStateError):
        line.agent.refer(line.call, "sip:a@b", line.now)
    with pytest.raises(ValueError, match="300 to 699"):
        line.agent.reject(line.call, 200, line.now)
    line.answer()
    for command in (
        lambda: line.agent.answer(line.call, b"", line.now),
        lambda: line.agent.reject(line.call, 486, line.now),
        lambda: line.agent.ringing(line.call, line.now),
    ):
        with pytest.raises(CallStateError):
            command()
    line.ack()
    with pytest.raises(ValueError, match="URI"):
        line.agent.refer(line.call, "sip:a@b>\r\nX: y", line.now)
    line.keep(line.agent.refer(line.call, "sip:a@b", line.now))
    with pytest.raises(CallStateError):
        line.agent.refer(line.call, "sip:a@b", line.now)


def test_ten_thousand_calls_leave_nothing(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    template = line.request("INVITE", body=sdp_offer, branch="z9hG4bK-0-i", cseq=1)
    agent, ended, most = line.agent, 0, 0
    for number in range(10_000):
        now = number * 0.1
        data = template.replace(b"call-1@", b"call-%d@" % number).replace(b"-0-", b"-%d-" % number)
        incoming = next(o for o in agent.receive(data, ("198.51.100.7", 5060), now) if isinstance(o, IncomingCall))
        call = incoming.call
        agent.answer(call, sdp_answer, now)
        tail = b"theirs\r\nTo: <sip:echo@192.0.2.1>;tag=" + call.dialog.local_tag.encode()
        ack = data.partition(b"\r\n\r\n")[0].replace(b"theirs\r\nTo: <sip:echo@192.0.2.1>", tail)
        ack = ack.replace(b"Content-Length: %d" % len(sdp_offer), b"Content-Length: 0") + b"\r\n\r\n"
        agent.receive(ack.replace(b"INVITE", b"ACK").replace(b"-i", b"-a"), ("198.51.100.7", 5060), now)
        bye = ack.replace(b"1 INVITE", b"2 BYE").replace(b"INVITE", b"BYE").replace(b"-i", b"-b")
        ended += sum(isinstance(o, CallEnded) for o in agent.receive(bye, ("198.51.100.7", 5060), now))
        agent.expire(now)
        most = max(most, agent.held)
    assert ended == 10_000
    assert most < 3_000  # what 32 s of calls hold, and no more
    agent.expire(10_000.0)
    assert (agent.held, agent.next_deadline()) == (0, None)


def test_stray_responses_are_dropped(line: Line) -> None:
    line.establish()
    line.keep(line.agent.bye(line.established, line.now))
    stray = Response.to_request(line.requests[0], 200)
    stray.headers.set_first("Via", ["SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKelse"])
    assert line.receive(stray.encode()) == []
    assert line.receive(b"SIP/2.0 200 OK\r\n\r\n") == []


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"\0", b"\0\1\2\3", b"REGISTER", b"SIP/2.0 99 x\r\n\r\n", b"\xff" * 60]
)
def test_noise_is_dropped(line: Line, data: bytes) -> None:
    assert line.receive(data) == []
