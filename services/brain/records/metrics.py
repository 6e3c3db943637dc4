"""The metrics of a brain's records. Names and labels are a contract: dashboards and alerts read them."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from services.brain.records.recorder import Recorder
from services.brain.records.stream import RecordStream
from services.common.telemetry.metrics import REGISTRY
from services.common.telemetry.schema.record_metrics import EVENTS, METRICS, WAITING


class RecordMetrics(Collector):
    """All of METRICS, of one brain process. `close` when it ends."""

    def __init__(self, stream: RecordStream, recorder: Recorder, registry: CollectorRegistry = REGISTRY) -> None:
        """Raises ValueError when the registry has those metrics already."""
        self._stream, self._recorder, self._registry = stream, recorder, registry
        registry.register(self)

    def close(self) -> None:
        self._registry.unregister(self)

    def describe(self) -> Iterable[Family]:
        return [one.family() for one in METRICS]

    def collect(self) -> Iterator[Family]:
        stream, recorder = self._stream, self._recorder
        counts = {
            "sent": stream.sent,
            "dropped": stream.dropped,
            "written": recorder.written,
            "refused": recorder.refused,
        }
        yield EVENTS.filled(((result,), count) for result, count in counts.items())
        yield WAITING.filled([((), stream.waiting)])
