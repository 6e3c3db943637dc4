"""Telling a call's record to the bus: JetStream stream `records`, which keeps events until they are in SQL."""

import asyncio
from collections import deque
from collections.abc import Iterable

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, BadRequestError, NotFoundError

from services.common.telemetry.log import logger
from tandem.v1.record_pb2 import CallRecord

STREAM = "records"
SUBJECTS = "tandem.records.*"
# What no recorder has fetched by then is given up, and so not kept beyond it either.
UNRECORDED_KEPT_S = 7 * 24 * 3600
# NATS sets it aside at once: a small volume must have it.
MOST_STREAM_BYTES = 256 << 20

BUS_ERRORS = (APIError, nats.errors.Error, OSError, TimeoutError)

_RETRY_S = (0.1, 0.5, 2.0, 5.0)
_AT_ONCE = 16


def record_subject(call_id: str) -> str:
    """CallRecord events of a call; `*` for all calls."""
    return f"tandem.records.{call_id}"


def message_id(event: CallRecord) -> str:
    """The same for the same event, so that one that is sent twice is kept once."""
    return f"{event.call_id}/{event.owner_epoch}.{event.sequence}"


class RecordStream:
    """Takes events and sends them behind the calls' backs. While NATS is away at most `most` events and `most_bytes` of
    them wait; then the oldest go, and `dropped` counts them: the last event of a call tells all of it again."""

    def __init__(self, control: Client, most: int = 10_000, most_bytes: int = 64 << 20) -> None:
        self.dropped = 0
        self.sent = 0
        self._jetstream: JetStreamContext = control.jetstream(timeout=5)
        self._most, self._most_bytes = most, most_bytes
        self._waiting: deque[tuple[str, str, bytes]] = deque()
        self._bytes = 0
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task = asyncio.create_task(self._run(), name="records")

    @property
    def waiting(self) -> int:
        """How many events are not sent yet."""
        return len(self._waiting)

    def emit(self, *events: CallRecord) -> None:
        """Never waits and never fails."""
        for event in events:
            payload = event.SerializeToString()
            self._waiting.append((record_subject(event.call_id), message_id(event), payload))
            self._bytes += len(payload)
        while len(self._waiting) > self._most or self._bytes > self._most_bytes:
            self._bytes -= len(self._waiting.popleft()[2])
            self.dropped += 1
        self._idle.clear()
        self._some.set()

    async def close(self, within_s: float = 2.0) -> None:
        """Sends what waits, for so long at most."""
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            logger().warning("records_not_sent", events=len(self._waiting))
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        attempt = 0
        while True:
            await self._some.wait()
            batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            if not batch:
                self._some.clear()
                self._idle.set()
                continue
            self._bytes -= sum(len(payload) for _, _, payload in batch)
            left, why = await self._send(batch)
            if not left:
                attempt = 0
                continue
            if attempt == 0:
                logger().warning("records_wait", error=why, events=len(left) + len(self._waiting), dropped=self.dropped)
            # In front again, oldest first; what came meanwhile may have filled the queue, and emit bounds it.
            self._waiting.extendleft(reversed(left))
            self._bytes += sum(len(payload) for _, _, payload in left)
            await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
            attempt += 1

    async def _send(self, batch: list[tuple[str, str, bytes]]) -> tuple[list[tuple[str, str, bytes]], str]:
        """Those that are not safe, and why."""
        answers = await asyncio.gather(*(self._send_one(*one) for one in batch), return_exceptions=True)
        left, why = [], ""
        for one, answer in zip(batch, answers, strict=True):
            if isinstance(answer, BaseException):
                left.append(one)
                why = repr(answer)
            else:
                self.sent += 1
        if why and "NoStreamResponse" in why:
            why = await self._mended(why)
        return left, why

    async def _send_one(self, subject: str, ident: str, payload: bytes) -> None:
        await self._jetstream.publish(subject, payload, timeout=5, stream=STREAM, headers={"Nats-Msg-Id": ident})

    async def _mended(self, why: str) -> str:
        """A server that was replaced by an empty one has no stream."""
        try:
            await open_stream(self._jetstream)
        except BUS_ERRORS as error:
            return repr(error)
        return why


async def open_stream(jetstream: JetStreamContext) -> None:
    """Makes the stream when it is not there. Raises BUS_ERRORS.

    A work queue: what is in SQL leaves it, so that people's words lie in one place only.
    """
    try:
        await jetstream.stream_info(STREAM)
    except NotFoundError:
        config = StreamConfig(
            name=STREAM,
            subjects=[SUBJECTS],
            storage=StorageType.FILE,
            retention=RetentionPolicy.WORK_QUEUE,
            discard=DiscardPolicy.OLD,
            max_age=UNRECORDED_KEPT_S,
            max_bytes=MOST_STREAM_BYTES,
            duplicate_window=120,
        )
        try:
            await jetstream.add_stream(config)
        except BadRequestError:  # another brain was faster
            await jetstream.stream_info(STREAM)


async def purge(jetstream: JetStreamContext, call_ids: Iterable[str]) -> None:
    """Takes these calls' events off the stream. Raises BUS_ERRORS."""
    for call_id in call_ids:
        try:
            await jetstream.purge_stream(STREAM, subject=record_subject(call_id))
        except NotFoundError:
            return
