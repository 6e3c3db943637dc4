"""What a call's recognition leaves in its trace: under which span, with what, and never what was said."""

from collections.abc import Iterator

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from services.asr import calltelemetry
from services.asr.calltelemetry import CallTelemetry
from services.asr.metrics import BAD_REQUEST, OVERLOADED, AsrMetrics
from services.asr.passes import Outcome, Passes
from services.asr.provider import ProviderFailed
from services.asr.schedule import Kind
from services.asr.segment import Segment
from services.asr.whisper import NOTHING, Transcript, WordHeard
from services.common.telemetry import names
from services.common.telemetry.trace import context_from_traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
OPENED, TURN_1, TURN_2 = "b7ad6b7169203331", "00f067aa0ba902b7", "00f067aa0ba902b8"
SAID = Transcript("my name is Ada", (WordHeard("my", 0.0, 0.3, 0.9),) * 4, 0.9, "en")
CLIP = Segment(np.zeros(16_000, np.int16), 8000, ((0, 0),))
NOW = 100.0


def under(span_id: str) -> str:
    return f"00-{TRACE}-{span_id}-01"


def outcome(kind: Kind = Kind.FINAL, heard: Transcript = SAID, error: Exception | None = None) -> Outcome:
    return Outcome(heard, NOW - 1.0, NOW - 0.75, NOW - 0.25, error, kind=kind, model="tiny.en", overload=1)


