"""`rtp.playout`: a span for each utterance that was heard, in the trace of the turn that said it."""

from opentelemetry.trace import Span, Status, StatusCode

from services.common.telemetry import names
from services.common.telemetry.trace import context_from_traceparent, tracer
from tandem.v1.call_pb2 import CallFacts


class PlayoutSpans:
    """Span times are the call's clock laid on the wall clock of the answer, so that they fit one another."""

    def __init__(self, facts: CallFacts, traceparent: str = "") -> None:
        """`traceparent`: the call's, for what nobody asked for in a turn."""
        self._facts = facts
        self._call = traceparent
        self._parents: dict[int, tuple[str, str]] = {}
        self._open: dict[int, Span] = {}

    def released(self, utterance_id: int, traceparent: str, prompt: str = "") -> None:
        """`prompt`: which of the gateway's own it is, if any."""
        self._parents[utterance_id] = (traceparent, prompt)

    def started(self, utterance_id: int, call_time_us: int, wait_us: int) -> None:
        traceparent, prompt = self._parents.pop(utterance_id, ("", ""))
        context = context_from_traceparent(traceparent or self._call)
        self._open[utterance_id] = tracer().start_span(
            names.PLAYOUT,
            context=context,
            start_time=self._wall_ns(call_time_us),
            attributes={
                names.CALL_ID: self._facts.call_id,
                names.PLAYOUT_UTTERANCE_ID: utterance_id,
                names.PLAYOUT_WAIT_MS: wait_us / 1000,
                **({names.PLAYOUT_PROMPT: prompt} if prompt else {}),
            },
        )

    def finished(self, utterance_id: int, call_time_us: int, played_ms: float, end: str, failure: str = "") -> None:
        """Nothing for an utterance of which nothing was heard."""
        self._parents.pop(utterance_id, None)
        span = self._open.pop(utterance_id, None)
        if span is not None:
            span.set_attributes({names.PLAYOUT_PLAYED_MS: played_ms, names.PLAYOUT_END: end})
            if failure:
                span.set_attribute(names.ERROR_TYPE, end)
                span.set_status(Status(StatusCode.ERROR, failure))
            span.end(self._wall_ns(call_time_us))

    def close(self, call_time_us: int, why: str = "call ended", below: int = 1 << 32) -> None:
        """What was being said is cut, of utterances with lower ids than `below`."""
        for utterance_id in [one for one in self._open if one < below]:
            span = self._open.pop(utterance_id)
            span.set_attributes({names.PLAYOUT_END: why})
            span.end(self._wall_ns(call_time_us))
        self._parents = {one: told for one, told in self._parents.items() if one >= below}

    def _wall_ns(self, call_time_us: int) -> int:
        return (self._facts.answered_unix_us + call_time_us) * 1000
