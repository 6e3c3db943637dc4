"""`call.recovery`: the brain was lost, and what came of it."""

from opentelemetry.trace import Span, Status, StatusCode

from services.common.telemetry import names
from services.common.telemetry.trace import context_from_traceparent, keep, traceparent_of, tracer
from services.gateway.call_observer import UNOBSERVED, CallObserver
from tandem.v1.call_pb2 import CallFacts


class Recovery:
    """Of one call: a span at a time, from the last sign of the brain until another has the call or none will.

    Times are call time in microseconds, laid on the wall clock of the answer.
    """

    def __init__(self, facts: CallFacts, traceparent: str, observer: CallObserver = UNOBSERVED) -> None:
        self._facts = facts
        self._call = traceparent
        self._observer = observer
        self._span: Span | None = None
        self.traceparent = ""
        """Of the span that was begun last; empty when the brain was never lost."""

    def lost(self, why: str, last_sign_us: int, now_us: int) -> None:
        """While another one is being asked this is only one more reason."""
        if self._span is None:
            self._span = tracer().start_span(
                names.CALL_RECOVERY,
                context=context_from_traceparent(self._call),
                start_time=self._wall_ns(min(last_sign_us, now_us)),
                attributes={names.CALL_ID: self._facts.call_id},
            )
            self.traceparent = traceparent_of(self._span)
            self._span.add_event("brain lost", timestamp=self._wall_ns(now_us))
            keep(self._call, "brain lost")
        self._span.set_attribute(names.RECOVERY_WHY, why)

    def asked(self, now_us: int) -> None:
        """The call is offered to whichever brain takes it."""
        if self._span is not None:
            self._span.add_event("asked another", timestamp=self._wall_ns(now_us))
            self._observer.lease("asked another")

    def taken_over(self, now_us: int) -> None:
        """A brain has been heard; nothing where none was lost."""
        if self._span is not None:
            self._end("taken over", now_us)
            self._observer.lease("taken over")

    def fell_back(self, now_us: int) -> None:
        """No brain is to be had: the caller hears so."""
        if self._span is not None:
            self._span.set_attribute(names.ERROR_TYPE, "no_brain")
            self._span.set_status(Status(StatusCode.ERROR, "no brain could be had"))
            self._end("fall-back", now_us)
            self._observer.lease("fall-back")

    def call_ended(self, now_us: int) -> None:
        """Before anybody had it."""
        if self._span is not None:
            self._end("call ended", now_us)

    def _end(self, result: str, now_us: int) -> None:
        assert self._span is not None
        self._span.set_attribute(names.RECOVERY_RESULT, result)
        self._span.end(self._wall_ns(now_us))
        self._span = None

    def _wall_ns(self, call_time_us: int) -> int:
        return (self._facts.answered_unix_us + call_time_us) * 1000
