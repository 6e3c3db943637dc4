"""The service over real gRPC, NATS and HTTP, with a gateway and a ticket receiver played by the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest

from services.common.bus import connect_control, open_bucket
from services.common.rpc import connect, free_port
from services.common.telemetry.metrics import REGISTRY
from services.escalation.app import serving
from services.escalation.filing import BUCKET, TicketFiling
from services.escalation.settings import EscalationSettings
from services.escalation.ticket import Ticket
from tandem.v1.call_pb2 import CallFacts, JournalTurn
from tandem.v1.escalation_pb2 import (
    EscalateCancel,
    EscalateRequest,
    EscalateStart,
    EscalationOutcome,
    EscalationResult,
)
from tandem.v1.escalation_pb2_grpc import EscalationStub

DESK = "sip:desk@pbx.example"
TRACEPARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


@pytest.fixture
async def stub(nats_url: str) -> AsyncIterator[Any]:
    settings = EscalationSettings(nats_url=nats_url, address="127.0.0.1:0", ticket_timeout_ms=500, drain_ms=500)
    async with serving(settings) as port, connect(f"127.0.0.1:{port}") as channel:
        yield EscalationStub(channel)


@pytest.fixture
async def stored(nats_url: str) -> AsyncIterator[Callable[[str], Awaitable[Ticket]]]:
    bus = await connect_control(nats_url, "test")
    bucket = await open_bucket(bus, BUCKET, 3600)

    async def read(ticket_id: str) -> Ticket:
        return Ticket.model_validate_json((await bucket.get(ticket_id)).value or b"")

    yield read
    await bus.close()


class Brain:
    """The client's side of one Escalate stream."""

    def __init__(self, stub: Any, gateway: Any, call_id: str = "c1", **fields: Any) -> None:
        facts = CallFacts(call_id=call_id, agent="front_desk", caller_number="+49301", control_address=gateway.address)
        start = EscalateStart(
            facts=facts,
            reason="caller asked",
            wish="an invoice",
            turns=[JournalTurn(index=1, caller_text="a person please", agent_text="Of course")],
            slots={"name": "Maria"},
            **({"destination": DESK, "ring_timeout_ms": 5000} | fields),
        )
        self._start = EscalateRequest(start=start)
        self.stream = stub.Escalate(metadata=[("traceparent", TRACEPARENT)])
        self.steps: list[tuple[str, int]] = []

    async def open(self) -> "Brain":
        await self.stream.write(self._start)
        return self

    async def until(self, step: str) -> None:
        while (response := await self.stream.read()).WhichOneof("response") == "progress":
            self.steps.append((response.progress.step, response.progress.sip_status))
            if response.progress.step == step:
                return
        raise AssertionError(f"outcome before {step!r}: {response}")

    async def outcome(self) -> EscalationOutcome:
        while (response := await self.stream.read()).WhichOneof("response") == "progress":
            self.steps.append((response.progress.step, response.progress.sip_status))
        assert await self.stream.read() is grpc.aio.EOF
        return response.outcome


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(100):
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to be")


async def test_a_person_takes_the_call(stub: Any, gateway: Any, receiver_: Any, stored: Any) -> None:
    brain = await Brain(stub, gateway, ticket_url=receiver_.url).open()
    await brain.until("REFER accepted")
    gateway.notify(100, "Trying")
    gateway.notify(180, "Ringing")
    await brain.until("ringing")
    gateway.notify(200, "OK", final=True)
    outcome = await brain.outcome()

    assert outcome.result == EscalationResult.ESCALATION_RESULT_TRANSFERRED
    assert brain.steps == [
        ("ticket filed", 0),
        ("REFER accepted", 202),
        ("trying", 100),
        ("ringing", 180),
        ("answered", 200),
    ]
    assert (gateway.refers, gateway.hang_ups) == ([DESK], ["transferred"])

    async def settled() -> bool:
        return len(receiver_.requests) == 2 and (await stored(outcome.ticket_id)).transfer.result == "transferred"

    await eventually(settled)
    (post, put) = receiver_.requests
    assert post[:2] == ("POST", "/tickets")
    assert post[2]["idempotency-key"] == outcome.ticket_id == post[3]["id"]
    assert post[3]["conversation"][0]["caller"] == "a person please"
    assert post[3]["transfer"]["result"] == "pending"
    assert put[:2] == ("PUT", f"/tickets/{outcome.ticket_id}")
    assert put[3]["transfer"]["result"] == "transferred"
    assert (await stored(outcome.ticket_id)).delivered