class Trace:
    """A call's spans and metrics."""

    def __init__(self, passes: Passes, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter
        self.metrics = AsrMetrics(passes)
        self.kept: list[str] = []

    def call(self, record_pii: bool = False) -> CallTelemetry:
        context = context_from_traceparent(under(OPENED))
        return CallTelemetry("c1", context, self.metrics, record_pii, clock=lambda: NOW)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def one(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trace]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(calltelemetry, "tracer", lambda: provider.get_tracer("test"))
    passes = Passes(lambda segment, language, prompt: SAID, 1)
    one = Trace(passes, exporter)
    monkeypatch.setattr("services.common.telemetry.trace.keep", lambda traceparent, why: one.kept.append(why))
    yield one
    passes.close()


def parent(span: ReadableSpan) -> str:
    assert span.parent is not None
    return format(span.parent.span_id, "016x")


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def turn(call: CallTelemetry, span_id: str) -> None:
    call.turn(context_from_traceparent(under(span_id)))


def test_listening_ends_with_the_first_replay(trace: Trace) -> None:
    call = trace.call()
    call.replayed(NOW - 0.1, 50, 2_000_000, answered=True, missing=False, error=None)
    call.replayed(NOW - 0.2, 3, None, answered=True, missing=True, error=None)
    call.close()
    listen, again = trace.one(names.ASR_LISTEN), trace.one(names.ASR_REPLAY)
    assert parent(listen) == OPENED
    assert attributes(listen) == {
        names.CALL_ID: "c1",
        names.RPC_SYSTEM: "grpc",
        names.RPC_METHOD: "tandem.v1.Recognizer/Recognize",
        names.MESSAGING_SYSTEM: "nats",
        names.MESSAGING_DESTINATION: "tandem.audio.{call_id}.replay",
        names.ASR_REPLAYED_FRAMES: 50,
        names.ASR_FROM_MS: 2000.0,
    }
    assert listen.status.status_code is StatusCode.UNSET
    assert attributes(again)[names.ERROR_TYPE] == "replay_incomplete"
    assert again.end_time - again.start_time >= 200_000_000  # type: ignore[operator]


def test_a_replay_that_nobody_answers(trace: Trace) -> None:
    trace.call().replayed(NOW, 0, None, answered=False, missing=False, error=OSError("no bus"))
    listen = trace.one(names.ASR_LISTEN)
    assert (listen.status.status_code, listen.status.description) == (StatusCode.ERROR, "no bus")
    assert [event.name for event in listen.events] == ["exception"]


@pytest.mark.parametrize("reason", [OVERLOADED, BAD_REQUEST])
def test_a_call_that_is_refused(trace: Trace, reason: str) -> None:
    call = trace.call()
    call.refused("finals wait too long here", reason)
    call.close()
    listen = trace.one(names.ASR_LISTEN)
    assert listen.status.description == "finals wait too long here"
    assert attributes(listen)[names.ERROR_TYPE] == reason


def test_a_call_that_cannot_be_heard(trace: Trace) -> None:
    call = trace.call()
    call.failed(RuntimeError("the network fell over"))
    call.close()
    assert trace.one(names.ASR_LISTEN).status.description == "the network fell over"
    later = trace.call()
    later.replayed(NOW, 0, None, answered=True, missing=False, error=None)
    later.failed(RuntimeError("the network fell over"))
    later.close()
    assert trace.kept == ["recognition failed"] * 2


def test_a_stream_that_ends_before_it_listens(trace: Trace) -> None:
    trace.call().close()
    assert trace.one(names.ASR_LISTEN).status.status_code is StatusCode.UNSET


def test_a_final_stands_under_its_turn_and_says_what_it_cost(trace: Trace) -> None:
    call = trace.call()
    call.began(1)
    turn(call, TURN_1)
    call.final(1, NOW - 1.0, CLIP, outcome())
    final = trace.one(names.ASR_FINAL)
    assert parent(final) == TURN_1
    assert attributes(final) == {
        names.CALL_ID: "c1",
        names.ASR_UTTERANCE: 1,
        names.ASR_QUEUE_MS: 250.0,
        names.ASR_DECODE_MS: 500.0,
        names.ASR_AUDIO_MS: 2000,
        names.ASR_WORDS: 4,
        names.ASR_MODEL: "tiny.en",
        names.ASR_REUSED: False,
        names.ASR_OVERLOAD: 1,
    }
    assert final.end_time - final.start_time >= 1_000_000_000  # type: ignore[operator]


def test_utterances_that_began_before_their_turns_were_told(trace: Trace) -> None:
    """As after a replay, when all of what was said is heard at once."""
    call = trace.call()
    call.began(1)
    call.began(2)
    turn(call, TURN_1)
    turn(call, TURN_2)
    call.final(1, NOW, CLIP, outcome())
    call.final(2, NOW, CLIP, outcome(Kind.HEAD_START))
    first, second = (one for one in trace.spans if one.name == names.ASR_FINAL)
    assert (parent(first), parent(second)) == (TURN_1, TURN_2)
    assert attributes(second)[names.ASR_REUSED] is True


def test_a_partial_has_the_times_of_its_pass(trace: Trace) -> None:
    call = trace.call()
    call.began(1)
    turn(call, TURN_1)
    call.partial(1, CLIP, outcome(Kind.PARTIAL))
    call.partial(1, CLIP, Outcome(NOTHING, NOW, NOW, NOW, shed=True, kind=Kind.PARTIAL))
    call.partial(1, CLIP, outcome(Kind.FINAL))
    partial = trace.one(names.ASR_PARTIAL)
    assert parent(partial) == TURN_1
    assert partial.end_time - partial.start_time == pytest.approx(750_000_000, abs=50_000_000)  # type: ignore[operator]
    assert attributes(partial)[names.ASR_HEAD_START] is False


def test_a_pass_that_failed_and_one_that_another_did(trace: Trace) -> None:
    call = trace.call()
    call.final(1, NOW, CLIP, outcome(heard=NOTHING, error=RuntimeError("the model fell over")))
    failed = trace.one(names.ASR_FINAL)
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "the model fell over")
    assert attributes(failed)[names.ERROR_TYPE] == "RuntimeError"
    assert [event.name for event in failed.events] == ["exception"]
    assert trace.kept == ["recognition failed"]
    stood_in = Transcript("yes", (), 0.9, "en", model="whisper-base", failure=ProviderFailed("no answer"))
    call.final(2, NOW, CLIP, outcome(heard=stood_in))
    other = trace.spans[-1]
    assert other.status.status_code is StatusCode.UNSET
    assert [(event.attributes or {})["exception.message"] for event in other.events] == ["no answer"]
    assert trace.kept == ["recognition failed"]


@pytest.mark.parametrize("record_pii", [False, True])
def test_what_was_said_is_there_only_when_allowed(trace: Trace, record_pii: bool) -> None:
    call = trace.call(record_pii)
    call.final(1, NOW, CLIP, outcome())
    call.partial(1, CLIP, outcome(Kind.PARTIAL))
    final, partial = trace.one(names.ASR_FINAL), trace.one(names.ASR_PARTIAL)
    assert (names.TURN_CALLER_TEXT in attributes(final)) is record_pii
    assert names.TURN_CALLER_TEXT not in attributes(partial)
    if not record_pii:
        assert "Ada" not in str([attributes(one) for one in trace.spans])
