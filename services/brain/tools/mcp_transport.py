"""An MCP server over streamable HTTP, as streams for the SDK's session."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from services.brain.tools.mcp_http import http_client

Read = MemoryObjectReceiveStream[SessionMessage | Exception]
Write = MemoryObjectSendStream[SessionMessage]


@dataclass(frozen=True, slots=True)
class Streams:
    """For a ClientSession."""

    read: Read
    write: Write


@asynccontextmanager
async def streamable_http(
    url: str, headers: Mapping[str, str], connect_s: float, answer_s: float, over: Callable[[], None]
) -> AsyncIterator[Streams]:
    """`over` is called when nothing more can come."""
    async with (
        http_client(headers, connect_s, answer_s) as client,
        streamable_http_client(url, http_client=client) as (read, write, _),
        _watched(read, over) as watched,
    ):
        yield Streams(watched, write)


@asynccontextmanager
async def _watched(read: Read, over: Callable[[], None]) -> AsyncIterator[Read]:
    """The same messages; `over` is called at their end, which the SDK's session keeps to itself."""
    sink, source = anyio.create_memory_object_stream[SessionMessage | Exception](0)

    async def pass_on() -> None:
        try:
            async with sink:
                async for message in read:
                    await sink.send(message)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass
        finally:
            over()

    passing = asyncio.create_task(pass_on())
    try:
        yield source
    finally:
        passing.cancel()
        source.close()