async def test_trace_context_goes_on_to_gateway_and_ticket(stub: Any, gateway: Any, receiver_: Any) -> None:
    brain = await Brain(stub, gateway, ticket_url=receiver_.url).open()
    await brain.until("REFER accepted")
    gateway.notify(200, final=True)
    await brain.outcome()

    async def posted() -> bool:
        return bool(receiver_.requests)

    await eventually(posted)
    assert REGISTRY.get_sample_value("tandem_escalation_transfers_total", {"result": "transferred"}) == 1
    assert REGISTRY.get_sample_value("tandem_escalation_tickets_total", {"result": "delivered"}) == 1
    assert REGISTRY.get_sample_value("tandem_escalation_transfers_running") == 0
    seen = [*gateway.traceparents.values(), receiver_.requests[0][2].get("traceparent", "")]
    assert set(gateway.traceparents) == {"Watch", "Refer", "HangUp"}
    assert {one.split("-")[1] for one in seen} == {"a" * 32}


@pytest.mark.parametrize(
    ("status", "phrase", "reason"), [(486, "Busy Here", "busy"), (480, "", "not available"), (603, "", "declined")]
)
async def test_the_call_comes_back(stub: Any, gateway: Any, stored: Any, status: int, phrase: str, reason: str) -> None:
    brain = await Brain(stub, gateway).open()
    await brain.until("REFER accepted")
    gateway.notify(status, phrase, final=True)
    outcome = await brain.outcome()
    assert (outcome.result, outcome.reason, outcome.sip_status) == (
        EscalationResult.ESCALATION_RESULT_RETURNED,
        reason,
        status,
    )
    assert gateway.hang_ups == []

    async def settled() -> bool:
        return bool((await stored(outcome.ticket_id)).transfer.reason == reason)

    await eventually(settled)


async def test_a_trunk_without_refer(stub: Any, gateway: Any) -> None:
    gateway.refer_answer.sip_status = 405
    gateway.refer_answer.reason_phrase = "Method Not Allowed"
    outcome = await (await Brain(stub, gateway).open()).outcome()
    assert (outcome.result, outcome.sip_status) == (EscalationResult.ESCALATION_RESULT_RETURNED, 405)
    assert outcome.reason == "the trunk refused REFER (405 Method Not Allowed)"


async def test_nobody_answers(stub: Any, gateway: Any) -> None:
    brain = await Brain(stub, gateway, ring_timeout_ms=200).open()
    outcome = await brain.outcome()
    assert (outcome.result, outcome.reason) == (EscalationResult.ESCALATION_RESULT_RETURNED, "no answer in 0.2 s")


async def test_the_caller_changes_their_mind(stub: Any, gateway: Any) -> None:
    brain = await Brain(stub, gateway).open()
    await brain.until("REFER accepted")
    await brain.stream.write(EscalateRequest(cancel=EscalateCancel()))
    outcome = await brain.outcome()
    assert outcome.result == EscalationResult.ESCALATION_RESULT_CANCELLED


async def test_the_caller_hangs_up(stub: Any, gateway: Any) -> None:
    brain = await Brain(stub, gateway).open()
    await brain.until("REFER accepted")
    gateway.notify(100)
    gateway.end()
    outcome = await brain.outcome()
    assert (outcome.result, outcome.reason) == (EscalationResult.ESCALATION_RESULT_CALL_GONE, "BYE")


async def test_a_call_the_gateway_does_not_know(stub: Any, gateway: Any) -> None:
    outcome = await (await Brain(stub, gateway, call_id="c2").open()).outcome()
    assert outcome.result == EscalationResult.ESCALATION_RESULT_CALL_GONE
    assert gateway.refers == []
    assert outcome.ticket_id  # somebody may call back


