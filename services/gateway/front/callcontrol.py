"""CallControl of a gateway with several workers: each question goes to who can answer it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import grpc

from services.common.rpc import abort, caller_traceparent, trace_metadata
from tandem.v1 import call_pb2
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.gateway_pb2_grpc import CallControlServicer

if TYPE_CHECKING:
    from tandem.v1.gateway_pb2_grpc import CallControlAsyncStub

_NEVER_REACHED = "abort returns never"
# A worker that hangs must not keep the others' answers back.
_ASK_S = 2.0
_NEWEST = ("", "last")

A = TypeVar("A")


class FrontCallControl(CallControlServicer):
    """`workers` gives the stub of each worker that is there, by number; it may change at any time."""

    def __init__(self, workers: Callable[[], dict[int, CallControlAsyncStub]]) -> None:
        self._workers = workers

    # One call, whose worker is the one that knows it

    async def Refer(self, request: pb.ReferRequest, context: Any) -> pb.ReferResponse:
        return await self._of_call(lambda stub, how: stub.Refer(request, **how), request.call_id, context)

    async def HangUp(self, request: pb.HangUpRequest, context: Any) -> pb.HangUpResponse:
        return await self._of_call(lambda stub, how: stub.HangUp(request, **how), request.call_id, context)

    async def Bridge(self, request: pb.BridgeRequest, context: Any) -> pb.BridgeResponse:
        """Both calls must be the same worker's."""
        return await self._of_call(lambda stub, how: stub.Bridge(request, **how), request.call_id, context)

    async def Unbridge(self, request: pb.UnbridgeRequest, context: Any) -> pb.UnbridgeResponse:
        return await self._of_call(lambda stub, how: stub.Unbridge(request, **how), request.call_id, context)

    async def Hold(self, request: pb.HoldRequest, context: Any) -> pb.HoldResponse:
        return await self._of_call(lambda stub, how: stub.Hold(request, **how), request.call_id, context)

    async def Whisper(self, request: pb.WhisperRequest, context: Any) -> pb.WhisperResponse:
        return await self._of_call(lambda stub, how: stub.Whisper(request, **how), request.call_id, context)

    async def Watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.WatchResponse]:
        async def begin(stub: CallControlAsyncStub, how: dict[str, Any]) -> tuple[Any, pb.WatchResponse]:
            stream: Any = stub.Watch(request, **how)
            return stream, await anext(aiter(stream))

        stream, first = await self._of_call(begin, request.call_id, context)
        try:
            yield first
            async for event in stream:
                yield event
        except grpc.aio.AioRpcError as error:
            await _pass_on(error, context)
        finally:
            stream.cancel()

    # All calls

    async def List(self, request: pb.ListRequest, context: Any) -> pb.ListResponse:
        answers = await self._of_all(lambda stub: stub.List(request, timeout=_ASK_S), context)
        return pb.ListResponse(calls=[call for answer in answers.values() for call in answer.calls])

    async def ListTrunks(self, request: pb.ListTrunksRequest, context: Any) -> pb.ListTrunksResponse:
        """As worker 0 sees them, which registers and pings; with the calls of all."""
        answers = await self._of_all(lambda stub: stub.ListTrunks(request, timeout=_ASK_S), context)
        trunks = {trunk.name: trunk for trunk in answers[min(answers)].trunks}
        for number in sorted(answers)[1:]:
            for trunk in answers[number].trunks:
                if trunk.name in trunks:
                    trunks[trunk.name].calls += trunk.calls
        return pb.ListTrunksResponse(trunks=trunks.values())

    async def Messages(self, request: pb.MessagesRequest, context: Any) -> pb.MessagesResponse:
        """Of a call that began in one worker and went on in the next after its end, both parts."""
        answers = await self._of_all(lambda stub: stub.Messages(request, timeout=_ASK_S), context)
        found = [answer.messages for answer in answers.values() if answer.messages]
        if request.call_id in _NEWEST:
            return pb.MessagesResponse(messages=max(found, key=lambda messages: messages[0].unix_us))
        merged = sorted((one for messages in found for one in messages), key=lambda one: one.unix_us)
        return pb.MessagesResponse(messages=merged)

    # A new call

    async def Originate(self, request: pb.OriginateRequest, context: Any) -> AsyncIterator[pb.OriginateResponse]:
        """All are worker 0's: it alone counts what the trunks' caps allow, and knows which trunks are down."""
        stub = self._workers().get(0)
        if stub is None:
            await _no_worker(context, "worker 0, which places calls,")
        assert stub is not None
        stream: Any = stub.Originate(request, metadata=tuple(trace_metadata(caller_traceparent(context))))
        try:
            async for progress in stream:
                yield progress
        except grpc.aio.AioRpcError as error:
            await _pass_on(error, context)
        finally:
            stream.cancel()

    async def _of_call(
        self, ask: Callable[[CallControlAsyncStub, dict[str, Any]], Awaitable[A]], call_id: str, context: Any
    ) -> A:
        how: dict[str, Any] = {"metadata": trace_metadata(caller_traceparent(context))}
        if (left_s := context.time_remaining()) is not None:
            how["timeout"] = left_s
        unknown: grpc.aio.AioRpcError | None = None
        for stub in self._workers().values():
            try:
                return await ask(stub, how)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    unknown = error
                elif error.code() is not grpc.StatusCode.UNAVAILABLE:  # it died just now: it was not its call
                    await _pass_on(error, context)
            except grpc.aio.UsageError:
                continue  # it is known to have died
        if unknown is not None:
            await _pass_on(unknown, context)
        await _no_worker(context, "every worker")
        raise AssertionError(_NEVER_REACHED)

    async def _of_all(self, ask: Callable[[CallControlAsyncStub], Awaitable[A]], context: Any) -> dict[int, A]:
        """At least one answer."""
        workers = self._workers()
        answers = await asyncio.gather(*(ask(stub) for stub in workers.values()), return_exceptions=True)
        good = {
            number: answer
            for number, answer in zip(workers, answers, strict=True)
            if not isinstance(answer, BaseException)
        }
        for answer in answers:
            if isinstance(answer, grpc.aio.AioRpcError) and not good:
                await _pass_on(answer, context)
        if not good:
            await _no_worker(context, "every worker")
        return good


async def _pass_on(error: grpc.aio.AioRpcError, context: Any) -> NoReturn:
    trailing = tuple((key, value) for key, value in error.trailing_metadata() or ())
    await context.abort(error.code(), error.details() or "", trailing)
    raise AssertionError(_NEVER_REACHED)


async def _no_worker(context: Any, who: str) -> NoReturn:
    why = f"{who} is being started: try again in a second, and see the gateway's log for worker_died"
    await abort(context, grpc.StatusCode.UNAVAILABLE, why, call_pb2.ERROR_REASON_CALL_UNKNOWN)
    raise AssertionError(_NEVER_REACHED)
