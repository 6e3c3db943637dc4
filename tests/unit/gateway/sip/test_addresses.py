"""Where responses and requests go (RFC 3261 §18.2.2, RFC 3581, §12.2.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.events import LookUp

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line


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
    assert line.sent[0].flow.address == destination
    assert (line.messages[0].headers.get("Via") or "").endswith(via.removesuffix(";rport") + marked)


def test_every_via_and_record_route_is_copied(line: Line) -> None:
    line.invite(extra="Record-Route: <sip:192.0.2.7;lr>\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKa, SIP/2.0/UDP b")
    line.answer()
    assert len(line.messages[-1].vias) == 3
    assert line.messages[-1].vias[1:] == ["SIP/2.0/UDP a;branch=z9hG4bKa", "SIP/2.0/UDP b"]
    assert line.messages[-1].record_route == ["<sip:192.0.2.7;lr>"]
    line.ack()
    line.keep(line.agent.bye(line.call, line.now))
    assert line.sent[-1].flow.address == ("192.0.2.7", 5060)
    assert line.requests[0].headers.get("Route") == "<sip:192.0.2.7;lr>"


def test_an_rfc_2543_caller_without_branch(line: Line) -> None:
    data = line.request("INVITE", branch="1")
    line.receive(data)
    line.receive(data)
    assert line.statuses == [100, 100]
    line.receive(line.request("CANCEL", branch="1"))
    assert line.statuses == [100, 100, 200, 487]


def test_a_contact_that_is_a_name_leading_nowhere(line: Line, sdp_offer: bytes) -> None:
    data = line.request("INVITE", body=sdp_offer).replace(b"<sip:ada@198.51.100.7:5062>", b"sip:ada@pbx.example.com")
    line.receive(data, ("198.51.100.7", 5099))
    line.answer()
    line.ack()
    line.keep(line.agent.bye(line.call, line.now))
    lookup = next(event for event in line.events if isinstance(event, LookUp))
    assert (lookup.uri, line.requests) == ("sip:ada@pbx.example.com", [])
    line.keep(line.agent.looked_up(lookup.token, [], line.now))
    assert line.requests[0].uri == "sip:ada@pbx.example.com"
    assert line.sent[-1].flow.address == ("198.51.100.7", 5099)
