"""The metrics of speech: the contract, and that they count what happened."""

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from services.common.telemetry.schema.tts_metrics import METRICS
from services.tts.metrics import RESULTS, TtsMetrics

TRACE = "0af7651916cd43dd8448eb211c80319c"


def scrape(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """By a sample's name and its labels' values in alphabetical order of the labels."""
    text = generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    return {
        (sample.name.removeprefix("tandem_tts_"), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> TtsMetrics:
    return TtsMetrics("hibari", registry)


def test_what_is_described_is_what_is_collected(metrics: TtsMetrics) -> None:
    metrics.first_audio(0.02)
    metrics.synthesized(0.0, 0.02, 1.0)
    described = {(one.name, one.type, one.documentation) for one in metrics.describe()}
    collected = [(one.name, one.type, one.documentation) for one in metrics.collect()]
    assert set(collected) == described
    assert len(collected) == len(METRICS)
    declared = {one.name: set(one.labels) for one in METRICS}
    for family in metrics.collect():
        for sample in family.samples:
            labels = declared.get(family.name) or declared.get(f"{family.name}_total") or set()
            assert set(sample.labels) - {"le"} == labels, sample


def test_utterances_and_clauses(metrics: TtsMetrics, registry: CollectorRegistry) -> None:
    for _ in range(4):
        metrics.utterance_began()
    for result in RESULTS:
        metrics.utterance_ended(result)
    metrics.first_audio(0.035, {"trace_id": TRACE})
    metrics.synthesized(0.01, 0.025, 1.5)
    metrics.clause_spoken(from_cache=False)
    metrics.clause_spoken(from_cache=True)
    metrics.clause_spoken(from_cache=True)
    seen = scrape(registry)
    assert seen["utterances",] == 1
    assert [seen["utterances_ended_total", "hibari", result] for result in RESULTS] == [1, 1, 1]
    assert (seen["clauses_total", "hibari", "yes"], seen["clauses_total", "hibari", "no"]) == (2, 1)
    assert seen["audio_seconds_total", "hibari"] == 1.5
    assert (seen["queue_seconds_sum",], seen["synthesis_seconds_sum", "hibari"]) == (0.01, 0.025)
    assert seen["first_audio_seconds_count", "hibari"] == 1
    assert TRACE in generate_latest(registry).decode()  # type: ignore[no-untyped-call]
