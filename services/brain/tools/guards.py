"""The bulkheads and breakers of one brain process: what all its calls and agents share."""

from collections.abc import Mapping
from types import MappingProxyType

from prometheus_client import CollectorRegistry

from services.brain.breaker import Breaker
from services.brain.tools.bulkhead import Bulkhead
from services.brain.tools.guarded_call import GuardedCall, Tool
from services.brain.tools.metrics import ToolMetrics


class Guards:
    """Makes each bulkhead once a name, and each breaker once a name and tool. `close` when the process ends."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """With a registry (telemetry.metrics.REGISTRY, once a process) there are metrics."""
        self._bulkheads: dict[str, Bulkhead] = {}
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._metrics: ToolMetrics | None = None
        if registry is not None:
            self._metrics = ToolMetrics(self._bulkheads.values, lambda: self._breakers, registry)

    @property
    def breakers(self) -> Mapping[tuple[str, str], Breaker]:
        """By bulkhead's name and tool's name."""
        return MappingProxyType(self._breakers)

    def guarded(self, tool: Tool) -> GuardedCall:
        """The tool behind its bulkhead and breaker."""
        limits = tool.declaration.bulkhead
        name = limits.name or tool.other_side
        bulkhead = self._bulkheads.get(name)
        if bulkhead is None:
            bulkhead = self._bulkheads[name] = Bulkhead(name, limits.at_once, limits.wait_ms / 1000)
        # An agent read again may say it otherwise: the newest counts.
        bulkhead.limit(limits.at_once, limits.wait_ms / 1000)
        at = (name, tool.declaration.name)
        breaker = self._breakers.setdefault(at, Breaker(f"{name} {tool.declaration.name}"))
        if self._metrics is not None:
            self._metrics.declared(tool.declaration.name)
        return GuardedCall(tool, bulkhead, breaker, self._metrics)

    def close(self) -> None:
        if self._metrics is not None:
            self._metrics.close()
