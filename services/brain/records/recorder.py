"""From the bus into SQL: any brain may run a recorder, and each event is taken by one of them."""

import asyncio
import contextlib
import time

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.client import JetStreamContext
from sqlalchemy.exc import DataError, IntegrityError

from services.brain.records.event import Malformed, decode
from services.brain.records.repository import UNAVAILABLE, CallRecords
from services.brain.records.schema import SchemaNewer
from services.brain.records.stream import BUS_ERRORS, STREAM, SUBJECTS, open_stream
from services.common.telemetry.log import logger
from tandem.v1.record_pb2 import CallRecord

DURABLE = "recorder"
SWEEP_EVERY_S = 3600.0

_BATCH = 100
_LOOK_EVERY = 10
_FETCH_S = 2.0
_BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
# Nothing is wrong with these but that no table takes them.
_REFUSED = (DataError, IntegrityError)


class Recorder:
    """Fetches events, writes them, and acknowledges them when they are safe. What is not acknowledged within
    `ack_wait_s`, because a recorder died, comes again: to any of them."""

    def __init__(
        self, control: Client, records: CallRecords, kept_days: int, ack_wait_s: float = 30.0, batch: int = _BATCH
    ) -> None:
        self.written = 0
        self.refused = 0
        self._jetstream: JetStreamContext = control.jetstream(timeout=5)
        self._records = records
        self._kept_days = kept_days
        self._ack_wait_s = ack_wait_s
        self._batch = batch
        self._sweep_at = 0.0

    async def run(self) -> None:
        """Until cancelled. Neither NATS nor SQL need to be there."""
        attempt = 0
        while True:
            written = self.written
            try:
                await self._work()
            except (*BUS_ERRORS, *UNAVAILABLE, SchemaNewer) as error:
                attempt = 0 if self.written > written else attempt + 1
                wait_s = _BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]
                logger().warning("records_not_written", error=str(error) or repr(error), again_in_s=wait_s)
                await asyncio.sleep(wait_s)

    async def _work(self) -> None:
        """One batch after another. Raises when something is away."""
        # SQL first: what cannot be written is not fetched.
        await self._records.prepare()
        await open_stream(self._jetstream)
        config = ConsumerConfig(
            durable_name=DURABLE,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._ack_wait_s,
            max_ack_pending=1000,
            filter_subject=SUBJECTS,
        )
        fetching = await self._jetstream.pull_subscribe(SUBJECTS, DURABLE, STREAM, config)
        empty = 0
        try:
            while True:
                await self._sweep()
                try:
                    messages = await fetching.fetch(self._batch, timeout=_FETCH_S)
                except nats.errors.TimeoutError:
                    # Nothing came; or there is no such consumer any more, which nobody tells us.
                    empty += 1
                    if empty % _LOOK_EVERY == 0:
                        await fetching.consumer_info()
                    continue
                await self._record(messages)
        finally:
            with contextlib.suppress(*BUS_ERRORS):
                await fetching.unsubscribe()

    async def _record(self, messages: list[Msg]) -> None:
        """Raises UNAVAILABLE; then all of them come again."""
        pairs: list[tuple[Msg, CallRecord]] = []
        for message in messages:
            try:
                pairs.append((message, decode(message.data)))
            except Malformed as error:
                await self._refuse(message, str(error))
        if not pairs:
            return
        try:
            await self._records.upsert(event for _, event in pairs)
        except _REFUSED:
            await self._one_by_one(pairs)
            return
        except UNAVAILABLE:
            for message, _ in pairs:
                await message.nak(delay=1.0)
            raise
        for message, _ in pairs:
            await message.ack()
        self.written += len(pairs)

    async def _one_by_one(self, pairs: list[tuple[Msg, CallRecord]]) -> None:
        """One of them is refused: the others are not to wait for it."""
        for message, event in pairs:
            try:
                await self._records.upsert([event])
            except _REFUSED as error:
                await self._refuse(message, str(error.orig), event.call_id)
                continue
            await message.ack()
            self.written += 1

    async def _refuse(self, message: Msg, why: str, call_id: str = "") -> None:
        """An event that will never be written must not come again and again."""
        self.refused += 1
        logger().error("record_refused", subject=message.subject, call_id=call_id, error=why, bytes=len(message.data))
        await message.term()

    async def _sweep(self) -> None:
        if time.monotonic() < self._sweep_at:
            return
        self._sweep_at = time.monotonic() + SWEEP_EVERY_S
        gone = await self._records.sweep(time.time_ns() // 1000, self._kept_days)
        if gone:
            logger().info("records_swept", calls=gone, kept_days=self._kept_days)
