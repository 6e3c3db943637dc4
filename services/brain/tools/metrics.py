"""The brain's metrics of its tools. Names are a contract: dashboards and alerts read them, and a test lists them.

`tool` is a tool's name in tools.yaml, `system` what it calls: a bulkhead's name, and so a host unless one was given.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from services.brain.breaker import Breaker, State
from services.brain.tools.bulkhead import Bulkhead
from services.brain.tools.result import FAILURE_CODES, ToolResult
from services.common.telemetry.metrics import REGISTRY
from services.common.telemetry.schema.tool_metrics import (
    AT_ONCE,
    ATTEMPTS,
    BREAKER,
    CALLS,
    DURATION,
    METRICS,
    RUNNING,
    WAITING,
)

_STATES = {State.CLOSED: 0.0, State.HALF_OPEN: 1.0, State.OPEN: 2.0}


class ToolMetrics(Collector):
    """All of METRICS, of one brain process: on its event loop, where it is also scraped. `close` when it ends."""

    def __init__(
        self,
        bulkheads: Callable[[], Iterable[Bulkhead]],
        breakers: Callable[[], Mapping[tuple[str, str], Breaker]],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        """`breakers` are by system and tool."""
        self._bulkheads = bulkheads
        self._breakers = breakers
        self._registry = registry
        self._calls: dict[tuple[str, str], int] = {}
        self._attempts: dict[tuple[str], int] = {}
        self._duration = DURATION.histogram()
        registry.register(self)

    def close(self) -> None:
        self._registry.unregister(self)

    def declared(self, tool: str) -> None:
        """It may be called from now on. An alert on its first failure needs the 0 before it."""
        for code in ("ok", "refused", *sorted(FAILURE_CODES - {"refused"})):
            self._calls.setdefault((tool, code), 0)
        self._attempts.setdefault((tool,), 0)

    def called(self, tool: str, result: ToolResult, exemplar: dict[str, str] | None = None) -> None:
        """A call is over. `exemplar` leads to its trace."""
        code = "ok" if result.ok else result.code if result.code in FAILURE_CODES else "refused"
        self._calls[tool, code] = self._calls.get((tool, code), 0) + 1
        self._attempts[(tool,)] = self._attempts.get((tool,), 0) + result.attempts
        self._duration.labels(tool).observe(result.duration_ms / 1000, exemplar)

    def describe(self) -> Iterable[Family]:
        return [one.family() for one in METRICS]

    def collect(self) -> Iterator[Family]:
        yield CALLS.filled(self._calls.items())
        yield ATTEMPTS.filled(self._attempts.items())
        yield from self._duration.collect()
        yield BREAKER.filled(((at, _STATES[one.state]) for at, one in self._breakers().items()))
        bulkheads = list(self._bulkheads())
        yield RUNNING.filled(((one.name,), one.running) for one in bulkheads)
        yield WAITING.filled(((one.name,), one.waiting) for one in bulkheads)
        yield AT_ONCE.filled(((one.name,), one.at_once) for one in bulkheads)
