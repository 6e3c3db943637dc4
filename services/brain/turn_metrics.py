"""The metrics of a brain's conversations and turns. Names and labels are a contract: dashboards and alerts read them.

To be used on the event loop, where it is also scraped.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from services.brain.turn_verdict import Conclusion
from services.common.telemetry.schema import turn_metrics as m
from services.common.telemetry.schema.metric import Metric
from services.common.telemetry.trace import exemplar

_OBSERVED = (m.TURN_LATENCY, m.TURN_PART, m.TURN_UNEXPLAINED, m.BARGE_IN)


class TurnMetrics(Collector):
    """All of turn_metrics.METRICS, of one brain process; in `registry`, or none. `close` when it ends."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Raises ValueError when the registry has those metrics already."""
        self._registry = registry
        self._counts: dict[Metric, dict[tuple[str, ...], int]] = {one: {} for one in m.METRICS if one.kind == "counter"}
        # An alert on the first one needs the 0 before it.
        self._counts[m.CONVERSATIONS_BEGUN] = {(one,): 0 for one in ("new", "taken_over", "refused")}
        self._counts[m.JOURNAL_WRITES] = {(one,): 0 for one in ("done", "repeated", "fenced", "given_up")}
        self._counts[m.SPECULATIONS] = {(one,): 0 for one in ("released", "discarded")}
        self._observed = {one: one.histogram() for one in _OBSERVED}
        self._live = 0
        if registry is not None:
            registry.register(self)

    def close(self) -> None:
        if self._registry is not None:
            self._registry.unregister(self)

    def concluded(self, turn: Conclusion) -> None:
        """A turn is over."""
        self._count(m.TURNS, turn.agent, turn.outcome.value)
        if (latency := turn.latency) is None:
            return
        trace = exemplar(turn.traceparent)
        self._observed[m.TURN_LATENCY].labels(turn.agent).observe(latency.ear_latency_ms / 1000, trace)
        for part, ms in latency.parts_ms.items():
            # Stamps of two processes may differ by a hair: nothing took less than no time.
            self._observed[m.TURN_PART].labels(part).observe(max(ms, 0.0) / 1000, trace)
        self._observed[m.TURN_UNEXPLAINED].observe(abs(latency.unexplained_ms) / 1000, trace)

    def false_cut_off(self, agent: str) -> None:
        """The caller went on with words before they could have heard the answer: the turn was not over."""
        self._count(m.FALSE_CUT_OFFS, agent)

    def barge_in(self, profile: str, decision: str, took_us: int, traceparent: str) -> None:
        """`took_us` from the caller's first sample to the decision."""
        self._count(m.BARGE_INS, profile, decision)
        self._observed[m.BARGE_IN].labels(decision).observe(took_us / 1e6, exemplar(traceparent))

    def speculation(self, result: str) -> None:
        """`released` or `discarded`."""
        self._count(m.SPECULATIONS, result)

    @contextmanager
    def conversation(self, taken_over: bool) -> Iterator[None]:
        """One lives within."""
        self._count(m.CONVERSATIONS_BEGUN, "taken_over" if taken_over else "new")
        self._live += 1
        try:
            yield
        finally:
            self._live -= 1

    def refused(self) -> None:
        """A conversation was not begun."""
        self._count(m.CONVERSATIONS_BEGUN, "refused")

    def journal_write(self, result: str) -> None:
        """`done`, `repeated`, `fenced` or `given_up`."""
        self._count(m.JOURNAL_WRITES, result)

    def escalation(self, agent: str, result: str) -> None:
        """`transferred`, `returned`, `call_gone` or `failed`."""
        self._count(m.ESCALATIONS, agent, result)

    def _count(self, metric: Metric, *labels: str) -> None:
        counts = self._counts[metric]
        counts[labels] = counts.get(labels, 0) + 1

    def describe(self) -> Iterable[Family]:
        return [one.family() for one in m.METRICS]

    def collect(self) -> Iterator[Family]:
        for metric, counts in self._counts.items():
            yield metric.filled(counts.items())
        for histogram in self._observed.values():
            yield from histogram.collect()
        yield m.CONVERSATIONS.filled([((), self._live)])
