"""A brain's part in the records: its calls' events go out, a recorder writes them, and callers are remembered."""

import asyncio
from datetime import tzinfo

from nats.aio.client import Client
from prometheus_client import CollectorRegistry

from services.brain.agent.memory import Memory
from services.brain.records.event import CallEvents, Kept
from services.brain.records.memory import remembered
from services.brain.records.metrics import RecordMetrics
from services.brain.records.recorder import Recorder
from services.brain.records.repository import CallRecords
from services.brain.records.stream import RecordStream
from services.common.telemetry.metrics import REGISTRY
from tandem.v1.call_pb2 import CallFacts, CallJournal


class RecordKeeping:
    """Of one brain process. Neither SQL nor JetStream need to be there, then or later."""

    def __init__(
        self, control: Client, url: str, kept_days: int, pii: bool, registry: CollectorRegistry = REGISTRY
    ) -> None:
        """To be made on the event loop. `url`, `kept_days` and `pii`: BrainSettings' records_url, records_kept_days,
        record_pii. Raises ValueError for the URL."""
        self._records = CallRecords(url)
        self.stream = RecordStream(control)
        self._pii = pii
        recorder = Recorder(control, self._records, kept_days)
        self._metrics = RecordMetrics(self.stream, recorder, registry)
        self._task = asyncio.create_task(recorder.run(), name="recorder")

    def call(self, journal: CallJournal, memory: Memory | None) -> CallEvents:
        """The events of one call, once its journal has its owner's epoch."""
        return CallEvents(journal, Kept(self._pii, memory.days if memory else 0))

    async def remembered(self, memory: Memory | None, facts: CallFacts, zone: tzinfo) -> str:
        """What earlier calls of this number left, for the system message; "" as a rule; within 0.3 s."""
        return await remembered(self._records, memory, facts, zone)

    async def close(self) -> None:
        """Sends what waits, for 2 s at most. What is not written yet is left to another recorder."""
        await self.stream.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._records.close()
        self._metrics.close()
