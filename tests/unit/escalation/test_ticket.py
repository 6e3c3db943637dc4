"""The ticket tells the person what the caller told us, and never how Tandem delivers it."""

from datetime import UTC, datetime, timedelta

import pytest

from services.escalation.escalator import mistake_in
from services.escalation.ticket import Ticket, new_id
from services.escalation.transfer import Outcome, Result
from tandem.v1.call_pb2 import CallFacts, JournalTurn
from tandem.v1.escalation_pb2 import EscalateCancel, EscalateRequest, EscalateStart

NOW = datetime(2026, 11, 4, 15, 30, 12, tzinfo=UTC)


def start(**changes: object) -> EscalateStart:
    fields: dict[str, object] = {
        "facts": CallFacts(
            call_id="c1",
            caller_number="+4930123456",
            called_number="100",
            agent="front_desk",
            answered_unix_us=1_700_000_000_000_000,
            control_address="127.0.0.1:7301",
            sip_call_id="abc@trunk",
        ),
        "reason": "caller asked",
        "wish": "speak about an invoice",
        "destination": "sip:desk@pbx.example",
        "turns": [JournalTurn(index=1, caller_text="a person please", agent_text="Of course", interrupted=True)],
        "slots": {"name": "Maria"},
        "ticket_url": "http://127.0.0.1:9/tickets",
    }
    return EscalateStart(**(fields | changes))  # type: ignore[arg-type]


def test_the_document() -> None:
    ticket = Ticket.opened(start(), NOW, "f" * 32)
    assert ticket.document() == {
        "id": ticket.id,
        "opened_at": "2026-11-04T15:30:12Z",
        "reason": "caller asked",
        "wish": "speak about an invoice",
        "call": {
            "call_id": "c1",
            "caller_number": "+4930123456",
            "caller_name": "",
            "called_number": "100",
            "agent": "front_desk",
            "answered_at": "2023-11-14T22:13:20Z",
            "sip_call_id": "abc@trunk",
        },
        "conversation": [{"index": 1, "caller": "a person please", "agent": "Of course", "interrupted": True}],
        "slots": {"name": "Maria"},
        "transfer": {
            "destination": "sip:desk@pbx.example",
            "result": "pending",
            "reason": "",
            "sip_status": 0,
            "presumed": False,
            "ended_at": None,
        },
        "trace_id": "f" * 32,
    }
    assert Ticket.model_validate_json(ticket.model_dump_json()) == ticket


def test_ids_sort_by_time_and_differ() -> None:
    ids = [new_id(NOW + timedelta(seconds=second)) for second in range(20)]
    assert ids == sorted(ids)
    assert new_id(NOW) != new_id(NOW)
    assert ids[0].startswith("20261104T153012-")


def test_the_outcome_goes_in() -> None:
    ticket = Ticket.opened(start(), NOW).with_outcome(Outcome(Result.RETURNED, "busy", 486), NOW)
    assert (ticket.transfer.result, ticket.transfer.reason, ticket.transfer.sip_status) == ("returned", "busy", 486)
    assert ticket.transfer.destination == "sip:desk@pbx.example"


def test_delivery_is_remembered() -> None:
    ticket = Ticket.opened(start(), NOW)
    assert not ticket.delivered
    failed = ticket.after_attempt(2, "503 Service Unavailable")
    assert failed.delivery is not None
    assert (failed.delivered, failed.delivery.attempts, failed.delivery.error) == (False, 2, "503 Service Unavailable")
    done = failed.after_attempt(1, "")
    assert done.delivered
    assert done.after_attempt(1, "late failure").delivered


def test_without_a_url_there_is_nothing_to_deliver() -> None:
    ticket = Ticket.opened(start(ticket_url=""), NOW)
    assert ticket.delivered
    assert ticket.delivery is None


@pytest.mark.parametrize(
    ("request_", "mistake"),
    [
        (EscalateRequest(start=start()), ""),
        (EscalateRequest(start=start(destination="tel:+4930123")), ""),
        (EscalateRequest(start=start(destination="sips:desk@pbx;transport=tcp")), ""),
        (EscalateRequest(), "the first message of Escalate is an EscalateStart"),
        (EscalateRequest(cancel=EscalateCancel()), "the first message of Escalate is an EscalateStart"),
        (EscalateRequest(start=start(facts=CallFacts(call_id="c"))), "EscalateStart.facts.control_address is empty"),
        (EscalateRequest(start=start(facts=CallFacts())), "EscalateStart.facts.call_id is empty"),
        (
            EscalateRequest(start=start(destination="sip:a@b\r\nX: y")),
            "EscalateStart.destination is not a sip:, sips: or tel: URI: 'sip:a@b\\r\\nX: y'",
        ),
        (
            EscalateRequest(start=start(destination="+4930123")),
            "EscalateStart.destination is not a sip:, sips: or tel: URI: '+4930123'",
        ),
        (
            EscalateRequest(start=start(ticket_url="crm/tickets")),
            "EscalateStart.ticket_url is not an http:// or https:// URL: 'crm/tickets'",
        ),
    ],
)
def test_what_a_client_is_told(request_: EscalateRequest, mistake: str) -> None:
    assert mistake_in(request_) == mistake
