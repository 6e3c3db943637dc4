"""Real spans on their way: drawn, held, kept, queued, counted."""

import threading
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Span, Tracer

from services.common.telemetry import names, spanpath, trace
from services.common.telemetry.sampling import Bounds
from services.common.telemetry.spanpath import HeadSampler, SpanPath

DRAWN, NOT_DRAWN = "00-{:032x}-00000000000000aa-01", "00-{:032x}-00000000000000aa-00"


class Collected(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.result = SpanExportResult.SUCCESS
        self.go = threading.Event()
        self.go.set()
        self.closed = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        while not self.go.wait(0.01) and not self.closed.is_set():
            pass
        if self.result is SpanExportResult.SUCCESS:
            self.spans += spans
        return self.result

    def shutdown(self) -> None:
        self.closed.set()

    def names(self) -> list[str]:
        return [one.name for one in self.spans]


@pytest.fixture
def collected() -> Iterator[Collected]:
    made = Collected()
    yield made
    made.closed.set()


def sampled(span: Span) -> bool:
    return bool(int(trace.traceparent_of(span)[-2:], 16) & 1)


class Made:
    def __init__(self, collected: Collected, ratio: float, bounds: Bounds | None = None) -> None:
        self.path = SpanPath(collected, "the test", bounds)
        self.provider = TracerProvider(sampler=HeadSampler(ratio, self.path), shutdown_on_exit=False)
        self.provider.add_span_processor(self.path)
        self.tracer: Tracer = self.provider.get_tracer("test")

    def span(self, name: str, parent: str = "", attributes: dict[str, str] | None = None) -> Span:
        span = self.tracer.start_span(name, context=trace.context_from_traceparent(parent), attributes=attributes)
        span.end()
        return span


def test_all_are_drawn_and_exported(collected: Collected) -> None:
    made = Made(collected, 1.0)
    root = made.span("call.setup")
    # Who sent the call does not decide what we see of it.
    made.span("turn", NOT_DRAWN.format(7))
    assert sampled(root)
    made.path.close(5)
    assert collected.names() == ["call.setup", "turn"]
    assert (made.path.exported, made.path.held) == (2, 0)
    assert names.TELEMETRY_KEPT not in (collected.spans[0].attributes or {})


def test_a_call_that_was_not_drawn_is_held_and_says_so_to_others(collected: Collected) -> None:
    made = Made(collected, 0.0)
    root = made.span("call.setup")
    assert root.get_span_context().is_valid
    assert not sampled(root)
    made.span("turn", trace.traceparent_of(root))
    made.path.force_flush(5000)
    assert (collected.names(), made.path.held) == ([], 2)
    made.path.close(5)


def test_who_drew_it_before_us_is_followed(collected: Collected) -> None:
    made = Made(collected, 0.0)
    made.span("turn", DRAWN.format(7))
    made.path.close(5)
    assert collected.names() == ["turn"]


def test_what_was_held_is_exported_with_the_reason(collected: Collected) -> None:
    made = Made(collected, 0.0)
    root = made.span("call.setup", attributes={names.CALL_ID: "c1"})
    parent, trace_id = trace.traceparent_of(root), root.get_span_context().trace_id
    open_span = made.tracer.start_span("turn", context=trace.context_from_traceparent(parent))
    assert made.path.keep(trace_id, "slow turn")
    assert not made.path.keep(trace_id, "transferred")
    open_span.end()
    later = made.span("turn", parent)
    # Those who come after need not have heard the word.
    assert sampled(later)
    made.path.close(5)
    assert collected.names() == ["call.setup", "turn", "turn"]
    assert {(one.attributes or {})[names.TELEMETRY_KEPT] for one in collected.spans} == {"slow turn"}
    first = collected.spans[0]
    assert (first.attributes or {})[names.CALL_ID] == "c1"
    assert first.context is not None
    assert first.context.span_id == root.get_span_context().span_id
    assert first.resource is made.provider.resource
    assert first.end_time is not None


def test_without_an_endpoint_nothing_is_recorded_and_context_travels() -> None:
    tracer = TracerProvider(sampler=HeadSampler(1.0, None), shutdown_on_exit=False).get_tracer("test")
    root = tracer.start_span("call.setup")
    child = tracer.start_span("turn", context=trace.context_from_traceparent(trace.traceparent_of(root)))
    assert not root.is_recording()
    assert child.get_span_context().trace_id == root.get_span_context().trace_id != 0
    assert child.get_span_context().span_id != root.get_span_context().span_id


def test_a_queue_that_nobody_empties_drops_and_counts(collected: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spanpath, "QUEUE", 10)
    collected.go.clear()
    made = Made(collected, 1.0)
    for _ in range(200):
        made.span("turn")
    collected.go.set()
    made.path.close(5)
    assert made.path.exported + made.path.dropped == 200
    assert 10 <= made.path.exported <= 10 + 2 * spanpath.BATCH
    assert len(collected.spans) == made.path.exported


def test_what_the_collector_does_not_take_is_counted_and_told_once(
    collected: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, dict[str, object]]] = []

    class Log:
        def warning(self, event: str, **said: object) -> None:
            told.append((event, said))

        info = warning

    monkeypatch.setattr(spanpath, "logger", Log)
    made = Made(collected, 1.0)
    collected.result = SpanExportResult.FAILURE
    for _ in range(2):
        made.span("turn")
        assert made.path.force_flush(5000)
    collected.result = SpanExportResult.SUCCESS
    made.span("turn")
    made.path.close(5)
    assert (made.path.failed, made.path.exported) == (2, 1)
    assert [event for event, _ in told] == ["traces_not_exported", "traces_exported_again"]
    assert told[1][1]["lost_spans"] == 2


