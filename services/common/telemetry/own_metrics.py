"""Telemetry's metrics about itself: counters that are there anyway, read when they are scraped."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from services.common.telemetry import log, trace
from services.common.telemetry.schema import process_metrics as m
from services.common.telemetry.schema.metric import Metric

RESULTS = (("exported",), ("unsampled",), ("dropped",), ("failed",))


class TelemetryMetrics(Collector):
    """Registers itself. Without an endpoint there are no spans to count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        registry.register(self)

    def collect(self) -> Iterator[Family]:
        if (path := trace.path()) is not None:
            path.tick()
            spans = (path.exported, path.unsampled, path.dropped, path.failed)
            yield _family(m.SPANS, zip(RESULTS, spans, strict=True))
            yield _family(m.SPANS_HELD, [((), path.held)])
        yield _family(m.LOG_LINES_SUPPRESSED, [((), log.suppressed())])


def _family(metric: Metric, samples: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    family = metric.family()
    assert isinstance(family, CounterMetricFamily | GaugeMetricFamily)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family
