"""Where requests inside a call go when the peer's addresses cannot be reached, or it sits on a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.transport import Flow, Transport

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line

SOURCE = ("203.0.113.5", 40001)


def answered(line: Line, data: bytes, flow: Flow) -> None:
    """The call that `data` begins, confirmed over `flow`."""
    line.receive(data, flow=flow)
    line.answer()
    line.to_tag = line.call.dialog.local_tag
    line.receive(line.request("ACK", cseq=line.cseq), flow=flow)
    line.established = line.call
    line.clear()


def natted(data: bytes) -> bytes:
    """Via and Contact are private."""
    return data.replace(b"UDP 198.51.100.7", b"UDP 10.0.0.7").replace(b"ada@198.51.100.7:5062", b"ada@10.0.0.7:5062")


def test_behind_nat_the_bye_goes_to_where_the_invite_came_from(line: Line, sdp_offer: bytes) -> None:
    answered(line, natted(line.request("INVITE", body=sdp_offer)), Flow(Transport.UDP, SOURCE))
    line.keep(line.agent.bye(line.established, line.now))
    assert line.sent[-1].flow.address == SOURCE
    assert line.requests[-1].uri == "sip:ada@10.0.0.7:5062"
    line.receive(line.response_to(line.requests[-1], 200), source=SOURCE)
    line.over()


def test_a_binding_that_moves(line: Line, sdp_offer: bytes) -> None:
    answered(line, natted(line.request("INVITE", body=sdp_offer)), Flow(Transport.UDP, SOURCE))
    line.receive(natted(line.request("OPTIONS")), source=("203.0.113.5", 50002))
    line.keep(line.agent.bye(line.established, line.now))
    assert line.sent[-1].flow.address == ("203.0.113.5", 50002)


@pytest.mark.parametrize("what", ["public Contact", "proxy"])
def test_what_is_no_nat(line: Line, sdp_offer: bytes, what: str) -> None:
    if what == "proxy":
        # Record-Route says how to reach it, whatever the Contact is.
        data = natted(line.request("INVITE", body=sdp_offer, extra="Record-Route: <sip:198.51.100.30;lr>"))
        wanted = ("198.51.100.30", 5060)
    else:
        # The carrier's media of signalling sits elsewhere than its Contact: the Via is true.
        data = line.request("INVITE", body=sdp_offer).replace(b"ada@198.51.100.7:5062", b"ada@198.51.100.9:5062")
        wanted = ("198.51.100.9", 5062)
    answered(line, data, Flow(Transport.UDP, ("198.51.100.7", 5060)))
    line.keep(line.agent.bye(line.established, line.now))
    assert line.sent[-1].flow.address == wanted


def test_a_private_contact_beside_a_public_via(line: Line, sdp_offer: bytes) -> None:
    data = line.request("INVITE", body=sdp_offer).replace(b"ada@198.51.100.7:5062", b"ada@192.168.1.7:5062")
    answered(line, data, Flow(Transport.UDP, ("198.51.100.7", 5060)))
    line.keep(line.agent.bye(line.established, line.now))
    assert line.sent[-1].flow.address == ("198.51.100.7", 5060)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:7301", "[::1]:7301", "[::ffff:127.0.0.1]", "169.254.169.254:80", "0.0.0.0"]
)
@pytest.mark.parametrize("where", ["Contact", "Record-Route"])
def test_nobody_has_us_talk_to_our_own_machine(line: Line, sdp_offer: bytes, address: str, where: str) -> None:
    if where == "Contact":
        data = line.request("INVITE", body=sdp_offer).replace(b"198.51.100.7:5062", f"{address};transport=tcp".encode())
    else:
        data = line.request("INVITE", body=sdp_offer, extra=f"Record-Route: <sip:{address};transport=tcp;lr>")
    answered(line, data, Flow(Transport.UDP, ("198.51.100.7", 5060)))
    line.keep(line.agent.bye(line.established, line.now))
    assert line.sent[-1].flow == Flow(Transport.UDP, ("198.51.100.7", 5060))


def over_tcp(data: bytes) -> bytes:
    return data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP")


@pytest.mark.parametrize("contact", [b"ada@198.51.100.7:5062", b"ada@10.0.0.7;transport=tcp", b"ada@there.example"])
def test_a_call_on_a_connection_ends_on_it(line: Line, sdp_offer: bytes, contact: bytes) -> None:
    flow = Flow(Transport.TCP, SOURCE, 7)
    data = line.request("INVITE", body=sdp_offer).replace(b"ada@198.51.100.7:5062", contact)
    answered(line, over_tcp(data), flow)
    line.keep(line.agent.bye(line.established, line.now))
    (sent,) = line.sent
    assert (sent.flow.transport, sent.flow.connection) == (Transport.TCP, 7)
    assert line.requests[-1].via.transport == "TCP"
    line.receive(line.response_to(line.requests[-1], 200), flow=flow)
    line.over()


def test_a_request_on_a_new_connection_moves_the_call(line: Line, sdp_offer: bytes) -> None:
    answered(line, over_tcp(line.request("INVITE", body=sdp_offer)), Flow(Transport.TCP, SOURCE, 7))
    line.receive(over_tcp(line.request("OPTIONS")), flow=Flow(Transport.TCP, ("203.0.113.5", 40009), 8))
    assert line.sent[-1].flow.connection == 8
    line.keep(line.agent.bye(line.established, line.now))
    assert line.sent[-1].flow.connection == 8


def test_a_proxy_on_a_connection(line: Line, sdp_offer: bytes) -> None:
    """The route's host is at the other end of the connection: back on it."""
    extra = "Record-Route: <sip:203.0.113.5;transport=tcp;lr>"
    answered(line, over_tcp(line.request("INVITE", body=sdp_offer, extra=extra)), Flow(Transport.TCP, SOURCE, 7))
    line.keep(line.agent.bye(line.established, line.now))
    assert line.sent[-1].flow == Flow(Transport.TCP, ("203.0.113.5", 5060), 7)


