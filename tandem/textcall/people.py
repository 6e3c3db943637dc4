"""The people whom an agent can put a caller through to."""

from collections.abc import AsyncIterator
from typing import Any

from tandem.textcall.stream import LocalStream
from tandem.v1 import escalation_pb2
from tandem.v1.escalation_pb2 import EscalateRequest, EscalateResponse, EscalateStart, EscalationOutcome

_TICKET = "text-1"


class People:
    """Stands where the brain has its EscalationStub. `reached`: somebody takes the call; `reason` why not."""

    def __init__(self, reached: bool = True, reason: str = "nobody answered") -> None:
        self.reached = reached
        self.reason = reason
        self.asked: list[EscalateStart] = []

    def Escalate(  # the name in the contract
        self, requests: AsyncIterator[EscalateRequest], metadata: Any = None
    ) -> LocalStream[EscalateResponse]:
        return LocalStream(self._answer(requests))

    async def _answer(self, requests: AsyncIterator[EscalateRequest]) -> AsyncIterator[EscalateResponse]:
        request = await anext(aiter(requests))
        self.asked.append(request.start)
        result, reason = escalation_pb2.ESCALATION_RESULT_TRANSFERRED, "answered"
        if not self.reached:
            result, reason = escalation_pb2.ESCALATION_RESULT_RETURNED, self.reason
        yield EscalateResponse(outcome=EscalationOutcome(result=result, reason=reason, ticket_id=_TICKET))
