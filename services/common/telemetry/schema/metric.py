"""What a metric is, and its labels. Declared in <service>_metrics.py beside this file, filled by the service."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


@dataclass(frozen=True, slots=True)
class Metric:
    """A name that dashboards and alerts rely on, as it is exposed, and what it means.

    `labels` have few values each, known from the settings or the code: never ids, numbers or words of people. Each is
    told in labels.py.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds, without the infinite one; of histograms alone."""

    def family(self) -> Family:
        """Without samples; for a collector, which reads when it is asked."""
        if self.kind == "counter":
            return CounterMetricFamily(self.name, self.help, labels=self.labels)
        if self.kind == "gauge":
            return GaugeMetricFamily(self.name, self.help, labels=self.labels)
        return HistogramMetricFamily(self.name, self.help, labels=self.labels)

    def filled(self, samples: Iterable[tuple[tuple[str, ...], float]]) -> Family:
        """A counter or gauge with its samples, by the values of the labels; for a collector."""
        family = self.family()
        assert isinstance(family, CounterMetricFamily | GaugeMetricFamily)
        for labels, value in samples:
            family.add_metric(labels, value)
        return family

    def histogram(self) -> Histogram:
        """For what is observed as it happens; in no registry."""
        return Histogram(self.name, self.help, self.labels, buckets=self.buckets, registry=None)
