"""The call's line to the brain: one Converse stream, opened again elsewhere when it breaks."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc

from services.common.rpc import CALL_TRACEPARENT, HEARTBEAT_S, SILENCE_MEANS_DEAD_S, trace_metadata
from services.common.telemetry.log import logger
from services.gateway.recovery import Recovery
from tandem.v1 import brain_pb2 as pb
from tandem.v1.call_pb2 import CallFacts

if TYPE_CHECKING:
    from tandem.v1.brain_pb2_grpc import DialogueAsyncStub

REOPEN_WITHIN_S = 1.0
# Time for the brain to take the last event and close its journal.
_FAREWELL_S = 0.5


class DialogueLost(Exception):
    """The stream broke, or nothing came on it for too long; `heard` tells whether anything ever did."""

    def __init__(self, why: str, heard: bool) -> None:
        super().__init__(why)
        self.heard = heard


class Dialogue:
    """Events go up in order, commands come down to `on_command`.

    `on_lost` comes when the stream broke, before it is opened again. `call_time` stamps heartbeats and Started.
    `recovery` is told of each loss, and of whoever takes the call then.
    """

    def __init__(
        self,
        stub: "DialogueAsyncStub",
        facts: CallFacts,
        traceparent: str,
        call_time: Callable[[], int],
        on_command: Callable[[pb.CallCommand], None],
        on_lost: Callable[[], None],
        recovery: Recovery | None = None,
    ) -> None:
        self._stub = stub
        self._facts = facts
        self._traceparent = traceparent
        self._recovery = recovery or Recovery(facts, traceparent)
        self._call_time = call_time
        self._on_command = on_command
        self._on_lost = on_lost
        self._events: asyncio.Queue[pb.CallEvent | None] = asyncio.Queue()
        self._closing_at: float | None = None
        self._abandoned = False
        self._patience: asyncio.Timeout | None = None
        self._reported_us = 0
        self._heard_us = 0
        self.reopened = 0

    def report(self, event: pb.CallEvent) -> None:
        """Sends an event; while the stream is being opened again it waits."""
        if self._closing_at is None and not self._abandoned:
            self._reported_us = event.call_time_us
            self._events.put_nowait(event)

    def close(self, last: pb.CallEvent) -> None:
        """Sends a last event and ends the stream; `run` returns soon after."""
        self.report(last)
        self._closing_at = asyncio.get_running_loop().time()
        self._events.put_nowait(None)
        self._recovery.call_ended(self._call_time())
        if self._patience is not None:
            with suppress(RuntimeError):  # it has just ended
                self._patience.reschedule(self._closing_at + _FAREWELL_S)

    def abandon(self) -> None:
        """`run` is over and the call is not: what is reported from now on waits for nobody."""
        self._abandoned = True
        while not self._events.empty():
            self._events.get_nowait()

    async def run(self) -> bool:
        """Until the brain ends the conversation or `close` (True), or until no brain can be had (False)."""
        loop = asyncio.get_running_loop()
        while True:
            opened_at = loop.time()
            try:
                await self._converse(again=self.reopened > 0)
                return True
            except DialogueLost as lost:
                if self._closing_at is not None:
                    return True
                now_us = self._call_time()
                self._recovery.lost(str(lost), self._heard_us, now_us)
                # A brain that takes the call and drops it at once would have the caller hear nothing for ever.
                useless = not lost.heard or loop.time() - opened_at < SILENCE_MEANS_DEAD_S
                if self.reopened and useless:
                    logger().error("dialogue_lost", call_id=self._facts.call_id, why=str(lost))
                    return False
                logger().warning("dialogue_reopening", call_id=self._facts.call_id, why=str(lost))
                self.reopened += 1
                self._recovery.asked(now_us)
                self._on_lost()
                self._forget_what_only_the_last_brain_knew()

    async def _converse(self, again: bool) -> None:
        """One stream; returns when it ended in good order, raises DialogueLost."""
        stream: Any = self._stub.Converse(metadata=self._metadata(), wait_for_ready=again)
        started = pb.CallEvent(call_time_us=self._call_time(), started=pb.Started(facts=self._facts))
        writer = asyncio.create_task(self._write(stream, started))
        try:
            await self._read(stream, again)
        finally:
            writer.cancel()
            stream.cancel()
            with suppress(asyncio.CancelledError):
                await writer

    def _metadata(self) -> list[tuple[str, str]]:
        """A brain that takes over begins below `call.recovery`; its turns belong to the call all the same."""
        recovery = self._recovery.traceparent
        if not recovery:
            return trace_metadata(self._traceparent)
        return [*trace_metadata(recovery), (CALL_TRACEPARENT, self._traceparent)]

    async def _read(self, stream: Any, again: bool) -> None:
        loop = asyncio.get_running_loop()
        heard = False
        while True:
            limit_s = REOPEN_WITHIN_S if again and not heard else SILENCE_MEANS_DEAD_S
            try:
                async with asyncio.timeout(limit_s) as self._patience:
                    if self._closing_at is not None:
                        self._patience.reschedule(min(loop.time() + limit_s, self._closing_at + _FAREWELL_S))
                    command = await stream.read()
            except TimeoutError:
                raise DialogueLost(f"nothing heard for {limit_s} s", heard) from None
            except grpc.aio.AioRpcError as error:
                raise DialogueLost(f"{error.code().name}: {error.details()}", heard) from error
            if command is grpc.aio.EOF:
                status = await stream.code()
                if status is grpc.StatusCode.OK:
                    return
                raise DialogueLost(f"{status.name}: {await stream.details()}", heard)
            self._heard_us = self._call_time()
            if not heard:
                heard = True
                self._recovery.taken_over(self._heard_us)
            if command.WhichOneof("command") != "heartbeat":
                self._on_command(command)

    async def _write(self, stream: Any, started: pb.CallEvent) -> None:
        heartbeats = asyncio.create_task(self._heartbeats())
        try:
            event: pb.CallEvent | None = started
            while event is not None:
                await stream.write(event)
                event = await self._events.get()
            await stream.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # the reader sees the same and says why
        finally:
            heartbeats.cancel()

    async def _heartbeats(self) -> None:
        """Whatever is told shows that we live: only silence needs a sign of its own."""
        while True:
            quiet_s = (self._call_time() - self._reported_us) / 1e6
            if quiet_s >= HEARTBEAT_S:
                self.report(pb.CallEvent(call_time_us=self._call_time(), heartbeat=pb.Heartbeat()))
                quiet_s = 0
            await asyncio.sleep(HEARTBEAT_S - quiet_s)

    def _forget_what_only_the_last_brain_knew(self) -> None:
        """Keys, hold and bridges are news for any brain; playout reports and heartbeats were for the one lost."""
        waiting = [self._events.get_nowait() for _ in range(self._events.qsize())]
        for event in waiting:
            if event is None or event.WhichOneof("event") in ("dtmf", "hold_changed", "bridge_changed", "hung_up"):
                self._events.put_nowait(event)
