"""Requests of ours outside of calls, and what all our requests have in common: fail-over, credentials, no answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.events import LookUp, RequestAnswered
from services.gateway.sip.targets import Target
from services.gateway.sip.transport import Flow, Transport

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line

HEADERS = [
    ("From", "<sip:us@carrier.example>;tag=f"),
    ("To", "<sip:us@carrier.example>"),
    ("Call-ID", "r1"),
    ("CSeq", "7 OPTIONS"),
]
CHALLENGE = [("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')]


def udp(host: str) -> Target:
    return Target(Flow(Transport.UDP, (host, 5060)), "carrier.example")


def ask(line: Line, uri: str = "sip:198.51.100.7") -> int:
    token, outputs = line.agent.send_request("OPTIONS", uri, line.now, HEADERS, profile=line.profile)
    line.keep(outputs)
    return token


def answers(line: Line) -> list[tuple[int, int | None]]:
    """Token and status of each RequestAnswered."""
    return [(one.token, one.response.status if one.response else None) for one in line.of(RequestAnswered)]


@pytest.mark.parametrize("status", [200, 302, 404, 500, 603])
def test_answered(line: Line, status: int) -> None:
    token = ask(line)
    (request,) = line.requests
    assert (request.method, request.uri, request.cseq.number) == ("OPTIONS", "sip:198.51.100.7", 7)
    assert request.headers.get("Contact") == "<sip:192.0.2.1:5060>"
    assert request.headers.get("Max-Forwards") == "70"
    line.respond(request, 100)
    line.respond(request, status)
    line.respond(request, status)
    assert answers(line) == [(token, status)]
    line.over()


@pytest.mark.parametrize("missing", ["From", "To", "Call-ID", "CSeq"])
def test_what_it_must_have(line: Line, missing: str) -> None:
    headers = [(name, value) for name, value in HEADERS if name != missing]
    with pytest.raises(ValueError, match=missing):
        line.agent.send_request("OPTIONS", "sip:198.51.100.7", line.now, headers)
    assert line.agent.held == 0


def test_nobody_answers(line: Line) -> None:
    token = ask(line)
    line.run(31.9)
    assert line.sent_at == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]  # timer E
    assert answers(line) == []
    line.run(32)
    assert answers(line) == [(token, None)]
    line.over()


def test_challenged_once(line: Line) -> None:
    line.profile = line.trunk()
    token = ask(line)
    first = line.requests[0]
    line.receive(line.response_to(first, 401, headers=CHALLENGE))
    second = line.requests[1]
    assert (second.cseq.number, second.call_id, second.from_.tag) == (8, "r1", "f")
    assert second.via.branch != first.via.branch
    assert len(second.headers.all("Authorization")) == 1
    line.receive(line.response_to(second, 401, headers=CHALLENGE))
    assert answers(line) == [(token, 401)]
    assert len(line.requests) == 2
    line.over()


def test_a_stale_nonce_is_no_wrong_password(line: Line) -> None:
    line.profile = line.trunk()
    token = ask(line)
    for nonce in ("n1", "n2"):
        challenge = [("WWW-Authenticate", f'Digest realm="r", nonce="{nonce}", qop="auth", stale=true')]
        line.receive(line.response_to(line.requests[-1], 401, headers=challenge))
    line.respond(line.requests[-1], 200)
    assert [request.cseq.number for request in line.requests] == [7, 8, 9]
    assert len(line.requests[-1].headers.all("Authorization")) == 1
    assert answers(line) == [(token, 200)]


def test_a_server_that_challenges_for_ever(line: Line) -> None:
    line.profile = line.trunk()
    token = ask(line)
    for number in range(50):
        challenge = [("WWW-Authenticate", f'Digest realm="r", nonce="n{number}", qop="auth", stale=true')]
        line.receive(line.response_to(line.requests[-1], 401, headers=challenge))
    assert answers(line) == [(token, 401)]
    assert len(line.requests) < 10
    line.over()


@pytest.mark.parametrize("how", ["503", "unreachable", "timer F"])
def test_the_next_server(line: Line, how: str) -> None:
    token = ask(line, "sip:carrier.example")
    (look_up,) = line.of(LookUp)
    line.keep(line.agent.looked_up(look_up.token, [udp("198.51.100.8"), udp("198.51.100.9")], line.now))
    if how == "503":
        line.respond(line.requests[-1], 503)
    elif how == "unreachable":
        line.keep(line.agent.unreachable(line.sent[0].flow, line.now))
    else:
        line.run(32)
    assert line.sent[-1].flow.address[0] == "198.51.100.9"
    line.respond(line.requests[-1], 200)
    assert answers(line) == [(token, 200)]
    # The one that failed is tried last for a while.
    line.clear()
    ask(line, "sip:carrier.example")
    (look_up,) = line.of(LookUp)
    line.keep(line.agent.looked_up(look_up.token, [udp("198.51.100.8"), udp("198.51.100.9")], line.now))
    assert line.sent[0].flow.address[0] == "198.51.100.9"
    line.respond(line.requests[-1], 200)
    line.over()


def test_all_servers_fail(line: Line) -> None:
    token = ask(line, "sip:carrier.example")
    (look_up,) = line.of(LookUp)
    line.keep(line.agent.looked_up(look_up.token, [udp("198.51.100.8"), udp("198.51.100.9")], line.now))
    line.over()
    assert answers(line) == [(token, None)]


def test_no_server(line: Line) -> None:
    token = ask(line, "sip:carrier.example")
    assert line.agent.waiting
    line.keep(line.agent.looked_up(line.of(LookUp)[0].token, [], line.now))
    assert answers(line) == [(token, None)]
    assert not line.agent.waiting
    assert line.agent.looked_up(1, [udp("198.51.100.8")], line.now) == []
    line.over()


def test_what_is_unreachable_is_only_that_flow(line: Line) -> None:
    token = ask(line)
    assert line.agent.unreachable(Flow(Transport.UDP, ("198.51.100.99", 5060)), line.now) == []
    line.keep(line.agent.unreachable(Flow(Transport.UDP, ("198.51.100.7", 5060)), line.now))
    assert answers(line) == [(token, None)]
    line.over()


def test_a_server_we_have_no_tls_address_for_is_still_answered(line: Line) -> None:
    """Our Via then names another address of ours: nothing raises."""
    token = ask(line, "sips:198.51.100.7")
    assert line.sent[0].flow == Flow(Transport.TLS, ("198.51.100.7", 5061))
    line.keep(line.agent.unreachable(line.sent[0].flow, line.now))
    assert answers(line) == [(token, None)]
    line.over()
