"""What the recognition of one call leaves behind: spans in the call's trace, and counts in the process's metrics.

The span of a pass is made when the pass is over, with the times that it had: what was shed costs nothing, and by then
the brain has said which turn the words belong to. Nothing is done here for a frame.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping

from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode, get_current_span
from opentelemetry.util.types import AttributeValue

from services.asr.metrics import ANSWERED, INCOMPLETE, UNANSWERED, AsrMetrics
from services.asr.passes import Outcome
from services.asr.schedule import Kind
from services.asr.segment import Segment
from services.common.telemetry import log, names, trace
from services.common.telemetry.trace import traceparent_of, tracer

RPC = "tandem.v1.Recognizer/Recognize"
REPLAY_SUBJECT = "tandem.audio.{call_id}.replay"
KEPT_BECAUSE = "recognition failed"
_MOST_AWAITED = 16


class CallTelemetry:
    """One call's. Times are local seconds of `clock`."""

    def __init__(
        self,
        call_id: str,
        context: Context,
        metrics: AsrMetrics,
        record_pii: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begins `asr.listen` in `context`, which is of who asked for the stream."""
        self._call_id = call_id
        self._context = context
        self._metrics = metrics
        self._record_pii = record_pii
        self._clock = clock
        self._turns: dict[int, Context] = {}
        self._awaited: deque[int] = deque(maxlen=_MOST_AWAITED)
        attributes = {names.CALL_ID: call_id, names.RPC_SYSTEM: "grpc", names.RPC_METHOD: RPC}
        self._listen: Span | None = tracer().start_span(names.ASR_LISTEN, context, attributes=attributes)
        self._log = log.logger().bind(call_id=call_id)

    # The stream

    def refused(self, why: str, reason: str) -> None:
        """It is not listened to; `reason` is one of metrics.py."""
        self._metrics.refused(reason)
        if self._listen is not None:
            _fail(self._listen, why, reason)
            self._listen.end()
            self._listen = None

    def failed(self, error: Exception) -> None:
        """The call cannot be heard any more: the brain will open another stream."""
        if self._listen is not None:
            self._listen.record_exception(error)
            _fail(self._listen, str(error) or type(error).__name__, type(error).__name__)
        trace.keep(traceparent_of(get_current_span(self._context)), KEPT_BECAUSE)

    def close(self) -> None:
        """The stream is over; also when it never came to listening."""
        if self._listen is not None:
            self._listen.end()
            self._listen = None

    def began(self, utterance: int) -> None:
        """The brain was told that an utterance began; it answers with the turn."""
        self._awaited.append(utterance)

    def turn(self, context: Context) -> None:
        """The turn of the utterance that the brain was told of, or of what is said from now on."""
        self._context = context
        if self._awaited:
            self._turns[self._awaited.popleft()] = context

    def frame_stale(self) -> None:
        """A frame came too late to be of use."""
        self._metrics.frames_stale += 1

    def replayed(
        self, asked_at: float, frames: int, from_us: int | None, answered: bool, missing: bool, error: Exception | None
    ) -> None:
        """A replay is over: so many frames from that call time on. `missing`: not all that was asked for.

        The first one is the end of `asr.listen`, any other has a span of its own.
        """
        result = UNANSWERED if not answered else INCOMPLETE if missing else ANSWERED
        self._metrics.replay(result)
        span, self._listen = self._listen, None
        if span is None:
            attributes = {names.CALL_ID: self._call_id}
            span = self._span(names.ASR_REPLAY, self._context, asked_at, attributes)
        span.set_attributes(
            {
                names.MESSAGING_SYSTEM: "nats",
                names.MESSAGING_DESTINATION: REPLAY_SUBJECT,
                names.ASR_REPLAYED_FRAMES: frames,
            }
        )
        if from_us is not None:
            span.set_attribute(names.ASR_FROM_MS, from_us / 1000)
        if result is UNANSWERED:
            if error is not None:
                span.record_exception(error)
            _fail(
                span,
                str(error or "") or "the gateway did not answer the replay, or not to the end",
                "replay_unanswered",
            )
        elif result is INCOMPLETE:
            _fail(span, "the gateway had not all the frames that are missing", "replay_incomplete")
        span.end()

    # Passes

    def final(self, utterance: int, wanted_at: float, segment: Segment, outcome: Outcome) -> None:
        """The brain was told a final; `wanted_at` is when the utterance was over."""
        attributes = self._attributes(utterance, segment, outcome)
        attributes[names.ASR_REUSED] = outcome.kind is not Kind.FINAL
        if self._record_pii:
            attributes[names.TURN_CALLER_TEXT] = outcome.transcript.text
        span = self._span(names.ASR_FINAL, self._turns.pop(utterance, self._context), wanted_at, attributes)
        self._record(span, outcome)
        if outcome.error is not None:
            self._log.error("pass_failed", utterance=utterance, error=repr(outcome.error))
            trace.keep(traceparent_of(span), KEPT_BECAUSE)
        span.end()
        self._metrics.final(outcome, segment.duration_ms / 1000, trace.exemplar(traceparent_of(span)))

    def final_dropped(self, utterance: int) -> None:
        """The stream ended before the final came."""
        self._turns.pop(utterance, None)
        self._metrics.final_dropped()

    def partial(self, utterance: int, segment: Segment, outcome: Outcome) -> None:
        """A pass that was asked for before the end of its utterance is over, or was shed."""
        if outcome.kind is Kind.FINAL:
            return  # it had not begun when the utterance was over: the final's own
        if outcome.shed:
            self._metrics.partial(outcome)
            return
        attributes = self._attributes(utterance, segment, outcome)
        attributes[names.ASR_HEAD_START] = outcome.kind is Kind.HEAD_START
        context = self._turns.get(utterance, self._context)
        span = self._span(names.ASR_PARTIAL, context, outcome.asked_at, attributes)
        self._record(span, outcome)
        span.end(self._wall_ns(outcome.ended_at))
        self._metrics.partial(outcome, trace.exemplar(traceparent_of(span)))

    def _attributes(self, utterance: int, segment: Segment, outcome: Outcome) -> dict[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {
            names.CALL_ID: self._call_id,
            names.ASR_UTTERANCE: utterance,
            names.ASR_QUEUE_MS: outcome.queue_us / 1000,
            names.ASR_DECODE_MS: outcome.decode_us / 1000,
            names.ASR_AUDIO_MS: segment.duration_ms,
            names.ASR_WORDS: len(outcome.transcript.words),
            names.ASR_OVERLOAD: outcome.overload,
        }
        if outcome.model:
            attributes[names.ASR_MODEL] = outcome.model
        return attributes

    def _record(self, span: Span, outcome: Outcome) -> None:
        if outcome.error is not None:
            span.record_exception(outcome.error)
            kind = type(outcome.error).__name__
            _fail(span, str(outcome.error) or kind, kind)
        elif outcome.transcript.failure is not None:
            # Another did the pass in time: worth knowing, and no failure of the turn's.
            span.record_exception(outcome.transcript.failure)

    def _span(self, name: str, context: Context, began_at: float, attributes: Mapping[str, AttributeValue]) -> Span:
        return tracer().start_span(name, context, attributes=attributes, start_time=self._wall_ns(began_at))

    def _wall_ns(self, at: float) -> int:
        return time.time_ns() - round((self._clock() - at) * 1e9)


def _fail(span: Span, why: str, kind: str) -> None:
    span.set_status(StatusCode.ERROR, why)
    span.set_attribute(names.ERROR_TYPE, kind)
