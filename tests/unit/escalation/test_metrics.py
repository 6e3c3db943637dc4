"""The metrics of hand-overs: the contract, and that they count what happened."""

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from services.common.telemetry.schema.escalation_metrics import METRICS
from services.escalation.metrics import DELIVERED, LOST, REDELIVERED, RESULTS, EscalationMetrics

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> EscalationMetrics:
    return EscalationMetrics(registry)


def test_what_is_described_is_what_is_collected(metrics: EscalationMetrics) -> None:
    metrics.began()
    metrics.ended("returned", 31.0)
    described = {(one.name, one.type, one.documentation) for one in metrics.describe()}
    collected = [(one.name, one.type, one.documentation) for one in metrics.collect()]
    assert set(collected) == described
    assert len(collected) == len(METRICS)
    declared = {one.name: set(one.labels) for one in METRICS}
    for family in metrics.collect():
        for sample in family.samples:
            labels = declared.get(family.name) or declared.get(f"{family.name}_total") or set()
            assert set(sample.labels) - {"le"} == labels, sample


def test_hand_overs_and_tickets(metrics: EscalationMetrics, registry: CollectorRegistry) -> None:
    for _ in range(len(RESULTS) + 1):
        metrics.began()
    for result in RESULTS:
        metrics.ended(result, 12.0, {"trace_id": TRACE})
    metrics.ticket(DELIVERED)
    metrics.ticket(REDELIVERED, 3)

    def count(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"tandem_escalation_{name}", labels)

    assert count("transfers_running") == 1
    assert [count("transfers_total", result=result) for result in RESULTS] == [1] * 5
    assert count("transfer_seconds_sum", result="returned") == 12.0
    assert count("tickets_total", result=DELIVERED) == 1
    assert count("tickets_total", result=REDELIVERED) == 3
    assert count("tickets_total", result=LOST) == 0
    assert TRACE in generate_latest(registry).decode()  # type: ignore[no-untyped-call]
