"""A call from the INVITE to the ACK and what comes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.gateway.sip.events import CallConfirmed, CallEnded, EndReason, IncomingCall

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line


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


def test_an_invite_again_is_answered_from_the_transaction(line: Line) -> None:
    line.invite()
    line.receive(line.invite_request)
    line.keep(line.agent.ringing(line.call, line.now))
    line.receive(line.invite_request)
    assert line.statuses == [100, 100, 180, 180]
    line.answer()
    line.receive(line.invite_request)  # RFC 6026 §7.1: absorbed, the 2xx has its own clock
    assert line.statuses[4:] == [200]
    assert line.kinds == ["IncomingCall"]


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
    assert line.kinds == ["IncomingCall", "CallConfirmed"]


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


def test_names_that_are_no_utf8_can_go_into_any_message(line: Line) -> None:
    """Latin-1 in a display name: old PBXs do that."""
    invite = line.request("INVITE", extra="P-Asserted-Identity: MARK <sip:+4930@x>")
    line.receive(invite.replace(b"MARK", b'"M\xfcller"').replace(b'"Ada Lovelace"', b'"M\xfcller"'))
    assert line.call.caller_name == line.call.asserted_name == "M\ufffdller"
    assert line.call.asserted_number == "+4930"


def test_multiparts_nested_without_end_are_refused(line: Line) -> None:
    parts = "".join(
        f"--b{depth}\r\nContent-Type: multipart/mixed;boundary=b{depth + 1}\r\n\r\n" for depth in range(1000)
    )
    line.receive(line.request("INVITE", body=parts.encode(), content_type="multipart/mixed;boundary=b0"))
    assert line.statuses == [415]
    assert line.events == []
