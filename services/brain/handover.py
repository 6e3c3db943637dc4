"""Asking escalation to move the call to a person, and what comes of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.brain.exchange import Turn
from services.brain.models import ModelCall
from services.brain.turn_events import TransferBegan, TransferReturned
from services.common.rpc import trace_metadata
from services.common.telemetry import trace
from services.common.telemetry.log import logger
from tandem.v1.call_pb2 import CallNotice, CallOutcome
from tandem.v1.escalation_pb2 import EscalateRequest, EscalateStart, EscalationOutcome, EscalationResult

if TYPE_CHECKING:
    from services.brain.agent import Escalation
    from services.brain.conversation import Conversation

# Over the ring time, for the steps around it: a hand-over that reports nothing must not hold the caller.
SLACK_S = 15.0
# Values of the metric's label `result`.
_RESULTS = {
    EscalationResult.ESCALATION_RESULT_TRANSFERRED: "transferred",
    EscalationResult.ESCALATION_RESULT_CALL_GONE: "call_gone",
    EscalationResult.ESCALATION_RESULT_RETURNED: "returned",
    EscalationResult.ESCALATION_RESULT_CANCELLED: "cancelled",
}


@dataclass(frozen=True)
class HandOver:
    """`over`: there is nobody left to talk to."""

    over: bool
    reason: str
    ticket_id: str

    def content(self) -> str:
        """For the model, as any tool result."""
        if self.over:
            return json.dumps({"ok": True, "value": {"ticket": self.ticket_id}})
        value = {"ticket": self.ticket_id}
        return json.dumps({"ok": False, "code": "not_reached", "error": self.reason, "value": value})


async def hand_over(conversation: "Conversation", turn: Turn, call: ModelCall, escalation: "Escalation") -> HandOver:
    """Runs one Escalate stream to its outcome; the caller is ours again when it failed."""
    start = _start(conversation, call, escalation)
    conversation.feed(TransferBegan())
    turn.quiet.ends(conversation.now())
    turn.quiet.elsewhere = True
    trace.keep(turn.traceparent, "escalated")
    failed = ""
    try:
        async with asyncio.timeout(escalation.ring_timeout_s + SLACK_S):
            outcome = await _follow(conversation, turn, start)
    except Exception as error:  # whatever it was, the caller must not stay in limbo
        logger().warning("escalation failed", call_id=conversation.facts.call_id, error=repr(error))
        outcome = EscalationOutcome(result=EscalationResult.ESCALATION_RESULT_RETURNED, reason=f"escalation: {error!r}")
        failed = "failed"
        conversation.log.failed(turn, f"escalation: {type(error).__name__}")
    conversation.around.watch.metrics.escalation(
        conversation.agent.name, failed or _RESULTS.get(outcome.result, "failed")
    )
    journal = conversation.journal
    journal.journal.ticket_id = outcome.ticket_id
    over = outcome.result in (
        EscalationResult.ESCALATION_RESULT_TRANSFERRED,
        EscalationResult.ESCALATION_RESULT_CALL_GONE,
    )
    if outcome.result == EscalationResult.ESCALATION_RESULT_TRANSFERRED:
        conversation.outcome = CallOutcome.CALL_OUTCOME_TRANSFERRED
        conversation.chronicle.tell(CallNotice(transfer=f"transferred, ticket {outcome.ticket_id}"))
    else:
        conversation.chronicle.tell(
            CallNotice(transfer=f"not transferred: {outcome.reason}, ticket {outcome.ticket_id}")
        )
    journal.save()
    if not over:
        turn.quiet.elsewhere = False
        turn.quiet.begins(conversation.now())
        conversation.feed(TransferReturned())
    return HandOver(over, outcome.reason, outcome.ticket_id)


async def _follow(conversation: "Conversation", turn: Turn, start: EscalateStart) -> EscalationOutcome:
    requests: asyncio.Queue[EscalateRequest] = asyncio.Queue()
    requests.put_nowait(EscalateRequest(start=start))

    async def outgoing() -> AsyncIterator[EscalateRequest]:
        while True:
            yield await requests.get()

    call = conversation.around.escalation.Escalate(outgoing(), metadata=trace_metadata(turn.traceparent))
    try:
        async for response in call:
            if response.WhichOneof("response") == "outcome":
                return response.outcome
            conversation.chronicle.tell(CallNotice(transfer=response.progress.step))
    finally:
        call.cancel()
    return EscalationOutcome(result=EscalationResult.ESCALATION_RESULT_RETURNED, reason="escalation gave no outcome")


def _start(conversation: "Conversation", call: ModelCall, escalation: "Escalation") -> EscalateStart:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        arguments = {}
    return EscalateStart(
        facts=conversation.facts,
        reason=str(arguments.get("reason", "caller asked")),
        wish=str(arguments.get("wish", "")),
        destination=escalation.destination,
        ticket_url=escalation.ticket_url or "",
        ring_timeout_ms=round(escalation.ring_timeout_s * 1000),
        turns=[*conversation.journal.journal.turns, *conversation.log.record_so_far()],
    )
