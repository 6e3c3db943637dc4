"""Calls over TCP and TLS: nothing is sent twice but the 2xx to an INVITE, and nothing waits for the network to forget
(RFC 3261 §17: timers A, E, G never start, D, I, J and K are zero)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.transport import Flow, Transport

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line

PEER = ("198.51.100.7", 5060)
TCP = Flow(Transport.TCP, PEER, 3)


def tcp(data: bytes) -> bytes:
    return data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP")


def test_a_request_outside_of_calls_leaves_nothing(line: Line) -> None:
    line.receive(tcp(line.request("OPTIONS")), flow=TCP)
    assert [sent.flow for sent in line.sent] == [TCP]
    assert line.agent.held == 0


def test_a_refused_call_leaves_nothing_behind_its_ack(line: Line) -> None:
    line.receive(tcp(line.request("INVITE", branch="z9hG4bKi")), flow=TCP)
    line.keep(line.agent.reject(line.call, 486, line.now))
    line.run(10)
    assert line.statuses == [100, 486]
    line.to_tag = line.call.dialog.local_tag
    line.receive(tcp(line.request("ACK", cseq=1, branch="z9hG4bKi")), flow=TCP)
    line.run(32)
    assert line.agent.held == 0


def test_the_200_to_an_invite_is_repeated_all_the_same(line: Line, sdp_offer: bytes) -> None:
    """§13.3.1.4: the next hop may be UDP."""
    line.receive(tcp(line.request("INVITE", body=sdp_offer)), flow=TCP)
    line.answer()
    line.run(3.6)
    assert line.statuses == [100, 200, 200, 200, 200]
    assert {sent.flow for sent in line.sent} == {TCP}
    line.to_tag = line.call.dialog.local_tag
    line.receive(tcp(line.request("ACK", cseq=1)), flow=TCP)
    line.receive(tcp(line.request("BYE")), flow=TCP)
    line.run(33)
    assert line.statuses == [100, 200, 200, 200, 200, 200]
    assert line.agent.held == 0


def test_our_bye_is_sent_once(line: Line, sdp_offer: bytes) -> None:
    line.receive(tcp(line.request("INVITE", body=sdp_offer)), flow=TCP)
    line.answer()
    line.to_tag = line.call.dialog.local_tag
    line.receive(tcp(line.request("ACK", cseq=1)), flow=TCP)
    line.keep(line.agent.bye(line.call, line.now))
    line.run(31)
    assert line.methods == ["BYE"]
    line.receive(line.response_to(line.requests[0], 200), flow=TCP)
    line.run(33)
    assert line.agent.held == 0


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_our_invite_is_sent_once(line: Line, transport: str) -> None:
    line.dial(f"sip:bob@198.51.100.7;transport={transport}")
    line.run(31)
    assert len(line.sent) == 1
    assert line.sent[0].flow.transport == transport.upper()
    line.run(32)
    assert [event.status for event in line.ended] == [408]
    assert line.agent.held == 0


def test_our_refused_invite_leaves_nothing(line: Line) -> None:
    callee = line.dial("sip:bob@198.51.100.7;transport=tcp")
    callee.respond(486)
    assert line.methods == ["INVITE", "ACK"]
    assert line.sent[1].flow.transport is Transport.TCP
    line.run(32)
    assert line.agent.held == 0


def test_a_connection_that_is_refused(line: Line) -> None:
    line.dial("sip:bob@198.51.100.7;transport=tcp")
    line.keep(line.agent.unreachable(line.sent[0].flow, line.now))
    assert [event.status for event in line.ended] == [503]
    line.over()


def test_a_connection_that_closes_under_our_bye(line: Line, sdp_offer: bytes) -> None:
    line.receive(tcp(line.request("INVITE", body=sdp_offer)), flow=TCP)
    line.answer()
    line.to_tag = line.call.dialog.local_tag
    line.receive(tcp(line.request("ACK", cseq=1)), flow=TCP)
    line.keep(line.agent.bye(line.call, line.now))
    line.keep(line.agent.unreachable(line.sent[-1].flow, line.now))
    assert len(line.ended) == 1
    line.over()


def test_a_reliable_provisional_is_repeated_over_tcp_too(line: Line, sdp_offer: bytes) -> None:
    """RFC 3262 §3 makes no difference."""
    line.receive(tcp(line.request("INVITE", body=sdp_offer, extra="Supported: 100rel")), flow=TCP)
    line.keep(line.agent.ringing(line.call, line.now))
    line.run(0.6)
    assert line.statuses == [100, 180, 180]


def test_a_large_request_in_a_call_by_udp_goes_on_no_strangers_connection(line: Line, sdp_offer: bytes) -> None:
    """The number of a UDP flow is that of our socket; of a TCP flow it would be some connection."""
    udp = Flow(Transport.UDP, PEER, 3)
    line.receive(line.request("INVITE", body=sdp_offer).replace(b":5062>", b">"), flow=udp)
    line.answer()
    line.to_tag = line.call.dialog.local_tag
    line.receive(line.request("ACK", cseq=1), flow=udp)
    line.sent.clear()
    line.keep(line.agent.bye(line.call, line.now, "SIP;text=" + "x" * 1300))
    assert line.sent[0].flow == Flow(Transport.TCP, PEER)
    line.keep(line.agent.unreachable(line.sent[0].flow, line.now))
    assert line.sent[1].flow == udp
