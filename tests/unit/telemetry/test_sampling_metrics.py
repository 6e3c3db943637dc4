"""Telemetry's own counters, as Prometheus gets them."""

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from services.common.telemetry import trace
from services.common.telemetry.own_metrics import TelemetryMetrics
from services.common.telemetry.spanpath import SpanPath

SPANS = "tandem_telemetry_spans_total"


def test_without_an_endpoint_only_lines_of_log_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_path", None)
    registry = CollectorRegistry()
    TelemetryMetrics(registry)
    assert registry.get_sample_value("tandem_telemetry_log_lines_suppressed_total") is not None
    assert registry.get_sample_value(SPANS, {"result": "exported"}) is None


def test_each_result_has_its_count(monkeypatch: pytest.MonkeyPatch) -> None:
    path = SpanPath(InMemorySpanExporter(), "the test")
    for name, count in (("taken", 9), ("exported", 7), ("failed", 2)):
        setattr(path._exporting, name, count)
    path._tail.held, path._tail.unsampled, path._tail.overflowed = 5, 4, 3
    path._overflowed = 1
    monkeypatch.setattr(trace, "_path", path)
    registry = CollectorRegistry()
    TelemetryMetrics(registry)
    found = {
        result: registry.get_sample_value(SPANS, {"result": result})
        for result in ("exported", "failed", "dropped", "unsampled")
    }
    assert found == {"exported": 7, "failed": 2, "dropped": 4, "unsampled": 4}
    assert registry.get_sample_value("tandem_telemetry_spans_held") == 5
    path.close(5)
