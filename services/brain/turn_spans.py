"""The spans of a call's turns: their times are the call's, so that a turn and what the gateway plays of it agree."""

from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, StatusCode, get_current_span, set_span_in_context
from opentelemetry.util.types import AttributeValue

from services.brain.turn_verdict import ON_SPANS, Outcome
from services.common.telemetry import names
from services.common.telemetry.trace import context_from_traceparent, tracer
from tandem.v1.call_pb2 import CallFacts, TurnLatency

FILLER = "filler"
DEAD_AIR = "dead air"
SILENCE_PROMPT = "silence prompt"
ANSWER_DISCARDED = "answer discarded"
ASR_LOST = "asr lost"
TTS_LOST = "tts lost"


class TurnSpans:
    """Of one call. All times given are call times in microseconds."""

    def __init__(self, facts: CallFacts, root: Context) -> None:
        """`root`: what the turns are children of."""
        self._facts = facts
        self._root = root

    def begin(self, at_us: int) -> Span:
        """A turn's own span."""
        return tracer().start_span(
            names.TURN,
            context=self._root,
            start_time=self._wall_ns(at_us),
            attributes={names.CALL_ID: self._facts.call_id, names.AGENT: self._facts.agent},
        )

    def endpointing(self, turn: Span, from_us: int, to_us: int, why: str) -> None:
        self._child(turn, names.ENDPOINTING, from_us, to_us, {names.ENDPOINTING_WHY: why} if why else {})

    def barge_in(self, turn: Span, from_us: int, to_us: int, profile: str, confirmed: bool, why: str) -> None:
        told = {
            names.BARGE_IN_PROFILE: profile,
            names.BARGE_IN_DECISION: "confirmed" if confirmed else "rejected",
            names.BARGE_IN_WHY: why,
        }
        self._child(turn, names.BARGE_IN, from_us, to_us, told)

    def event(self, turn: Span, name: str, at_us: int) -> None:
        turn.add_event(name, timestamp=self._wall_ns(at_us))

    def _child(self, turn: Span, name: str, from_us: int, to_us: int, attributes: Mapping[str, AttributeValue]) -> None:
        span = tracer().start_span(
            name,
            context=set_span_in_context(turn),
            start_time=self._wall_ns(from_us),
            attributes={names.CALL_ID: self._facts.call_id, **attributes},
        )
        span.end(end_time=self._wall_ns(max(from_us, to_us)))

    def _wall_ns(self, call_time_us: int) -> int:
        """For spans only: the wall clock of a call time."""
        return (self._facts.answered_unix_us + call_time_us) * 1000


def span_of(traceparent: str) -> SpanContext:
    """To be linked to; not valid when the string is empty or malformed."""
    return get_current_span(context_from_traceparent(traceparent)).get_span_context()


def link(span: Span, other: SpanContext) -> None:
    """Once, and never to itself."""
    there = {span.get_span_context().span_id, *(one.context.span_id for one in getattr(span, "links", ()))}
    if other.is_valid and other.span_id not in there and span.is_recording():
        span.add_link(other)


def tell_latency(span: Span, latency: TurnLatency) -> None:
    span.set_attribute(names.TURN_EAR_LATENCY_MS, latency.ear_latency_ms)
    span.set_attribute(names.TURN_UNEXPLAINED_MS, latency.unexplained_ms)
    for part, ms in latency.parts_ms.items():
        span.set_attribute(f"{names.TURN_PART_MS}.{part}", ms)


def tell_outcome(span: Span, outcome: Outcome, error: str = "") -> None:
    """`error`: short, and nothing that people said."""
    if outcome in ON_SPANS:
        span.set_attribute(names.TURN_OUTCOME, outcome.value)
    if error:
        span.set_status(StatusCode.ERROR, error)