def test_an_exporter_that_hangs_is_left_behind(collected: Collected) -> None:
    made = Made(collected, 1.0)
    collected.go.clear()
    made.span("turn")
    made.path.close(0.05)
    assert collected.closed.is_set()


@pytest.mark.parametrize(
    "traceparent",
    ["", "nonsense", "00-12-34-00", "00-" + "g" * 32 + "-00000000000000aa-00", "00-" + "0" * 31 + "1-aa-xx"],
)
def test_a_malformed_traceparent_does_nothing(traceparent: str) -> None:
    trace.keep(traceparent, "failed")
    trace.call_over(traceparent)
    assert trace.exemplar(traceparent) is None


def test_the_word_goes_out_once(collected: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, str]] = []
    made = Made(collected, 0.0)
    monkeypatch.setattr(trace, "_path", made.path)
    monkeypatch.setattr(trace, "_tell", lambda trace_id, why: said.append((trace_id, why)))
    trace.keep(DRAWN.format(1), "slow turn")
    assert said == []
    assert trace.exemplar(NOT_DRAWN.format(7)) is None
    trace.keep(NOT_DRAWN.format(7), "slow turn")
    trace.keep(NOT_DRAWN.format(7), "transferred")
    trace.call_over(NOT_DRAWN.format(7))
    assert said == [(f"{7:032x}", "slow turn"), (f"{7:032x}", "")]
    assert trace.exemplar(NOT_DRAWN.format(7)) == {"trace_id": f"{7:032x}"} == trace.exemplar(DRAWN.format(7))
    made.path.close(5)


def test_what_others_say_is_not_said_again(collected: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    made = Made(collected, 0.0)
    monkeypatch.setattr(trace, "_path", made.path)
    monkeypatch.setattr(trace, "_tell", lambda trace_id, why: said.append(why))
    span = made.span("turn")
    trace.heard("no trace id", "slow turn")
    trace.heard(trace.trace_id_of(span), "slow turn")
    trace.keep(trace.traceparent_of(span), "slow turn")
    assert said == []
    made.path.close(5)
    assert collected.names() == ["turn"]
