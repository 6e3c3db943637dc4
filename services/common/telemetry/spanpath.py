"""The way of a span: drawn at its start, at its end queued for export, held or gone. The edge around sampling.py.

Counts are plain attributes, read when metrics are scraped.
"""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState, get_current_span
from opentelemetry.util.types import Attributes

from services.common.telemetry import names
from services.common.telemetry.log import logger
from services.common.telemetry.sampling import Bounds, HeldSpans, drawn

# A root span must be seen while the call still rings on; the default of 5 s is for batch jobs.
EXPORT_EVERY_MS: Final = 500
# Encoding holds the interpreter's lock, for some 40 us a span: 2.5 ms at once. More at once would save 7 us a span.
BATCH: Final = 64
# Of 50 calls at a time a minute's or more; 16 MB.
QUEUE: Final = 4096
EXPORT_TIMEOUT_S: Final = 2.0


class SpanPath(SpanProcessor):
    """Takes every span of the process; of a trace that was not drawn it holds them. Any thread may use it."""

    def __init__(self, exporter: SpanExporter, target: str, bounds: Bounds | None = None) -> None:
        self._exporting = _Counting(exporter, target)
        self._batches = BatchSpanProcessor(
            self._exporting,
            # Never full: `dropped` is counted here, where the SDK would only write a line a span.
            max_queue_size=QUEUE + BATCH,
            schedule_delay_millis=EXPORT_EVERY_MS,
            max_export_batch_size=BATCH,
        )
        self._lock = threading.Lock()
        self._queued = 0
        self._overflowed = 0
        self._tail: HeldSpans[ReadableSpan] = HeldSpans(bounds or Bounds())

    @property
    def exported(self) -> int:
        return self._exporting.exported

    @property
    def failed(self) -> int:
        """Spans that the collector did not take."""
        return self._exporting.failed

    @property
    def unsampled(self) -> int:
        """Spans of calls that were not drawn and that nobody wanted."""
        return self._tail.unsampled

    @property
    def dropped(self) -> int:
        """Spans that were too many: for the queue to the collector, or to be held."""
        return self._overflowed + self._tail.overflowed

    @property
    def held(self) -> int:
        return self._tail.held

    def why(self, trace_id: int) -> str | None:
        """Why a trace is kept that was not drawn. Without the lock, for each span that begins asks."""
        return self._tail.why(trace_id)

    def on_end(self, span: ReadableSpan) -> None:
        context = span.context
        if context is None:
            return
        with self._lock:
            if context.trace_flags.sampled:
                self._queue(span)
            elif (why := self._tail.ended(context.trace_id, span, time.monotonic())) is not None:
                self._queue(_kept(span, context, why))

    def keep(self, trace_id: int, why: str) -> bool:
        """What is held of the trace is exported, and what comes. False when that was known."""
        with self._lock:
            if self._tail.why(trace_id) is not None:
                return False
            for span in self._tail.keep(trace_id, why, time.monotonic()):
                assert span.context is not None
                self._queue(_kept(span, span.context, why))
            return True

    def call_over(self, trace_id: int) -> None:
        """What is held of the trace may go, after a grace."""
        with self._lock:
            self._tail.over(trace_id, time.monotonic())

    def tick(self) -> None:
        with self._lock:
            self._tail.tick(time.monotonic())

    def close(self, within_s: float) -> None:
        """Exports what is queued; what is not out within that time is lost."""
        last = threading.Thread(target=self._batches.shutdown, name="last export", daemon=True)
        last.start()
        last.join(within_s)
        self._exporting.close()

    def shutdown(self) -> None:
        self.close(EXPORT_TIMEOUT_S)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Returns when what is queued is out, or the time is up: the SDK's own takes as long as it takes."""
        flushing = threading.Thread(target=self._batches.force_flush, name="flush", daemon=True)
        flushing.start()
        flushing.join(timeout_millis / 1000)
        return not flushing.is_alive()

    def _queue(self, span: ReadableSpan) -> None:
        if self._queued - self._exporting.taken >= QUEUE:
            self._overflowed += 1
            return
        self._queued += 1
        self._batches.on_end(span)


def _kept(span: ReadableSpan, context: SpanContext, why: str) -> ReadableSpan:
    """As one that was drawn, or exporters would not look at it."""
    return ReadableSpan(
        name=span.name,
        context=SpanContext(
            context.trace_id,
            context.span_id,
            context.is_remote,
            TraceFlags(context.trace_flags | TraceFlags.SAMPLED),
            context.trace_state,
        ),
        parent=span.parent,
        resource=span.resource,
        attributes={**(span.attributes or {}), names.TELEMETRY_KEPT: why},
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


class HeadSampler(Sampler):
    """All spans of a trace that was drawn here or by whoever began it; the others are recorded, to be held.

    Without a path nothing is recorded: ids are made, so that context travels and log lines of a call belong together.
    """

    def __init__(self, ratio: float, path: SpanPath | None) -> None:
        self._ratio = ratio
        self._path = path

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = get_current_span(parent_context).get_span_context()
        state = parent.trace_state if parent.is_valid else None
        if self._path is None:
            return SamplingResult(Decision.DROP, trace_state=state)
        if drawn(trace_id, self._ratio) or (parent.is_valid and parent.trace_flags.sampled):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, state)
        if (why := self._path.why(trace_id)) is not None:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, {**(attributes or {}), names.TELEMETRY_KEPT: why}, state)
        return SamplingResult(Decision.RECORD_ONLY, attributes, state)

    def get_description(self) -> str:
        return f"TandemHeadSampler{{{self._ratio:g}}}"


class _Counting(SpanExporter):
    """An exporter whose spans are counted, and which says once that it fails and once that it works again."""

    def __init__(self, exporter: SpanExporter, target: str) -> None:
        self._exporter = exporter
        self._target = target
        self._words = _LastWords()
        self._failing = False
        self._lost = 0
        self.taken = 0
        """Spans that left the queue."""
        self.exported = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # whatever is wrong with telemetry, it is only telemetry
            self._words.last = repr(error)
            result = SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            self.exported += len(spans)
            if self._failing:
                self._failing = False
                logger().info("traces_exported_again", endpoint=self._target, lost_spans=self._lost)
        else:
            self.failed += len(spans)
            self._lost = self._lost + len(spans) if self._failing else len(spans)
            if not self._failing:
                self._failing = True
                logger().warning(
                    "traces_not_exported",
                    endpoint=self._target,
                    error=self._words.last,
                    consequence="spans are lost until it answers; calls go on",
                )
        return result

    def close(self) -> None:
        """Ends an export that is under way, too."""
        self._exporter.shutdown()

    def shutdown(self) -> None:
        """`close` does it, when the time for the last export is over."""


class _LastWords(logging.Filter):
    """Keeps what the exporter says to itself: it says so for every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""
        for module in ("opentelemetry.exporter.otlp.proto.grpc.exporter", "opentelemetry.sdk._shared_internal"):
            logging.getLogger(module).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        self.last = record.getMessage()
        return False
