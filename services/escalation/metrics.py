"""The metrics of hand-overs. To be used on the event loop, where it is also scraped."""

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from services.common.telemetry.schema import escalation_metrics as m
from services.escalation.transfer import Result

GIVEN_UP = "given_up"
"""Besides the transfer's own results: the service was stopped before one came."""
RESULTS = (*(one.value for one in Result), GIVEN_UP)
DELIVERED, KEPT, REDELIVERED, LOST = "delivered", "kept", "redelivered", "lost"
"""Of tickets. Kept: in Tandem's own store alone, for now; lost: neither there nor at the ticket_url."""
TICKET_RESULTS = (DELIVERED, KEPT, REDELIVERED, LOST)
Exemplar = dict[str, str] | None


class EscalationMetrics(Collector):
    """All of METRICS, of one escalation process. `close` when it ends."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Without a registry it counts and nobody reads it. Raises ValueError when the registry has them already."""
        self._registry = registry
        self._running = 0
        self._ended = Counter(dict.fromkeys(RESULTS, 0))
        self._tickets = Counter(dict.fromkeys(TICKET_RESULTS, 0))
        self._seconds = m.TRANSFER.histogram()
        if registry is not None:
            registry.register(self)

    def close(self) -> None:
        if self._registry is not None:
            self._registry.unregister(self)

    def began(self) -> None:
        """A hand-over is under way."""
        self._running += 1

    def ended(self, result: str, seconds: float, exemplar: Exemplar = None) -> None:
        """Once for each that began; `result` is one of RESULTS."""
        self._running -= 1
        self._ended[result] += 1
        self._seconds.labels(result).observe(seconds, exemplar)

    def ticket(self, result: str, count: int = 1) -> None:
        """What became of a ticket: one of TICKET_RESULTS."""
        self._tickets[result] += count

    def describe(self) -> Iterable[Family]:
        return [one.family() for one in m.METRICS]

    def collect(self) -> Iterator[Family]:
        yield m.TRANSFERS_RUNNING.filled([((), self._running)])
        yield m.TRANSFERS.filled((((result,), count) for result, count in self._ended.items()))
        yield from self._seconds.collect()
        yield m.TICKETS.filled((((result,), count) for result, count in self._tickets.items()))
