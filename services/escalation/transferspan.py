"""What a hand-over leaves in its call's trace: `transfer`, and `transfer.leg` for each try of a destination."""

import time
from collections.abc import Callable

from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode, set_span_in_context

from services.common.telemetry import names, trace
from services.common.telemetry.trace import trace_id_of, traceparent_of, tracer
from services.escalation.metrics import GIVEN_UP, EscalationMetrics
from services.escalation.transfer import Outcome, Result
from tandem.v1.escalation_pb2 import EscalateStart

KEPT_BECAUSE = "transferred"


class TransferSpan:
    """One hand-over's. `close` it however the hand-over ended."""

    def __init__(
        self,
        start: EscalateStart,
        parent: Context,
        metrics: EscalationMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Its trace is kept, whatever comes of it."""
        self._call_id = start.facts.call_id
        self._metrics = metrics
        self._clock = clock
        self._began_at = clock()
        self._legs = 0
        self._leg: Span | None = None
        self._result = ""
        self._span = tracer().start_span(
            names.TRANSFER,
            context=parent,
            attributes={
                names.CALL_ID: start.facts.call_id,
                names.AGENT: start.facts.agent,
                names.TRANSFER_DESTINATION: start.destination,
                names.RPC_SYSTEM: "grpc",
                names.RPC_METHOD: "tandem.v1.Escalation/Escalate",
            },
        )
        self.context = set_span_in_context(self._span)
        self.trace_id = trace_id_of(self._span)
        self.traceparent = traceparent_of(self._span)
        """For what is asked of others in the name of the whole hand-over."""
        metrics.began()
        trace.keep(self.traceparent, KEPT_BECAUSE)

    def step(self, step: str, sip_status: int) -> None:
        """The machine told of progress."""
        self._span.add_event(step, {names.SIP_STATUS: sip_status} if sip_status else {})

    def leg_began(self, destination: str) -> str:
        """A try of one destination begins. Gives its traceparent, for what the gateway does in it."""
        attributes: dict[str, str | int] = {
            names.CALL_ID: self._call_id,
            names.TRANSFER_LEG_INDEX: self._legs,
            names.TRANSFER_DESTINATION: destination,
            names.RPC_SYSTEM: "grpc",
            names.RPC_METHOD: "tandem.v1.CallControl/Refer",
        }
        self._legs += 1
        self._leg = tracer().start_span(names.TRANSFER_LEG, context=self.context, attributes=attributes)
        return traceparent_of(self._leg)

    def outcome(self, outcome: Outcome, ticket_id: str) -> None:
        """What came of it, and of the try that was under way."""
        self._result = outcome.result.value
        spans = [self._span] if self._leg is None else [self._leg, self._span]
        for span in spans:
            span.set_attributes(
                {
                    names.TRANSFER_RESULT: self._result,
                    names.TRANSFER_REASON: outcome.reason,
                    names.TRANSFER_PRESUMED: outcome.presumed,
                }
            )
            if outcome.sip_status:
                span.set_attribute(names.SIP_STATUS, outcome.sip_status)
            if outcome.result is Result.RETURNED:
                span.set_status(StatusCode.ERROR, outcome.reason)
        self._span.set_attribute(names.TICKET_ID, ticket_id)

    def failed(self, error: Exception) -> None:
        """Not the trunk, the service itself: an outcome follows."""
        self._span.record_exception(error)
        self._span.set_attribute(names.ERROR_TYPE, type(error).__name__)

    def close(self) -> None:
        """Without an outcome the service was stopped meanwhile."""
        if not self._result:
            self._result = GIVEN_UP
            for span in (self._leg, self._span):
                if span is not None:
                    span.set_attribute(names.TRANSFER_RESULT, GIVEN_UP)
                    span.set_status(StatusCode.ERROR, "the escalation service was stopped")
        if self._leg is not None:
            self._leg.end()
        self._span.end()
        self._metrics.ended(self._result, self._clock() - self._began_at, trace.exemplar(self.traceparent))
