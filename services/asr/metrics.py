"""The recogniser's metrics. What it counts anyway is read when it is scraped, the rest counted once a pass or a call.

To be used on the event loop, where it is also scraped.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from services.asr.passes import Outcome, Passes
from services.asr.schedule import Kind
from services.common.telemetry.schema import asr_metrics as m

FINAL, PARTIAL = "final", "partial"
OVERLOADED, BAD_REQUEST = "overloaded", "bad_request"
"""Values of `reason`: why a call was not listened to."""
ANSWERED, INCOMPLETE, UNANSWERED = "answered", "incomplete", "unanswered"
"""Values of `result`: what came of a replay."""
Exemplar = dict[str, str] | None


class AsrMetrics(Collector):
    """All of METRICS, of one asr process. `close` when it ends."""

    def __init__(self, passes: Passes, registry: CollectorRegistry | None = None) -> None:
        """Without a registry it counts and nobody reads it. Raises ValueError when the registry has them already."""
        self._passes = passes
        self._registry = registry
        self.streams = 0
        """Calls that are listened to now."""
        self.frames_stale = 0
        self._refused = Counter(dict.fromkeys((OVERLOADED, BAD_REQUEST), 0))
        self._results = Counter(
            dict.fromkeys([(FINAL, "reused"), *((kind, r) for kind in (FINAL, PARTIAL) for r in _RESULTS)], 0)
        )
        self._audio_s: dict[str, float] = {}
        self._empty = 0
        self._replays = Counter(dict.fromkeys((ANSWERED, INCOMPLETE, UNANSWERED), 0))
        self._queue = m.QUEUE.histogram()
        self._decode = m.DECODE.histogram()
        if registry is not None:
            registry.register(self)

    def close(self) -> None:
        if self._registry is not None:
            self._registry.unregister(self)

    def refused(self, reason: str) -> None:
        """A call is not listened to: OVERLOADED or BAD_REQUEST."""
        self._refused[reason] += 1

    def replay(self, result: str) -> None:
        """The gateway was asked for frames: ANSWERED, INCOMPLETE or UNANSWERED."""
        self._replays[result] += 1

    def final(self, outcome: Outcome, audio_s: float, exemplar: Exemplar = None) -> None:
        """The brain was told a final: of a pass of its own, or of one that had begun before."""
        reused = outcome.kind is not Kind.FINAL
        result = "failed" if outcome.error else "reused" if reused else "done"
        self._results[FINAL, result] += 1
        if not reused:
            self._observe(FINAL, outcome, exemplar)
        if outcome.error is None:
            self._audio_s[outcome.model] = self._audio_s.get(outcome.model, 0.0) + audio_s
            self._empty += not outcome.transcript.words

    def final_dropped(self) -> None:
        """The stream ended before its final came."""
        self._results[FINAL, "dropped"] += 1

    def partial(self, outcome: Outcome, exemplar: Exemplar = None) -> None:
        """A pass before the end of its utterance is over, or was shed."""
        result = "dropped" if outcome.shed else "failed" if outcome.error else "done"
        self._results[PARTIAL, result] += 1
        if not outcome.shed:
            self._observe(PARTIAL, outcome, exemplar)

    def _observe(self, kind: str, outcome: Outcome, exemplar: Exemplar) -> None:
        self._queue.labels(kind).observe(outcome.queue_us / 1e6, exemplar)
        if outcome.error is None:
            self._decode.labels(kind, outcome.model).observe(outcome.decode_us / 1e6, exemplar)

    def describe(self) -> Iterable[Family]:
        return [one.family() for one in m.METRICS]

    def collect(self) -> Iterator[Family]:
        passes = self._passes
        waiting = passes.waiting
        early = sum(count for kind, count in waiting.items() if kind is not Kind.FINAL)
        yield m.STREAMS.filled([((), self.streams)])
        yield m.STREAMS_REFUSED.filled((((reason,), count) for reason, count in self._refused.items()))
        yield m.PASSES_RUNNING.filled([((), passes.running)])
        yield m.PASSES_AT_ONCE.filled([((), passes.at_once)])
        yield m.PASSES_WAITING.filled([((FINAL,), waiting[Kind.FINAL]), ((PARTIAL,), early)])
        yield m.PASSES.filled(self._results.items())
        yield from self._queue.collect()
        yield from self._decode.collect()
        yield m.AUDIO.filled((((model,), seconds) for model, seconds in self._audio_s.items()))
        yield m.EMPTY.filled([((), self._empty)])
        yield m.OVERLOAD.filled([((), int(passes.step))])
        yield m.REPLAYS.filled((((result,), count) for result, count in self._replays.items()))
        yield m.FRAMES_STALE.filled([((), self.frames_stale)])


_RESULTS = ("done", "dropped", "failed")
