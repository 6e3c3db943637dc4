"""Dialogue.Converse: one stream a call, from the gateway."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from opentelemetry.trace import use_span

from services.brain.agents import Agents
from services.brain.conversation import Conversation
from services.brain.journal import read_journal
from services.brain.opening import Opening
from services.brain.surroundings import Surroundings
from services.common.rpc import CALL_TRACEPARENT, HEARTBEAT_S, SILENCE_MEANS_DEAD_S, abort, caller_traceparent
from services.common.telemetry.log import bind_call, logger
from tandem.v1.brain_pb2 import CallCommand, CallEvent, Heartbeat
from tandem.v1.brain_pb2_grpc import DialogueServicer
from tandem.v1.call_pb2 import ErrorReason


class GatewaySilent(ConnectionError):
    """The gateway is taken for dead: nothing came for SILENCE_MEANS_DEAD_S."""


class Dialogue(DialogueServicer):
    """Serves the conversations of one brain process."""

    def __init__(self, around: Surroundings, agents: Agents) -> None:
        self._around = around
        self._agents = agents

    async def Converse(  # the name in the contract
        self, request_iterator: AsyncIterator[CallEvent], context: "grpc.aio.ServicerContext[CallEvent, CallCommand]"
    ) -> AsyncIterator[CallCommand]:
        """Raises (as gRPC status) BAD_REQUEST without Started, AGENT_INVALID for an agent this brain does not have."""
        started = await self._started(request_iterator, context)
        facts = started.started.facts
        opening = Opening(facts, caller_traceparent(context), caller_traceparent(context, CALL_TRACEPARENT))
        if self._agents.get(facts.agent) is None:
            self._around.watch.metrics.refused()
            opening.failed("no such agent")
            reason = ErrorReason.ERROR_REASON_AGENT_INVALID
            await abort(context, grpc.StatusCode.NOT_FOUND, f"there is no agent folder {facts.agent!r}", reason)
        commands: asyncio.Queue[CallCommand | None] = asyncio.Queue()
        converse = self._converse(started, request_iterator, opening, commands.put_nowait)
        running = asyncio.create_task(converse)
        running.add_done_callback(lambda _: commands.put_nowait(None))
        try:
            async for command in _with_heartbeats(commands):
                yield command
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if not running.cancelled() and (error := running.exception()) is not None:
            # A stream that ends well is the end of the call; the gateway must look for another brain instead.
            await abort(context, grpc.StatusCode.INTERNAL, repr(error), ErrorReason.ERROR_REASON_UNSPECIFIED)

    async def _started(
        self, events: AsyncIterator[CallEvent], context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> CallEvent:
        event = await anext(aiter(events), None)
        if event is None or event.WhichOneof("event") != "started":
            text = "the first event of a Converse stream is Started"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, text, ErrorReason.ERROR_REASON_BAD_REQUEST)
        assert event is not None
        return event

    async def _converse(
        self,
        started: CallEvent,
        events: AsyncIterator[CallEvent],
        opening: Opening,
        send: Callable[[CallCommand], None],
    ) -> None:
        facts = started.started.facts
        bind_call(facts.call_id, opening.traceparent)
        metrics = self._around.watch.metrics
        try:
            before = await read_journal(self._around.journals, facts.call_id)
            lease = self._agents.lease(facts.agent, before[0].agent_version if before else "")
            if lease is None:
                metrics.refused()
                raise LookupError(f"the agent folder {facts.agent!r} is gone")
            with lease, metrics.conversation(before is not None), use_span(opening.span, end_on_exit=False):
                agent = lease.agent.for_call(facts)
                conversation = Conversation(
                    self._around,
                    agent,
                    lease.tools,
                    facts,
                    started.call_time_us,
                    opening,
                    send,
                    lease.models,
                    lease.guard,
                )
                await conversation.run(_alive(events), before)
        except GatewaySilent:
            logger().warning("gateway fell silent", call_id=facts.call_id)
        except Exception as error:
            opening.failed(f"brain: {type(error).__name__}")
            logger().exception("conversation failed", call_id=facts.call_id)
            raise
        finally:
            opening.close()


async def _alive(events: AsyncIterator[CallEvent]) -> AsyncIterator[CallEvent]:
    """The events; raises GatewaySilent when not even a heartbeat comes."""
    source = aiter(events)
    while True:
        try:
            async with asyncio.timeout(SILENCE_MEANS_DEAD_S):
                event = await anext(source, None)
        except TimeoutError:
            raise GatewaySilent from None
        if event is None:
            return
        yield event


async def _with_heartbeats(commands: "asyncio.Queue[CallCommand | None]") -> AsyncIterator[CallCommand]:
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                command = await commands.get()
        except TimeoutError:
            command = CallCommand(heartbeat=Heartbeat())
        if command is None:
            return
        yield command
