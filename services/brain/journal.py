"""The call's journal in NATS KV: what another brain needs to go on (DESIGN §7)."""

import asyncio
from collections.abc import Callable

import nats.errors
from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from services.common.telemetry.log import logger
from tandem.v1.call_pb2 import CallJournal

BUCKET = "calls"
# Long enough to look into yesterday's call, short enough not to become a record of people.
KEPT_S = 24 * 3600.0

_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)


async def read_journal(bucket: KeyValue, call_id: str) -> tuple[CallJournal, int] | None:
    """The journal and its revision; None when the call is new."""
    try:
        entry = await bucket.get(call_id)
    except KeyNotFoundError:
        return None
    return CallJournal.FromString(entry.value or b""), entry.revision or 0


class JournalWriter:
    """Writes the newest state behind the conversation's back, compare-and-set, with retry.

    A KV write can fail for seconds after a leader died; the conversation goes on meanwhile and only the newest state is
    written afterwards.
    """

    def __init__(
        self,
        bucket: KeyValue,
        journal: CallJournal,
        revision: int,
        on_fenced: Callable[[], None],
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`told`: what came of each write: done, repeated, fenced, given_up."""
        self.journal = journal
        self._bucket = bucket
        self._revision = revision
        self._on_fenced = on_fenced
        self._told = told
        self._wanted = 0
        self._written = 0
        self._changed = asyncio.Event()
        self._settled = asyncio.Condition()
        self._fenced = False
        self._task = asyncio.create_task(self._run())

    @property
    def fenced(self) -> bool:
        """Another brain has the call: nothing is written any more, and nothing may be begun."""
        return self._fenced

    def save(self) -> int:
        """Asks for the state of now to be written; returns a number for `written`."""
        self._wanted += 1
        self._changed.set()
        return self._wanted

    async def written(self, number: int, within_s: float) -> bool:
        """Waits until the state of `save`'s number is safe; False when it is not in time."""
        try:
            async with asyncio.timeout(within_s), self._settled:
                await self._settled.wait_for(lambda: self._written >= number or self._fenced)
        except TimeoutError:
            return False
        return not self._fenced

    async def close(self) -> None:
        """Writes the last state, for at most 2 s."""
        if not await self.written(self.save(), 2.0) and not self._fenced:
            self._told("given_up")
        self._task.cancel()

    async def _run(self) -> None:
        while not self._fenced:
            await self._changed.wait()
            self._changed.clear()
            number = self._wanted
            await self._write(self.journal.SerializeToString())
            async with self._settled:
                self._written = number
                self._settled.notify_all()

    async def _write(self, value: bytes) -> None:
        attempt = 0
        while True:
            try:
                if self._revision:
                    self._revision = await self._bucket.update(self.journal.facts.call_id, value, self._revision)
                else:
                    self._revision = await self._bucket.create(self.journal.facts.call_id, value)
                self._told("done")
                return
            except (APIError, nats.errors.Error, OSError) as error:
                if isinstance(error, KeyWrongLastSequenceError) and await self._overtaken():
                    return
                self._told("repeated")
                logger().warning("journal not written, trying again", error=repr(error), attempt=attempt)
            await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
            attempt += 1

    async def _overtaken(self) -> bool:
        """Somebody else wrote: an owner of a later epoch, or ourselves in a write whose answer was lost."""
        try:
            found = await read_journal(self._bucket, self.journal.facts.call_id)
        except (APIError, nats.errors.Error, OSError):
            return False
        if found is None:
            self._revision = 0
            return False
        other, self._revision = found
        if other.owner_epoch <= self.journal.owner_epoch:
            return False
        self._fenced = True
        self._told("fenced")
        self._on_fenced()
        return True
