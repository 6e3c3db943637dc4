"""The Escalation service of protos/tandem/v1/escalation.proto."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import grpc

from services.common.rpc import abort, caller_context
from services.common.telemetry.log import bind_call, logger
from services.escalation.filing import TicketFiling
from services.escalation.handover import HandOver
from services.escalation.metrics import EscalationMetrics
from services.escalation.settings import EscalationSettings
from services.escalation.transferspan import TransferSpan
from tandem.v1.call_pb2 import ErrorReason
from tandem.v1.escalation_pb2 import EscalateRequest, EscalateResponse, EscalateStart
from tandem.v1.escalation_pb2_grpc import EscalationServicer

# RFC 3261 §19.1 and RFC 3966; the trunk judges the rest. No CR, LF, angle brackets: it goes into a header.
_DESTINATION = re.compile(r"(sips?:[^\s<>]+|tel:\+?[0-9*#A-Fa-f().;=-]+)", re.IGNORECASE)


class Escalator(EscalationServicer):
    """Serves hand-overs; one at a time a call. A second Escalate for a call follows the one under way."""

    def __init__(
        self, settings: EscalationSettings, filing: TicketFiling, metrics: EscalationMetrics | None = None
    ) -> None:
        self._metrics = metrics or EscalationMetrics()
        self._settings = settings
        self._filing = filing
        self._live: dict[str, HandOver] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def Escalate(
        self, request_iterator: AsyncIterator[EscalateRequest], context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[EscalateResponse]:
        requests = aiter(request_iterator)
        first = await anext(requests, EscalateRequest())
        mistake = mistake_in(first)
        if mistake:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, mistake, ErrorReason.ERROR_REASON_BAD_REQUEST)
        hand_over = self._live.get(first.start.facts.call_id) or self._begin(first.start, context)
        listening = asyncio.create_task(_pass_on_cancel(requests, hand_over))
        try:
            async for response in hand_over.follow():
                yield response
        finally:
            listening.cancel()

    def _begin(self, start: EscalateStart, context: "grpc.aio.ServicerContext[Any, Any]") -> HandOver:
        span = TransferSpan(start, caller_context(context), self._metrics)
        ring_timeout_ms = start.ring_timeout_ms or self._settings.ring_timeout_ms
        hand_over = HandOver(start, ring_timeout_ms / 1000, self._filing, span, self._metrics)
        self._live[hand_over.call_id] = hand_over
        task = asyncio.create_task(self._run(hand_over, span.traceparent), name=f"hand-over {hand_over.call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        logger().info("transfer_started", call_id=hand_over.call_id, destination=start.destination)
        return hand_over

    async def _run(self, hand_over: HandOver, traceparent: str) -> None:
        bind_call(hand_over.call_id, traceparent)
        try:
            await hand_over.run()
        finally:
            # A caller who came back may ask again while the ticket is still on its way.
            self._live.pop(hand_over.call_id, None)
        await hand_over.settle()

    async def drain(self, within_s: float) -> None:
        """Lets the hand-overs under way end, then gives them up; their tickets keep what is known."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=within_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1)


def mistake_in(request: EscalateRequest) -> str:
    """What is wrong with the first request of a stream, for the one who wrote the client; empty when nothing is."""
    if request.WhichOneof("request") != "start":
        return "the first message of Escalate is an EscalateStart"
    start = request.start
    for name, value in (("call_id", start.facts.call_id), ("control_address", start.facts.control_address)):
        if not value:
            return f"EscalateStart.facts.{name} is empty"
    if not _DESTINATION.fullmatch(start.destination):
        return f"EscalateStart.destination is not a sip:, sips: or tel: URI: {start.destination!r}"
    if start.ticket_url and not start.ticket_url.startswith(("http://", "https://")):
        return f"EscalateStart.ticket_url is not an http:// or https:// URL: {start.ticket_url!r}"
    return ""


async def _pass_on_cancel(requests: AsyncIterator[EscalateRequest], hand_over: HandOver) -> None:
    async for request in requests:
        if request.WhichOneof("request") == "cancel":
            hand_over.cancel()
