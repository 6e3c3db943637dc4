"""The journal writer outlives a sick NATS."""

import asyncio
from typing import Any

import nats.errors
from nats.js.errors import KeyWrongLastSequenceError

from services.brain.journal import JournalWriter
from tandem.v1.call_pb2 import CallFacts, CallJournal


class SickBucket:
    """The first write is done, but its answer is lost; then nothing can be read for a while."""

    def __init__(self) -> None:
        self.value = b""
        self.revision = 0
        self.sick_reads = 1
        self.lost_answers = 1

    async def create(self, key: str, value: bytes) -> int:
        return await self.update(key, value, 0)

    async def update(self, key: str, value: bytes, last: int) -> int:
        if last != self.revision:
            raise KeyWrongLastSequenceError
        self.value, self.revision = value, self.revision + 1
        if self.lost_answers:
            self.lost_answers -= 1
            raise nats.errors.TimeoutError
        return self.revision

    async def get(self, key: str) -> Any:
        if self.sick_reads:
            self.sick_reads -= 1
            raise nats.errors.TimeoutError
        return self


async def test_a_read_that_fails_behind_a_conflict_does_not_end_the_writing() -> None:
    bucket: Any = SickBucket()
    told: list[str] = []
    journal = CallJournal(facts=CallFacts(call_id="a"), owner_epoch=1)
    writer = JournalWriter(bucket, journal, 0, lambda: None, told.append)
    assert await writer.written(writer.save(), 1.0)
    await writer.close()
    assert bucket.revision > 1
    assert told == ["repeated"] * 3 + ["done"] * 2
    await asyncio.sleep(0)
