"""What a scrape is made of: families of samples."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family

from services.common.telemetry.schema.metric import Metric


def family(metric: Metric, samples: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    """A counter's or gauge's, by the values of its labels."""
    made = metric.family()
    assert isinstance(made, CounterMetricFamily | GaugeMetricFamily)
    for labels, value in samples:
        made.add_metric(labels, value)
    return made
