"""The metrics of speech. Counted once an utterance or a clause; nothing is done a frame.

To be used on the event loop, where it is also scraped.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from services.common.telemetry.schema import tts_metrics as m

Result = Literal["finished", "cancelled", "failed"]
"""What becomes of an utterance; cancelled is no failure: the brain wanted no more of it."""
RESULTS: tuple[Result, ...] = ("finished", "cancelled", "failed")
Exemplar = dict[str, str] | None


class TtsMetrics(Collector):
    """All of METRICS, of one tts process. `close` when it ends."""

    def __init__(self, engine: str, registry: CollectorRegistry | None = None) -> None:
        """Without a registry it counts and nobody reads it. Raises ValueError when the registry has them already."""
        self._engine = engine
        self._registry = registry
        self._running = 0
        self._ended = Counter(dict.fromkeys(RESULTS, 0))
        self._clauses = Counter(dict.fromkeys(("yes", "no"), 0))
        self._audio_s = 0.0
        self._first_audio = m.FIRST_AUDIO.histogram()
        self._queue = m.QUEUE.histogram()
        self._synthesis = m.SYNTHESIS.histogram()
        if registry is not None:
            registry.register(self)

    def close(self) -> None:
        if self._registry is not None:
            self._registry.unregister(self)

    def utterance_began(self) -> None:
        self._running += 1

    def utterance_ended(self, result: Result) -> None:
        """Once for each that began."""
        self._running -= 1
        self._ended[result] += 1

    def first_audio(self, seconds: float, exemplar: Exemplar = None) -> None:
        """From the first clause's end to its first frame."""
        self._first_audio.labels(self._engine).observe(seconds, exemplar)

    def synthesized(self, queue_s: float, synthesis_s: float, audio_s: float, exemplar: Exemplar = None) -> None:
        """A clause was made, and not found in the cache."""
        self._queue.observe(max(queue_s, 0.0), exemplar)
        self._synthesis.labels(self._engine).observe(synthesis_s, exemplar)
        self._audio_s += audio_s

    def clause_spoken(self, from_cache: bool) -> None:
        self._clauses["yes" if from_cache else "no"] += 1

    def describe(self) -> Iterable[Family]:
        return [one.family() for one in m.METRICS]

    def collect(self) -> Iterator[Family]:
        engine = self._engine
        yield m.UTTERANCES.filled([((), self._running)])
        yield m.UTTERANCES_ENDED.filled((((engine, result), count) for result, count in self._ended.items()))
        yield from self._first_audio.collect()
        yield from self._queue.collect()
        yield from self._synthesis.collect()
        yield m.CLAUSES.filled((((engine, cached), count) for cached, count in self._clauses.items()))
        yield m.AUDIO.filled([((engine,), self._audio_s)])
