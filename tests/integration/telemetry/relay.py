"""A gRPC server that passes every call on, message by message, as the bytes they are.

On the wire every call is a stream of messages each way, so one way of passing on does for all.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc

from services.common.rpc import connect

Metadata = tuple[tuple[str, str | bytes], ...]
Change = Callable[[bytes], bytes]
_OF_HTTP2 = ("user-agent", "te", "content-type")


def as_it_is(message: bytes) -> bytes:
    return message


@dataclass(frozen=True, slots=True)
class Passage:
    """How one RPC is passed on: its metadata, and what becomes of each message up and down. RPCs of one `client` go to
    the same upstream until that is not to be had."""

    metadata: Metadata
    client: str
    up: Change = as_it_is
    down: Change = as_it_is


Look = Callable[[str, bytes, Metadata], Passage]
"""Method, first message and metadata of a call to how it is passed on."""


def untouched(_method: str, _first: bytes, metadata: Metadata) -> Passage:
    return Passage(metadata, "")


class Relay(grpc.GenericRpcHandler):
    """Listens at `address` from `start` to `stop`. Each client is served by the first of `upstream` until it has found
    out that this is not to be had, from then on by the next."""

    def __init__(self, upstream: Sequence[str], look: Look = untouched) -> None:
        self.address = ""
        self._serving: dict[str, int] = {}
        self._look = look
        self._channels = [connect(address) for address in upstream]
        self._server = grpc.aio.server(handlers=(self,))

    async def start(self) -> None:
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0.2)
        for channel in self._channels:
            await channel.close()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """gRPC asks for the handler of a method."""

        async def passed(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            async with aclosing(self._pass(details.method, messages, context)) as answers:
                async for answer in answers:
                    yield answer

        return grpc.stream_stream_rpc_method_handler(passed)

    async def _pass(self, method: str, messages: AsyncIterator[bytes], context: Any) -> AsyncGenerator[bytes]:
        first = await anext(aiter(messages), b"")
        given = tuple((key, value) for key, value in context.invocation_metadata() if key not in _OF_HTTP2)
        passage = self._look(method, first, given)

        async def up() -> AsyncIterator[bytes]:
            yield passage.up(first)
            async for message in messages:
                yield passage.up(message)

        upstream = self._serving.get(passage.client, 0)
        ask: Any = self._channels[upstream].stream_stream(method)
        call = ask(up(), metadata=passage.metadata, timeout=context.time_remaining())
        try:
            async for message in call:
                yield passage.down(message)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                self._serving[passage.client] = (upstream + 1) % len(self._channels)
            await context.abort(error.code(), error.details(), tuple(error.trailing_metadata() or ()))
        except asyncio.CancelledError:
            # Which of the two was cancelled? Ours, when the client went; the other's, when the service gave up.
            if call.cancelled():
                await context.abort(grpc.StatusCode.CANCELLED, "cancelled by the service")
            raise
        finally:
            call.cancel()
