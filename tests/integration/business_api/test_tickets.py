"""Tickets over real HTTP, as the escalation service sends them."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from nats.js.errors import KeyNotFoundError

from services.escalation.filing import TicketFiling
from services.escalation.ticket import Ticket
from services.escalation.transfer import Outcome, Result
from tandem.v1.call_pb2 import CallFacts
from tandem.v1.escalation_pb2 import EscalateStart

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def tickets(api: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/tickets").json()["tickets"]
    return found


def ledger(api: httpx.Client) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = api.get("/ledger").json()["ledger"]
    return rows


@pytest.fixture
def ticket(api: httpx.Client) -> Ticket:
    start = EscalateStart(
        facts=CallFacts(call_id="c1", caller_number="+4930123", agent="front_desk"),
        reason="The caller asked for a person.",
        destination="sip:reception@127.0.0.1:5080",
        ticket_url=str(api.base_url.join("/tickets")),
    )
    return Ticket.opened(start, NOW)


def post(api: httpx.Client, ticket: Ticket) -> httpx.Response:
    headers = {"Idempotency-Key": ticket.id, "traceparent": TRACE}
    return api.post("/tickets", json=ticket.document(), headers=headers)


def put(api: httpx.Client, ticket: Ticket) -> httpx.Response:
    return api.put(f"/tickets/{ticket.id}", json=ticket.document())


def test_a_ticket_is_changed_under_its_own_id(api: httpx.Client, ticket: Ticket) -> None:
    filed = post(api, ticket)
    assert (filed.status_code, filed.json()) == (201, {"id": ticket.id})
    ended = ticket.with_outcome(Outcome(Result.RETURNED, "no answer", 408), NOW)
    changed = put(api, ended)
    assert (changed.status_code, changed.json()) == (200, {"id": ticket.id})
    (kept,) = tickets(api)
    assert kept == {**ended.document(), "call_id": "", "created": "2026-11-23T09:00:00"}
    assert [row["action"] for row in ledger(api)] == ["ticket", "ticket"]
    assert (ledger(api)[0]["key"], ledger(api)[0]["traceparent"]) == (ticket.id, TRACE)


def test_the_same_again_changes_nothing(api: httpx.Client, ticket: Ticket) -> None:
    answers = [post(api, ticket), post(api, ticket), put(api, ticket), put(api, ticket)]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200]
    assert len(tickets(api)) == len(ledger(api)) == 1


def test_a_put_of_a_ticket_that_never_came_files_it(api: httpx.Client, ticket: Ticket) -> None:
    assert put(api, ticket).status_code == 201
    assert [one["id"] for one in tickets(api)] == [ticket.id]


def test_a_post_again_that_knows_more_is_the_same_ticket(api: httpx.Client, ticket: Ticket) -> None:
    """The answer to the first was lost, and the round of re-delivery sends the ticket as it stands by then."""
    post(api, ticket)
    ended = ticket.with_outcome(Outcome(Result.TRANSFERRED, "answered", 200), NOW)
    assert post(api, ended).status_code == 200
    assert [one["transfer"]["result"] for one in tickets(api)] == ["transferred"]


def test_a_ticket_at_another_ones_address_is_refused(api: httpx.Client, ticket: Ticket) -> None:
    refused = api.put("/tickets/another", json=ticket.document())
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "other_id")
    assert tickets(api) == []


@dataclass
class Entry:
    value: bytes
    revision: int = 1


@dataclass
class Bucket:
    """What TicketFiling uses of a NATS KV bucket."""

    entries: dict[str, bytes] = field(default_factory=dict)

    async def create(self, key: str, value: bytes) -> None:
        self.entries[key] = value

    async def get(self, key: str) -> Entry:
        if key not in self.entries:
            raise KeyNotFoundError
        return Entry(self.entries[key])

    async def update(self, key: str, value: bytes, last: int) -> None:
        self.entries[key] = value


async def test_the_escalation_service_delivers_and_updates_here(api: httpx.Client, ticket: Ticket) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        filing = TicketFiling(Bucket(), http, timeout_s=5, attempts=1)  # type: ignore[arg-type]
        await filing.store(ticket)
        assert await filing.deliver(ticket, TRACE)
        outcome = Outcome(Result.TRANSFERRED, "answered", 200)
        await filing.update(ticket, lambda stored: stored.with_outcome(outcome, NOW), TRACE)
    found = await asyncio.to_thread(tickets, api)
    assert [(one["id"], one["transfer"]["result"]) for one in found] == [(ticket.id, "transferred")]
