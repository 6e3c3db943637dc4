"""What an utterance leaves in its call's trace, `tts.utterance` with a `tts.clause` for each synthesis, and in the
process's metrics. Nothing is done here for a frame, and the text is nowhere in it."""

from opentelemetry.context import Context
from opentelemetry.trace import Span, StatusCode, set_span_in_context

from services.common.telemetry import names, trace
from services.common.telemetry.trace import traceparent_of, tracer
from services.tts.metrics import Result, TtsMetrics
from services.tts.studio import Take
from tandem.v1.tts_pb2 import FirstAudio, SynthesizeStart

BAD_REQUEST = "bad_request"
_RPC = {names.RPC_SYSTEM: "grpc", names.RPC_METHOD: "tandem.v1.Synthesizer/Synthesize"}


class UtteranceSpan:
    """One utterance's. `close` it however the utterance ended."""

    def __init__(self, start: SynthesizeStart, parent: Context, engine: str, metrics: TtsMetrics) -> None:
        self._start = start
        self._parent = parent
        self._engine = engine
        self._metrics = metrics
        self._span: Span | None = None
        self._error: Exception | None = None
        self._clauses = 0
        self._failed = 0
        self._over = False
        self._closed = False
        metrics.utterance_began()

    def begin(self) -> None:
        """The first text came."""
        self._span = tracer().start_span(
            names.TTS_UTTERANCE,
            context=self._parent,
            attributes={
                names.CALL_ID: self._start.call_id,
                names.TTS_UTTERANCE_ID: self._start.utterance_id,
                names.TTS_ENGINE: self._engine,
                **_RPC,
            },
        )

    def clause(self) -> Span:
        """Begins the span of a synthesis; `made` or `not_made` is to follow, and to end it."""
        context = set_span_in_context(self._span) if self._span is not None else self._parent
        attributes = {names.CALL_ID: self._start.call_id, names.TTS_ENGINE: self._engine}
        return tracer().start_span(names.TTS_CLAUSE, context=context, attributes=attributes)

    def made(self, span: Span, take: Take, asked: float) -> None:
        """A clause, asked for at that time.monotonic()."""
        queue_s, synthesis_s = take.started - asked, take.ended - take.started
        audio_s = len(take.audio.samples) / take.audio.rate_hz
        span.set_attributes(
            {
                names.TTS_FROM_CACHE: take.from_cache,
                names.TTS_QUEUE_MS: queue_s * 1000,
                names.TTS_SYNTHESIS_MS: synthesis_s * 1000,
                names.TTS_AUDIO_MS: audio_s * 1000,
            }
        )
        span.end()
        if not take.from_cache:
            self._metrics.synthesized(queue_s, synthesis_s, audio_s, trace.exemplar(traceparent_of(span)))

    def not_made(self, span: Span, error: Exception | None) -> None:
        """The engine failed on a clause; or, without an error, nobody wants it any more."""
        if error is None:
            span.set_attribute(names.TTS_RESULT, "cancelled")
        else:
            self._failed += 1
            _fail(span, error, type(error).__name__)
        span.end()

    def first_audio(self, first: FirstAudio) -> None:
        """The first frame is out."""
        exemplar = None
        if self._span is not None:
            exemplar = trace.exemplar(traceparent_of(self._span))
            self._span.set_attributes(
                {
                    names.TTS_FROM_CACHE: first.from_cache,
                    names.TTS_QUEUE_MS: first.queue_us / 1000,
                    names.TTS_SYNTHESIS_MS: first.synthesis_us / 1000,
                }
            )
        self._metrics.first_audio((first.queue_us + first.synthesis_us) / 1e6, exemplar)

    def spoken(self, from_cache: bool) -> None:
        """All of a clause is published."""
        self._clauses += 1
        self._metrics.clause_spoken(from_cache)

    def finished(self) -> None:
        """The last frame is out."""
        self._over = True

    def failed(self, error: Exception) -> None:
        """It cannot be spoken to its end."""
        self._error = error

    def close(self, audio_ms: float) -> None:
        """What is neither finished nor failed was cancelled."""
        if self._closed:
            return
        self._closed = True
        mute = self._over and self._failed and not self._clauses
        result: Result = "failed" if self._error or mute else "finished" if self._over else "cancelled"
        self._metrics.utterance_ended(result)
        span = self._span
        if span is None:
            return
        if self._error is not None:
            _fail(span, self._error, type(self._error).__name__)
        elif mute:
            span.set_status(StatusCode.ERROR, "the engine failed on every clause")
        span.set_attributes({names.TTS_AUDIO_MS: audio_ms, names.TTS_CLAUSES: self._clauses, names.TTS_RESULT: result})
        span.end()


def refused(start: SynthesizeStart, parent: Context, why: str) -> None:
    """An utterance that cannot begin: a mistake in what was asked for."""
    span = tracer().start_span(names.TTS_UTTERANCE, context=parent, attributes={names.TTS_RESULT: "failed"})
    span.set_attributes(
        {
            names.CALL_ID: start.call_id,
            names.TTS_UTTERANCE_ID: start.utterance_id,
            names.ERROR_TYPE: BAD_REQUEST,
            **_RPC,
        }
    )
    span.set_status(StatusCode.ERROR, why)
    trace.keep(traceparent_of(span), "speech failed")
    span.end()


def _fail(span: Span, error: Exception, kind: str) -> None:
    span.record_exception(error)
    span.set_status(StatusCode.ERROR, kind)
    span.set_attributes({names.ERROR_TYPE: kind, names.TTS_RESULT: "failed"})
    trace.keep(traceparent_of(span), "speech failed")
