"""The recogniser's metrics: the contract, and that they count what happened."""

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from services.asr.metrics import AsrMetrics
from services.asr.passes import Outcome, Passes
from services.asr.schedule import Kind
from services.asr.segment import Segment
from services.asr.whisper import NOTHING, Transcript, WordHeard
from services.common.telemetry.schema.asr_metrics import METRICS

SAID = Transcript("yes", (WordHeard("yes", 0.0, 0.3, 0.9),), 0.9, "en")
EXEMPLAR = {"trace_id": "0af7651916cd43dd8448eb211c80319c"}


def outcome(kind: Kind = Kind.FINAL, heard: Transcript = SAID, error: Exception | None = None) -> Outcome:
    """Waits 0.25 s, takes 0.5 s."""
    return Outcome(heard, 1.0, 1.25, 1.75, error, kind=kind, model="tiny.en")


def scrape(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """By a sample's name and its labels' values in alphabetical order of the labels."""
    text = generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    return {
        (sample.name.removeprefix("tandem_asr_"), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


@pytest.fixture
def passes() -> Iterator[Passes]:
    one = Passes(lambda segment, language, prompt: SAID, 2)
    yield one
    one.close()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(passes: Passes, registry: CollectorRegistry) -> Iterator[AsrMetrics]:
    one = AsrMetrics(passes, registry)
    yield one
    one.close()


def test_what_is_described_is_what_is_collected(metrics: AsrMetrics) -> None:
    metrics.final(outcome(), 2.0)
    described = {(one.name, one.type, one.documentation) for one in metrics.describe()}
    collected = [(one.name, one.type, one.documentation) for one in metrics.collect()]
    assert set(collected) == described
    assert len(collected) == len(METRICS)
    declared = {one.name: set(one.labels) for one in METRICS}
    for family in metrics.collect():
        for sample in family.samples:
            labels = declared.get(family.name) or declared.get(f"{family.name}_total") or set()
            assert set(sample.labels) - {"le"} == labels, sample


def test_finals_and_partials_by_what_became_of_them(metrics: AsrMetrics, registry: CollectorRegistry) -> None:
    metrics.final(outcome(), 2.0, EXEMPLAR)
    metrics.final(outcome(Kind.HEAD_START), 1.5)
    metrics.final(outcome(heard=NOTHING), 1.0)
    metrics.final(outcome(heard=NOTHING, error=RuntimeError("no")), 4.0)
    metrics.final_dropped()
    metrics.partial(outcome(Kind.PARTIAL))
    metrics.partial(Outcome(NOTHING, 1.0, 1.0, 1.0, shed=True, kind=Kind.PARTIAL))
    seen = scrape(registry)
    assert {key[1:]: value for key, value in seen.items() if key[0] == "passes_total"} == {
        ("final", "done"): 2,
        ("final", "reused"): 1,
        ("final", "failed"): 1,
        ("final", "dropped"): 1,
        ("partial", "done"): 1,
        ("partial", "failed"): 0,
        ("partial", "dropped"): 1,
    }
    assert seen["empty_transcripts_total",] == 1
    assert seen["audio_seconds_total", "tiny.en"] == 4.5
    assert seen["queue_seconds_count", "final"] == 3, "a reused pass waited as what it was"
    assert seen["queue_seconds_sum", "partial"] == 0.25
    assert seen["decode_seconds_count", "final", "tiny.en"] == 2
    assert "0af7651916cd43dd8448eb211c80319c" in generate_latest(registry).decode()  # type: ignore[no-untyped-call]


async def test_threads_calls_and_refusals(registry: CollectorRegistry) -> None:
    go, begun = threading.Event(), threading.Event()

    def wait(segment: Segment, language: str, prompt: str) -> Transcript:
        begun.set()
        assert go.wait(5)
        return SAID

    passes = Passes(wait, 1)
    metrics = AsrMetrics(passes, registry)
    sound = Segment(np.zeros(8, np.int16), 8000, ((0, 0),))
    asked = [passes.ask(sound, "en")]
    await asyncio.to_thread(begun.wait, 5)
    asked += [passes.ask(sound, "en")]
    early = passes.ask_early(Kind.PARTIAL, sound, "en")
    metrics.streams += 1
    metrics.refused("overloaded")
    metrics.replay("unanswered")
    metrics.frames_stale += 3
    seen = scrape(registry)
    assert (seen["passes_running",], seen["passes_at_once",]) == (1, 1)
    assert (seen["passes_waiting", "final"], seen["passes_waiting", "partial"]) == (1, 1)
    assert (seen["streams",], seen["frames_stale_total",], seen["overload_level",]) == (1, 3, 0)
    assert seen["streams_refused_total", "overloaded"] == 1
    assert (seen["replays_total", "answered"], seen["replays_total", "unanswered"]) == (0, 1)
    go.set()
    for one in asked:
        assert (await one.outcome()).kind is Kind.FINAL
    assert early is not None
    assert (await early.outcome()).kind is Kind.PARTIAL
    metrics.close()
    passes.close()
