"""Telemetry's metrics about itself: counters that are there anyway, read when they are scraped."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from services.common.telemetry import log, trace
from services.common.telemetry.schema import process_metrics as m

RESULTS = (("exported",), ("unsampled",), ("dropped",), ("failed",))


class TelemetryMetrics(Collector):
    """Registers itself. Without an endpoint there are no spans to count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        registry.register(self)

    def collect(self) -> Iterator[Family]:
        if (path := trace.path()) is not None:
            path.tick()
            spans = (path.exported, path.unsampled, path.dropped, path.failed)
            yield m.SPANS.filled(zip(RESULTS, spans, strict=True))
            yield m.SPANS_HELD.filled([((), path.held)])
        yield m.LOG_LINES_SUPPRESSED.filled([((), log.suppressed())])
