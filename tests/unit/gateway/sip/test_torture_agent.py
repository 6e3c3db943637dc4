"""RFC 4475 and RFC 5118 against the whole user agent: the table is in test_torture.py."""

from __future__ import annotations

from itertools import count

import pytest

from services.gateway.sip.events import IncomingCall, Output
from services.gateway.sip.header import Headers
from services.gateway.sip.transport import Flow, Send, Transport
from services.gateway.sip.useragent import UserAgent
from tests.fuzz.agent import LOCALS
from tests.fuzz.torture import load
from tests.unit.gateway.sip.test_torture import CALL, DROPPED, REACTIONS

PEER = Flow(Transport.UDP, ("198.51.100.7", 5060))
ANSWERED = [name for name, (_, _, _, answer) in REACTIONS.items() if answer not in (CALL, DROPPED)]


def agent() -> UserAgent:
    ids = count(1)
    return UserAgent(LOCALS, ids=lambda: f"id{next(ids)}")


def fields(data: bytes) -> Headers:
    """The header fields of a message, right or wrong: an answer to a broken request has some of its faults."""
    headers = Headers()
    head = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\n ", " ").partition("\n\n")[0]
    headers.read(head.split("\n")[1:])
    return headers


def finals(outputs: list[Output]) -> list[tuple[int, Headers]]:
    sent = [output.data for output in outputs if isinstance(output, Send)]
    assert all(data.startswith(b"SIP/2.0 ") for data in sent)
    return [(int(data[8:11]), fields(data)) for data in sent if data[8:9] != b"1"]


@pytest.mark.parametrize("name", REACTIONS)
def test_what_the_user_agent_answers(name: str) -> None:
    user_agent = agent()
    outputs = user_agent.receive(load(name), PEER, 0.0)
    calls = [output.call for output in outputs if isinstance(output, IncomingCall)]
    statuses = [status for status, _ in finals(outputs)]
    wanted = REACTIONS[name][3]
    assert (len(calls), statuses) == (int(wanted == CALL), [wanted] if name in ANSWERED else [])
    for call in calls:
        user_agent.reject(call, 486, 0.0)
    now = 0.0
    for _ in range(100):
        deadline = user_agent.next_deadline()
        if deadline is None:
            break
        now = max(now, deadline)
        user_agent.expire(now)
    assert user_agent.held == 0


@pytest.mark.parametrize("name", ["intmeth", "esc02", "escnull", "regaut01", "unksm2", "dblreq"])
def test_what_is_not_served_is_answered_with_what_is(name: str) -> None:
    ((_, headers),) = finals(agent().receive(load(name), PEER, 0.0))
    assert {"invite", "ack", "bye", "cancel", "options"} <= set(headers.tokens("Allow"))


def test_what_is_required_in_vain_is_named() -> None:
    ((_, headers),) = finals(agent().receive(load("bext01"), PEER, 0.0))
    assert headers.tokens("Unsupported") == ["nothingsupportsthis", "nothingsupportsthiseither"]


@pytest.mark.parametrize("name", ANSWERED)
def test_an_answer_carries_what_it_must(name: str) -> None:
    """§8.2.6: the Vias in their order, From, Call-ID and CSeq as they came; To with a tag."""
    request = fields(load(name))
    ((_, headers),) = finals(agent().receive(load(name), PEER, 0.0))
    assert packed(headers.values("Via")[1:]) == packed(request.values("Via")[1:])
    for field in ("From", "Call-ID", "CSeq"):
        assert packed(headers.all(field)) == packed(request.all(field)[:1])
    assert packed(headers.all("To")).startswith(packed(request.all("To")[:1]))
    assert "tag=" in packed(headers.all("To")) or name in ("insuf", "quotbal")


def packed(values: list[str]) -> str:
    return "".join(",".join(values).split())
