"""The metrics of turns: each has the labels that the schema declares, and leads to a trace that is kept."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics import exposition

from services.brain import turn_metrics
from services.brain.turn_metrics import TurnMetrics
from services.brain.turn_verdict import Conclusion, Outcome
from services.common.telemetry.schema import turn_metrics as m
from tandem.v1.call_pb2 import TurnLatency

TRACE = "00-" + "ab" * 16 + "-" + "01" * 8 + "-01"
LATENCY = TurnLatency(ear_latency_ms=812.5, parts_ms={"asr": 250.0, "transport": -0.4}, unexplained_ms=-3.0)


def everything(metrics: TurnMetrics) -> None:
    """Something for each of them."""
    metrics.concluded(Conclusion("desk", Outcome.ANSWERED, LATENCY, traceparent=TRACE))
    metrics.false_cut_off("desk")
    metrics.barge_in("greeting", "confirmed", 240_000, TRACE)
    metrics.speculation("released")
    metrics.refused()
    metrics.journal_write("repeated")
    metrics.escalation("desk", "returned")


def test_all_that_is_declared_is_there() -> None:
    registry = CollectorRegistry()
    metrics = TurnMetrics(registry)
    everything(metrics)
    with metrics.conversation(taken_over=True):
        assert registry.get_sample_value(m.CONVERSATIONS.name) == 1
    assert registry.get_sample_value(m.CONVERSATIONS.name) == 0
    assert registry.get_sample_value(m.CONVERSATIONS_BEGUN.name, {"result": "taken_over"}) == 1
    assert registry.get_sample_value(m.CONVERSATIONS_BEGUN.name, {"result": "refused"}) == 1
    found = {sample.name for family in registry.collect() for sample in family.samples}
    for metric in m.METRICS:
        assert metric.name in found or f"{metric.name}_bucket" in found
    assert registry.get_sample_value(m.TURN_PART.name + "_sum", {"part": "transport"}) == 0, "less than no time"
    assert registry.get_sample_value(m.TURN_UNEXPLAINED.name + "_sum") == pytest.approx(0.003)
    metrics.close()
    assert list(registry.collect()) == []


def test_what_is_slow_leads_to_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_metrics, "exemplar", lambda traceparent: {"trace_id": traceparent.split("-")[1]})
    registry = CollectorRegistry()
    everything(TurnMetrics(registry))
    page: Any = exposition.generate_latest(registry)  # type: ignore[no-untyped-call]
    shown = [line for line in page.decode().splitlines() if f'trace_id="{"ab" * 16}"' in line]
    assert {line.partition("_bucket")[0] for line in shown} == {
        m.TURN_LATENCY.name,
        m.TURN_PART.name,
        m.TURN_UNEXPLAINED.name,
        m.BARGE_IN.name,
    }


def test_what_alerts_count_stands_at_0_from_the_start() -> None:
    registry = CollectorRegistry()
    TurnMetrics(registry)
    for metric, results in (
        (m.JOURNAL_WRITES, ("done", "repeated", "fenced", "given_up")),
        (m.CONVERSATIONS_BEGUN, ("new", "taken_over", "refused")),
    ):
        assert [registry.get_sample_value(metric.name, {"result": one}) for one in results] == [0] * len(results)
