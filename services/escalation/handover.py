"""One hand-over at work: the transfer machine, and around it gRPC to the call's gateway and the ticket."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any

import grpc
from opentelemetry.trace import StatusCode

from services.common.rpc import connect, trace_metadata
from services.common.telemetry import names
from services.common.telemetry.log import logger
from services.common.telemetry.trace import traceparent_of, tracer
from services.escalation.filing import TicketFiling
from services.escalation.metrics import DELIVERED, KEPT, LOST, EscalationMetrics
from services.escalation.ticket import Ticket
from services.escalation.transfer import (
    REFER_PATIENCE_S,
    FileTicket,
    HangUp,
    OpenWatch,
    Outcome,
    Output,
    Progress,
    Result,
    SendRefer,
    Transfer,
)
from services.escalation.transferspan import TransferSpan
from tandem.v1.escalation_pb2 import (
    EscalateResponse,
    EscalateStart,
    EscalationOutcome,
    EscalationProgress,
    EscalationResult,
)
from tandem.v1.gateway_pb2 import HangUpRequest, ReferRequest, WatchRequest
from tandem.v1.gateway_pb2_grpc import CallControlStub

HANG_UP_S = 2.0

_RESULTS = {
    Result.TRANSFERRED: EscalationResult.ESCALATION_RESULT_TRANSFERRED,
    Result.RETURNED: EscalationResult.ESCALATION_RESULT_RETURNED,
    Result.CANCELLED: EscalationResult.ESCALATION_RESULT_CANCELLED,
    Result.CALL_GONE: EscalationResult.ESCALATION_RESULT_CALL_GONE,
}


class HandOver:
    """Runs on when the brain's stream breaks, for the REFER is out; another brain finds it with `follow`."""

    def __init__(
        self,
        start: EscalateStart,
        ring_timeout_s: float,
        tickets: TicketFiling,
        span: TransferSpan,
        metrics: EscalationMetrics,
    ) -> None:
        """Closes `span` with the outcome."""
        self.call_id = start.facts.call_id
        self._transfer = Transfer(start.destination, ring_timeout_s)
        self._ticket = Ticket.opened(start, datetime.now(UTC), span.trace_id)
        self._ticket_filed = False
        self._tickets = tickets
        self._span = span
        self._metrics = metrics
        self._channel = connect(start.facts.control_address)
        self._control = CallControlStub(self._channel)
        self._inputs: asyncio.Queue[Callable[[float], list[Output]]] = asyncio.Queue()
        self._said: list[EscalateResponse] = []
        self._news = asyncio.Condition()
        self._watch: asyncio.Task[None] | None = None
        self._refer: asyncio.Task[None] | None = None
        self._filing: asyncio.Task[None] | None = None
        self._log = logger().bind(call_id=self.call_id, trace_id=span.trace_id)

    def cancel(self) -> None:
        """The caller changed their mind."""
        self._feed(self._transfer.cancel)

    async def follow(self) -> AsyncIterator[EscalateResponse]:
        """Every response from the first to the outcome, those of the past at once."""
        for told in itertools.count():
            async with self._news:
                while len(self._said) <= told:
                    await self._news.wait()
            yield self._said[told]
            if self._said[told].WhichOneof("response") == "outcome":
                return

    async def run(self) -> None:
        """To the outcome, which comes within the machine's timers; `settle` is to follow."""
        try:
            await self._transfer_call()
        except Exception as error:
            self._log.exception("transfer_failed")
            self._span.failed(error)
            await self._conclude(Outcome(Result.RETURNED, "the escalation service failed"))
        finally:
            for task in (self._watch, self._refer):
                if task is not None:
                    task.cancel()
            self._span.close()
            await self._channel.close()

    async def settle(self) -> None:
        """Until the ticket tells the outcome."""
        if self._filing is not None:
            await self._filing

    async def _transfer_call(self) -> None:
        await self._carry_out(self._transfer.start(time.monotonic()))
        while not self._transfer.done:
            deadline = self._transfer.next_deadline()
            try:
                async with asyncio.timeout(None if deadline is None else max(0.0, deadline - time.monotonic())):
                    step = await self._inputs.get()
            except TimeoutError:
                step = self._transfer.expire
            await self._carry_out(step(time.monotonic()))

    def _feed(self, step: Callable[[float], list[Output]]) -> None:
        self._inputs.put_nowait(step)

    async def _carry_out(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case FileTicket():
                    self._filing = self._spawn(self._file_ticket(), "ticket")
                case OpenWatch():
                    self._watch = self._spawn(self._watch_call(), "watch")
                case SendRefer(target):
                    self._refer = self._spawn(self._send_refer(target), "refer")
                case HangUp(reason):
                    await self._hang_up(reason)
                case Progress(step, sip_status):
                    self._span.step(step, sip_status)
                    progress = EscalationProgress(step=step, sip_status=sip_status)
                    await self._say(EscalateResponse(progress=progress))
                case Outcome():
                    await self._conclude(output)

    def _spawn(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        return asyncio.create_task(work, name=f"{what} {self.call_id}")

    async def _say(self, response: EscalateResponse) -> None:
        async with self._news:
            self._said.append(response)
            self._news.notify_all()

    async def _conclude(self, outcome: Outcome) -> None:
        ticket_id = self._ticket.id if self._ticket_filed else ""
        self._span.outcome(outcome, ticket_id)
        self._log.info("transfer_ended", result=outcome.result.value, reason=outcome.reason, status=outcome.sip_status)
        self._filing = self._spawn(self._settle_ticket(self._filing, outcome), "settle")
        said = EscalationOutcome(
            result=_RESULTS[outcome.result],
            reason=outcome.reason,
            sip_status=outcome.sip_status,
            ticket_id=ticket_id,
        )
        await self._say(EscalateResponse(outcome=said))

    async def _file_ticket(self) -> None:
        with tracer().start_as_current_span(names.TICKET, context=self._span.context) as span:
            span.set_attributes({names.CALL_ID: self.call_id, names.TICKET_ID: self._ticket.id})
            stored = await self._tickets.store(self._ticket)
            if stored:
                self._ticket_is_filed(True)
            delivered = await self._tickets.deliver(self._ticket, traceparent_of(span))
            if self._ticket.delivery is not None:
                span.set_attribute(names.TICKET_DELIVERED, delivered)
            if not stored:
                self._ticket_is_filed(delivered)
                span.set_attribute(names.ERROR_TYPE, "not_stored")
                span.set_status(StatusCode.ERROR, "Tandem's own store did not take the ticket")
            self._metrics.ticket(DELIVERED if delivered else KEPT if stored else LOST)

    def _ticket_is_filed(self, filed: bool) -> None:
        self._ticket_filed = filed
        self._feed(self._transfer.ticket_filed if filed else self._transfer.ticket_failed)

    async def _settle_ticket(self, filing: asyncio.Task[None] | None, outcome: Outcome) -> None:
        if filing is not None:
            await asyncio.wait([filing])
        now = datetime.now(UTC)
        await self._tickets.update(
            self._ticket, lambda ticket: ticket.with_outcome(outcome, now), self._span.traceparent
        )

    async def _watch_call(self) -> None:
        try:
            stream = self._control.Watch(WatchRequest(call_id=self.call_id), metadata=self._metadata())
            async for event in stream:
                match event.WhichOneof("event"):
                    case "watch_started":
                        self._feed(self._transfer.watch_started)
                    case "refer_progress":
                        seen = event.refer_progress
                        notified = partial(self._transfer.notified, seen.sip_status, seen.reason_phrase, seen.final)
                        self._feed(notified)
                    case "ended":
                        self._feed(partial(self._transfer.call_ended, event.ended.by_caller, event.ended.reason))
                        return
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                self._feed(self._transfer.call_unknown)
                return
            self._log.warning("watch_lost", error=error.details())
        self._feed(self._transfer.watch_lost)

    async def _send_refer(self, target: str) -> None:
        request = ReferRequest(call_id=self.call_id, target=target)
        metadata = trace_metadata(self._span.leg_began(target))
        try:
            # The machine's own patience is shorter by this second, so that its words are the ones heard.
            answer = await self._control.Refer(request, timeout=REFER_PATIENCE_S + 1, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                self._feed(self._transfer.call_unknown)
                return
            why = f"the gateway could not send REFER: {error.details()}"
            self._feed(partial(self._transfer.refer_failed, why))
            return
        self._feed(partial(self._transfer.refer_answered, answer.sip_status, answer.reason_phrase))

    async def _hang_up(self, reason: str) -> None:
        request = HangUpRequest(call_id=self.call_id, reason=reason)
        try:
            await self._control.HangUp(request, timeout=HANG_UP_S, metadata=self._metadata())
        except grpc.aio.AioRpcError as error:
            # The trunk may have ended our leg itself.
            self._log.info("hang_up_failed", code=error.code().name, error=error.details())

    def _metadata(self) -> list[tuple[str, str]]:
        return trace_metadata(self._span.traceparent)