def test_a_route_to_somebody_else(line: Line, sdp_offer: bytes) -> None:
    extra = "Record-Route: <sip:203.0.113.99;transport=tcp;lr>"
    answered(line, over_tcp(line.request("INVITE", body=sdp_offer, extra=extra)), Flow(Transport.TCP, SOURCE, 7))
    line.keep(line.agent.bye(line.established, line.now))
    assert line.sent[-1].flow == Flow(Transport.TCP, ("203.0.113.99", 5060), 0)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize("contact", ["<sip:bob@198.51.100.7>", "<sip:bob@198.51.100.7:5062;transport={}>"])
def test_a_call_of_ours_stays_on_its_transport(line: Line, sdp_answer: bytes, transport: str, contact: str) -> None:
    """A Contact that says nothing of it would mean UDP: a call by TLS would end in the clear, or not at all."""
    callee = line.dial(f"sip:bob@198.51.100.7;transport={transport}")
    callee.respond(200, sdp=sdp_answer, contact=contact.format(transport))
    line.keep(line.agent.bye(callee.call, line.now))
    assert {sent.flow.transport for sent in line.sent} == {transport.upper()}
    assert len({sent.flow for sent in line.sent}) == (2 if "5062" in contact else 1)


def test_a_callee_that_moves_to_another_host(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial("sip:bob@198.51.100.7;transport=tcp")
    callee.respond(200, sdp=sdp_answer, contact="<sip:bob@198.51.100.9>")
    assert line.sent[-1].flow == Flow(Transport.UDP, ("198.51.100.9", 5060))


def test_a_callee_behind_nat(line: Line, sdp_answer: bytes) -> None:
    """Its Contact is private, ours to it was public, and no proxy is between: the ACK goes where the INVITE went."""
    callee = line.dial()
    callee.respond(180, contact="<sip:bob@10.0.0.7:5062>")
    callee.respond(200, sdp=sdp_answer, contact="<sip:bob@10.0.0.7:5062>")
    ack = line.requests[-1]
    assert (ack.method, ack.uri) == ("ACK", "sip:bob@10.0.0.7:5062")
    assert line.sent[-1].flow.address == ("198.51.100.7", 5060)
    line.keep(line.agent.bye(callee.call, line.now))
    assert line.sent[-1].flow.address == ("198.51.100.7", 5060)


def test_a_callee_on_a_private_network_that_is_ours_too(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial("sip:bob@10.0.0.1")
    callee.respond(200, sdp=sdp_answer, contact="<sip:bob@10.0.0.7:5062>")
    assert line.sent[-1].flow.address == ("10.0.0.7", 5062)


def test_a_callee_behind_a_proxy(line: Line, sdp_answer: bytes) -> None:
    callee = line.dial()
    callee.respond(200, sdp=sdp_answer, contact="<sip:bob@10.0.0.7:5062>", extra="Record-Route: <sip:198.51.100.30;lr>")
    assert line.sent[-1].flow.address == ("198.51.100.30", 5060)
