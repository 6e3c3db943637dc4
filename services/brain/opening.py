"""The span `conversation.start`: from the call's arrival at this brain until its recogniser answers."""

from opentelemetry.trace import Span, SpanContext, Status, StatusCode

from services.brain.turn_spans import span_of
from services.common.telemetry import names, trace
from tandem.v1.call_pb2 import CallFacts, CallJournal


class Opening:
    """Ends once: by `listening`, `failed` or `close`. `traceparent` is what came with the call: call.setup's, or
    call.recovery's after a take-over."""

    def __init__(self, facts: CallFacts, traceparent: str = "", call: str = "") -> None:
        """`call`: of call.setup, below which the turns stand, where that is another than `traceparent`."""
        self.parent = traceparent
        self.call = call or traceparent
        self.span: Span = trace.tracer().start_span(
            names.CONVERSATION,
            context=trace.context_from_traceparent(traceparent),
            attributes={names.CALL_ID: facts.call_id, names.AGENT: facts.agent},
        )
        self._over = False

    @property
    def traceparent(self) -> str:
        """Of conversation.start itself."""
        return trace.traceparent_of(self.span)

    def owned(self, journal: CallJournal, taken_over: bool) -> None:
        """The journal has this brain as its owner."""
        self.span.set_attribute(names.CONVERSATION_TAKE_OVER, taken_over)
        self.span.set_attribute(names.CONVERSATION_EPOCH, journal.owner_epoch)

    def recovery(self) -> SpanContext | None:
        """What the first turn after a take-over links to."""
        return span_of(self.parent) if self.parent != self.call else None

    def listening(self) -> None:
        """The recogniser has taken the call."""
        self.close()

    def failed(self, error: str) -> None:
        """`error` is short and names nobody. After the span's end it is told by the turns alone."""
        if not self._over:
            self.span.set_status(Status(StatusCode.ERROR, error))
        trace.keep(self.traceparent, error)
        self.close()

    def close(self) -> None:
        if not self._over:
            self._over = True
            self.span.end()