async def test_a_gateway_that_is_not_there(stub: Any, gateway: Any) -> None:
    gateway.address = f"127.0.0.1:{free_port()}"
    outcome = await (await Brain(stub, gateway).open()).outcome()
    assert outcome.result == EscalationResult.ESCALATION_RESULT_RETURNED
    assert "gateway does not answer" in outcome.reason


async def test_a_watch_that_breaks_is_opened_again(stub: Any, gateway: Any) -> None:
    brain = await Brain(stub, gateway).open()
    await brain.until("REFER accepted")
    gateway.break_watch()

    async def again() -> bool:
        return bool(gateway.watches == 2)

    await eventually(again)
    gateway.notify(200, final=True)
    assert (await brain.outcome()).result == EscalationResult.ESCALATION_RESULT_TRANSFERRED


async def test_another_brain_follows_the_transfer_under_way(stub: Any, gateway: Any) -> None:
    dead = await Brain(stub, gateway).open()
    await dead.until("REFER accepted")
    dead.stream.cancel()
    heir = await Brain(stub, gateway).open()
    await heir.until("REFER accepted")
    gateway.notify(200, final=True)
    assert (await heir.outcome()).result == EscalationResult.ESCALATION_RESULT_TRANSFERRED
    assert gateway.refers == [DESK]
    assert heir.steps[:2] == dead.steps


async def test_a_start_that_makes_no_sense_is_refused(stub: Any, gateway: Any) -> None:
    brain = await Brain(stub, gateway, destination="the desk").open()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await brain.stream.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "not a sip:, sips: or tel: URI: 'the desk'" in (caught.value.details() or "")


async def test_one_retry_then_the_ticket_waits(stub: Any, gateway: Any, receiver_: Any, stored: Any) -> None:
    receiver_.statuses = [503, 500]
    brain = await Brain(stub, gateway, ticket_url=receiver_.url).open()
    await brain.until("REFER accepted")
    gateway.notify(486, final=True)
    outcome = await brain.outcome()

    async def settled() -> bool:
        return bool((await stored(outcome.ticket_id)).transfer.result == "returned")

    await eventually(settled)
    ticket = await stored(outcome.ticket_id)
    assert [request[0] for request in receiver_.requests] == ["POST", "POST"]
    assert {request[2]["idempotency-key"] for request in receiver_.requests} == {ticket.id}
    assert (ticket.delivered, ticket.delivery.attempts) == (False, 2)
    assert ticket.delivery.error == "500 Internal Server Error"


async def test_what_waited_is_delivered_later(nats_url: str, receiver_: Any) -> None:
    bus = await connect_control(nats_url, "test")
    bucket = await open_bucket(bus, BUCKET, 3600)
    opened = datetime.now(UTC) - timedelta(minutes=5)
    facts = CallFacts(call_id="waiting")
    good = Ticket.opened(EscalateStart(facts=facts, ticket_url=receiver_.url), opened)
    dead_url = f"http://127.0.0.1:{free_port()}/"
    dead = [Ticket.opened(EscalateStart(facts=facts, ticket_url=dead_url), opened) for _ in range(5)]
    spent = Ticket.opened(EscalateStart(facts=facts, ticket_url=receiver_.url), opened).after_attempt(
        3, "404 Not Found"
    )
    young = Ticket.opened(EscalateStart(facts=facts, ticket_url=receiver_.url), datetime.now(UTC))
    async with httpx.AsyncClient() as http:
        filing = TicketFiling(bucket, http, timeout_s=0.5, attempts=3)
        for ticket in (good, *dead, spent, young):
            assert await filing.store(ticket)
        await bucket.put("20990101T000000-garbage", b"not a ticket")
        await filing.redeliver()
        ids = [request[2]["idempotency-key"] for request in receiver_.requests]
        assert good.id in ids
        assert spent.id not in ids
        assert young.id not in ids
        tried = [Ticket.model_validate_json((await bucket.get(one.id)).value or b"") for one in dead]
        assert sorted(one.delivery.attempts for one in tried if one.delivery) == [0, 0, 1, 1, 1]
        await filing.redeliver()
        assert [request[2]["idempotency-key"] for request in receiver_.requests].count(good.id) == 1
    await bus.close()
