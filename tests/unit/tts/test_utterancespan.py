"""What an utterance leaves in its call's trace: what became of it, and never its text."""

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

from services.common.telemetry import names
from services.common.telemetry.trace import context_from_traceparent
from services.tts import utterancespan
from services.tts.metrics import TtsMetrics
from services.tts.publishing import AudioLost
from services.tts.rendering import ClauseAudio
from services.tts.studio import Take
from services.tts.utterancespan import UtteranceSpan, refused
from tandem.v1.tts_pb2 import FirstAudio, SynthesizeStart

TURN = context_from_traceparent("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01")
START = SynthesizeStart(call_id="c1", utterance_id=3, sample_rate_hz=8000)
FIRST = FirstAudio(queue_us=2_000, synthesis_us=18_000)


def take(from_cache: bool = False) -> Take:
    """Half a second of sound, begun at 1.25 s and made in 20 ms."""
    return Take(ClauseAudio(np.zeros(4_000, np.int16), 8000, ()), 1.25, 1.27, from_cache)


class Trace:
    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter
        self.registry = CollectorRegistry()
        self.metrics = TtsMetrics("hibari", self.registry)
        self.kept: list[str] = []

    def utterance(self) -> UtteranceSpan:
        one = UtteranceSpan(START, TURN, "hibari", self.metrics)
        one.begin()
        return one

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def one(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"tandem_tts_{name}", labels)


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> Trace:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(utterancespan, "tracer", lambda: provider.get_tracer("test"))
    one = Trace(exporter)
    monkeypatch.setattr("services.common.telemetry.trace.keep", lambda traceparent, why: one.kept.append(why))
    return one


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_an_utterance_of_two_clauses(trace: Trace) -> None:
    utterance = trace.utterance()
    for cached in (False, True):
        utterance.made(utterance.clause(), take(cached), asked=1.0)
        utterance.spoken(cached)
    utterance.first_audio(FIRST)
    utterance.finished()
    utterance.close(1_000.0)
    utterance.close(1_000.0)
    span = trace.one(names.TTS_UTTERANCE)
    assert span.parent is not None
    assert format(span.parent.span_id, "016x") == "00f067aa0ba902b7"
    assert attributes(span) == {
        names.CALL_ID: "c1",
        names.TTS_UTTERANCE_ID: 3,
        names.TTS_ENGINE: "hibari",
        names.TTS_FROM_CACHE: False,
        names.TTS_QUEUE_MS: 2.0,
        names.TTS_SYNTHESIS_MS: 18.0,
        names.TTS_AUDIO_MS: 1000.0,
        names.TTS_CLAUSES: 2,
        names.TTS_RESULT: "finished",
        names.RPC_SYSTEM: "grpc",
        names.RPC_METHOD: "tandem.v1.Synthesizer/Synthesize",
    }
    clauses = [one for one in trace.spans if one.name == names.TTS_CLAUSE]
    assert [one.parent.span_id for one in clauses if one.parent] == [span.context.span_id] * 2
    assert attributes(clauses[0])[names.TTS_QUEUE_MS] == 250.0
    assert attributes(clauses[0])[names.TTS_SYNTHESIS_MS] == pytest.approx(20.0)
    assert trace.count("utterances_ended_total", engine="hibari", result="finished") == 1
    assert trace.count("synthesis_seconds_count", engine="hibari") == 1, "what was cached cost no synthesis"
    assert trace.count("utterances") == 0


def test_an_interruption_is_told_and_is_no_error(trace: Trace) -> None:
    utterance = trace.utterance()
    utterance.not_made(utterance.clause(), None)
    utterance.close(200.0)
    for span in trace.spans:
        assert attributes(span)[names.TTS_RESULT] == "cancelled"
        assert span.status.status_code is StatusCode.UNSET
    assert trace.count("utterances_ended_total", engine="hibari", result="cancelled") == 1
    assert trace.kept == []


def test_a_clause_that_fails_is_its_own_error(trace: Trace) -> None:
    utterance = trace.utterance()
    utterance.not_made(utterance.clause(), RuntimeError("engine"))
    utterance.made(utterance.clause(), take(), asked=1.0)
    utterance.spoken(False)
    utterance.finished()
    utterance.close(500.0)
    assert [one.name for one in trace.spans if one.status.status_code is StatusCode.ERROR] == [names.TTS_CLAUSE]
    assert attributes(trace.one(names.TTS_UTTERANCE))[names.TTS_RESULT] == "finished"
    assert trace.kept == ["speech failed"]


def test_an_utterance_with_nothing_to_hear_has_failed(trace: Trace) -> None:
    utterance = trace.utterance()
    utterance.not_made(utterance.clause(), RuntimeError("engine"))
    utterance.finished()
    utterance.close(20.0)
    span = trace.one(names.TTS_UTTERANCE)
    assert span.status.description == "the engine failed on every clause"
    assert attributes(span)[names.TTS_RESULT] == "failed"


def test_a_lost_bus_is_the_utterances_error(trace: Trace) -> None:
    utterance = trace.utterance()
    utterance.failed(AudioLost("no NATS server for 4 s"))
    utterance.close(500.0)
    span = trace.one(names.TTS_UTTERANCE)
    assert attributes(span)[names.ERROR_TYPE] == "AudioLost"
    assert [(event.attributes or {})["exception.message"] for event in span.events] == ["no NATS server for 4 s"]
    assert trace.count("utterances_ended_total", engine="hibari", result="failed") == 1
    assert trace.kept == ["speech failed"]


def test_what_cannot_begin(trace: Trace) -> None:
    refused(START, TURN, "engine hibari has no voice 'nobody'")
    span = trace.one(names.TTS_UTTERANCE)
    assert span.status.description == "engine hibari has no voice 'nobody'"
    assert attributes(span)[names.ERROR_TYPE] == "bad_request"


def test_without_text_there_is_no_span(trace: Trace) -> None:
    UtteranceSpan(START, TURN, "hibari", trace.metrics).close(0.0)
    assert trace.spans == []
    assert trace.count("utterances_ended_total", engine="hibari", result="cancelled") == 1
