"""The metrics of a brain's models. Names and labels are a contract: dashboards and alerts read them.

To be used on the event loop, where it is also scraped. `deployment` is a model's id in the agents' files.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from services.brain.breaker import State
from services.brain.models.ladder import Why
from services.brain.models.standings import Standings
from services.brain.models.step import Step, StepKind
from services.common.telemetry.metrics import REGISTRY
from services.common.telemetry.schema.metric import Metric
from services.common.telemetry.schema.model_metrics import (
    ATTEMPTS,
    BREAKER,
    COST,
    FIRST_TOKEN,
    HEDGES,
    METRICS,
    TOKENS,
    UNANSWERED,
)
from services.common.telemetry.trace import current_traceparent, exemplar

_STATES = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}
_OVER = (StepKind.DONE, StepKind.ABANDONED, StepKind.FAILED)


class ModelMetrics(Collector):
    """All of METRICS, of one brain process. `close` when it ends."""

    def __init__(self, standings: Standings, registry: CollectorRegistry = REGISTRY) -> None:
        """Raises ValueError when the registry has those metrics already."""
        self._standings = standings
        self._registry = registry
        self._counts: dict[Metric, dict[tuple[str, ...], float]] = {one: {} for one in METRICS if one.kind == "counter"}
        self._counts[UNANSWERED][()] = 0
        self._first_token = FIRST_TOKEN.histogram()
        registry.register(self)

    def close(self) -> None:
        self._registry.unregister(self)

    def observe(self, step: Step) -> None:
        """Each step of each answer, once; within the span of the turn that is answered, if there is one."""
        name = step.deployment
        if step.kind is StepKind.SPOKE:
            self._first_token.labels(name).observe(step.first_token_us / 1e6, exemplar(current_traceparent()))
        elif step.kind is StepKind.GAVE_UP:
            self._count(UNANSWERED, 1)
        if step.kind not in _OVER:
            return
        self._count(ATTEMPTS, 1, name, step.failure.value if step.failure else step.kind.value)
        if step.why is Why.HEDGE:
            self._count(HEDGES, 1, name, "won" if step.first_token_us else "lost")
        if step.usage is not None:
            for kind, tokens in (
                ("input", step.usage.input_tokens),
                ("output", step.usage.output_tokens),
                ("cached", step.usage.cached_tokens),
            ):
                self._count(TOKENS, tokens, name, kind)
            self._count(COST, step.usage.cost_usd or 0.0, name)

    def _count(self, metric: Metric, more: float, *labels: str) -> None:
        counts = self._counts[metric]
        counts[labels] = counts.get(labels, 0) + more

    def describe(self) -> Iterable[Family]:
        return [one.family() for one in METRICS]

    def collect(self) -> Iterator[Family]:
        for metric, counts in self._counts.items():
            yield metric.filled(counts.items())
        yield from self._first_token.collect()
        breakers = [one.breaker for one in self._standings]
        yield BREAKER.filled([((one.name,), _STATES[one.state]) for one in breakers])
