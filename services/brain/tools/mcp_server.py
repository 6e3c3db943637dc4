"""One MCP server: its session, kept up for the whole process, and what its tools are at the moment."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import httpx
from mcp import ClientSession, McpError
from mcp.types import (
    CallToolResult,
    Implementation,
    PaginatedRequestParams,
    ServerNotification,
    Tool,
    ToolListChangedNotification,
)

from services.brain.agent.mcpservers import McpServerSettings
from services.brain.tools import mcp_http
from services.brain.tools.mcp_program import program
from services.brain.tools.mcp_transport import Streams, streamable_http
from services.common.telemetry.log import logger

# Between attempts to reach a server: doubled each time up to the longest, less up to half of it by chance.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# A call to a server that is away starts an attempt at once, but not more often than this.
NUDGED_AFTER_S = 1.0
# The tools are listed anew this often: notices of a change get lost, and a server that hangs is found out.
LISTED_EVERY_S = 30.0
# Calls given up on that may still run on the server; with more, the session is begun anew.
MOST_LEFT_BEHIND = 32
# Of one server. Chat models take 128 in all.
MOST_TOOLS = 64
# A session that lasted shorter has not really been one.
STEADY_AFTER_S = 10.0
# What was sent in a session that ends gets this long to be answered in it.
LET_FINISH_S = 0.5
# The longest deadline that a tool may have.
LONGEST_CALL_S = 60.0
_MOST_PAGES = 10
_CLOSING_TRIES = 3
_CLOSED_WITHIN_S = 6.0
_SESSION_TERMINATED = 32600  # the SDK's code, sign and all, for an HTTP session that the server no longer knows


class McpUnreachable(Exception):
    """There is no session with the server, or it ended before the answer.

    `sent` tells whether the server may have begun the call.
    """

    def __init__(self, what: str, sent: bool) -> None:
        super().__init__(what)
        self.sent = sent


class McpServer:
    """Reached in the background from `start` on, and again whenever the session ends; `close` ends it.

    The session lives in one task, which enters and leaves its task groups; calls run in tasks of their own, so that
    the cancellation of one stays with it.
    """

    def __init__(
        self, name: str, settings: McpServerSettings, folder: Path, jitter: Callable[[], float] = random.random
    ) -> None:
        """`folder` is where a program is started. `jitter` draws from 0 to 1."""
        self.name = name
        self._settings = settings
        self._folder = folder
        self._jitter = jitter
        self._connect_s = settings.connect_timeout_ms / 1000
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._session: ClientSession | None = None
        self._settled = asyncio.Event()
        """The attempt to reach it that is under way has ended, well or not."""
        self._look = asyncio.Event()
        """The tools have changed, or something looks wrong."""
        self._over = asyncio.Event()
        """The session in hand is of no more use."""
        self._nudge = asyncio.Event()
        self._calls: set[asyncio.Task[CallToolResult]] = set()
        self._left_behind = 0
        self._tools: tuple[Tool, ...] | None = None
        self.why_down = "it was not reached yet"
        self.generation = 0
        """Counts the changes of `tools`."""

    @property
    def other_side(self) -> str:
        """What is called, without secrets: names the bulkhead."""
        if self._settings.url is None:
            return f"mcp:{self._folder.name}/{self.name}"
        url = httpx.URL(self._settings.url)
        return f"mcp:{url.host}:{url.port}" if url.port else f"mcp:{url.host}"

    @property
    def up(self) -> bool:
        return self._session is not None

    @property
    def tools(self) -> tuple[Tool, ...]:
        """As last listed: a server that is away keeps its tools, and calls to them fail."""
        return self._tools or ()

    @property
    def listed(self) -> bool:
        """Its tools were listed at least once."""
        return self._tools is not None

    def start(self) -> None:
        """Returns at once. Again: nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_up(), name=f"mcp {self.name}")

    async def settled(self, within_s: float) -> bool:
        """Waits until it was reached, or an attempt failed; whether it is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._settled.wait()
        return self.up

    async def close(self) -> None:
        """A program is asked to end, and after 2 s made to."""
        self._closing = True
        for _ in range(_CLOSING_TRIES if self._task is not None else 0):
            assert self._task is not None
            self._task.cancel()
            # The SDK's cancel scopes can swallow a cancellation that comes just as they end.
            if (await asyncio.wait({self._task}, timeout=_CLOSED_WITHIN_S))[0]:
                return

    async def call(
        self, tool: str, arguments: dict[str, Any], meta: dict[str, Any], deadline_s: float
    ) -> CallToolResult:
        """Raises McpUnreachable, TimeoutError at the deadline, McpError for what the server or mcp_http.py answered,
        RuntimeError and ValueError for an answer that is not what the tool's schema or the protocol says.
        """
        until = monotonic() + deadline_s
        session = await self._reached(until)
        try:
            return await self._ask(session, tool, arguments, meta, until)
        except McpError as error:
            # The server restarted and has not seen the call: once more in a new session is the first time for it.
            if error.error.code != _SESSION_TERMINATED:
                raise
        if session is self._session:  # and not the next one already, which another call began
            self._begin_anew()
        return await self._ask(await self._reached(until), tool, arguments, meta, until)

    async def _ask(
        self, session: ClientSession, tool: str, arguments: dict[str, Any], meta: dict[str, Any], until: float
    ) -> CallToolResult:
        patience = max(until - monotonic(), 0.0)
        # The SDK's own limit stands behind ours, for a task whose cancellation got lost.
        calling = asyncio.create_task(session.call_tool(tool, arguments, timedelta(seconds=patience + 5), meta=meta))
        self._calls.add(calling)
        try:
            done, _ = await asyncio.wait({calling}, timeout=patience)
            if not done:
                raise TimeoutError
            if calling.cancelled():
                raise McpUnreachable(f"the session with {self.name} ended before the answer", sent=True)
            return self._answered(calling)
        finally:
            self._calls.discard(calling)
            if not calling.done():
                calling.cancel()
                self._leave_behind()

    def _answered(self, calling: "asyncio.Task[CallToolResult]") -> CallToolResult:
        try:
            return calling.result()
        except McpError as error:
            if error.error.code in (mcp_http.UNREACHABLE, mcp_http.NO_ANSWER, mcp_http.REFUSED):
                self._look.set()
            elif error.error.message == "Connection closed":
                raise McpUnreachable(f"{self.name} went away before the answer", sent=True) from None
            raise
        except (OSError, asyncio.IncompleteReadError) as error:
            raise McpUnreachable(f"{self.name}: {error or type(error).__name__}", sent=True) from error
        except Exception as error:
            if isinstance(error, anyio.EndOfStream):
                raise McpUnreachable(f"{self.name} went away before the answer", sent=True) from None
            if isinstance(error, anyio.ClosedResourceError | anyio.BrokenResourceError):
                raise McpUnreachable(f"the session with {self.name} has just ended", sent=False) from None
            raise

    def _leave_behind(self) -> None:
        """A call that nobody waits for any more. The server may be at it still, or hang: it is asked for its tools."""
        self._left_behind += 1
        self._look.set()
        if self._left_behind > MOST_LEFT_BEHIND:
            self._begin_anew()

    async def _reached(self, until: float) -> ClientSession:
        """The session; waits for an attempt under way. Raises McpUnreachable."""
        if self._session is None:
            self._nudge.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(until - monotonic(), 0.0)):
                    await self._settled.wait()
        if self._session is None:
            raise McpUnreachable(f"{self.name} is not reached: {self.why_down}", sent=False)
        return self._session

    # The one task in which the session lives.

    async def _keep_up(self) -> None:
        failures = 0
        while not self._closing:
            began = monotonic()
            reached, why = False, ""
            try:
                async with self._reach() as session:
                    reached = True
                    why = await self._attend(session)
                    self._begin_anew()
                    # What is under way in it is about to be answered, or told that it was not heard.
                    if self._calls:
                        await asyncio.wait(self._calls, timeout=LET_FINISH_S)
            except Exception as error:  # of the SDK's task groups: groups of what went wrong within
                why = why or _first_cause(error, self._connect_s)
            self.why_down = why
            log = logger().warning if failures == 0 else logger().info
            log("MCP server out of reach", server=self.name, error=why, failures=failures)
            # A program that starts, lists its tools and ends is to be tried less and less often, too.
            failures = 0 if reached and monotonic() - began > STEADY_AFTER_S else failures + 1
            if not reached or failures > 1:
                self._settled.set()
            await self._pause(failures, began)
            self._settled.clear()

    @asynccontextmanager
    async def _reach(self) -> AsyncIterator[ClientSession]:
        """A session whose tools are listed. Raises whatever the SDK does."""
        self._over, self._look = asyncio.Event(), asyncio.Event()
        self._left_behind = 0
        mine = self._over

        def over() -> None:
            if self._over is mine:
                self._begin_anew()

        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._connect_s):
                streams = await stack.enter_async_context(self._transport(over))
                known = Implementation(name="tandem", version="1")
                session = await stack.enter_async_context(
                    ClientSession(streams.read, streams.write, message_handler=self._heard, client_info=known)
                )
                await session.initialize()
                self._take(await _listed(session))
            self._session = session
            self._settled.set()
            logger().info("MCP server reached", server=self.name, tools=len(self.tools))
            try:
                yield session
            finally:
                self._begin_anew()
                for calling in self._calls:
                    calling.cancel()

    def _begin_anew(self) -> None:
        """The session in hand is of no more use; calls wait for the next one."""
        self._session = None
        self._settled.clear()
        self._over.set()

    def _transport(self, over: Callable[[], None]) -> AbstractAsyncContextManager[Streams]:
        if self._settings.url is not None:
            return streamable_http(self._settings.url, self._settings.headers, self._connect_s, LONGEST_CALL_S, over)
        return program(self.name, self._settings, self._folder, over)

    async def _attend(self, session: ClientSession) -> str:
        """Until the session is over, or the server does not list its tools: which of them."""
        while not self._over.is_set():
            waiting = [asyncio.create_task(one.wait()) for one in (self._look, self._over)]
            try:
                await asyncio.wait(waiting, timeout=LISTED_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in waiting:
                    one.cancel()
            if not self._over.is_set():
                self._look.clear()
                try:
                    async with asyncio.timeout(self._connect_s):
                        self._take(await _listed(session))
                except (McpError, TimeoutError) as error:
                    return _first_cause(error, self._connect_s)
        return "its session ended"

    def _take(self, tools: tuple[Tool, ...]) -> None:
        if tools != self._tools:
            self._tools = tools
            self.generation += 1

    async def _pause(self, failures: int, began: float) -> None:
        """Cut short by a call, if the last attempt was not just now."""
        longest_s = min(FIRST_PAUSE_S * 2.0 ** min(max(failures, 1) - 1, 10), LONGEST_PAUSE_S)
        self._nudge.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s * (1 - self._jitter() / 2)):
                await self._nudge.wait()
                await asyncio.sleep(max(began + NUDGED_AFTER_S - monotonic(), 0.0))

    async def _heard(self, message: Any) -> None:
        if isinstance(message, ServerNotification) and isinstance(message.root, ToolListChangedNotification):
            self._look.set()
        elif isinstance(message, Exception):
            logger().debug("MCP server sent what is no message", server=self.name, error=type(message).__name__)


async def _listed(session: ClientSession) -> tuple[Tool, ...]:
    """All tools of the server, over as many pages as it likes, within reason."""
    tools: list[Tool] = []
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        tools += page.tools
        cursor = page.nextCursor
        if not cursor or len(tools) >= MOST_TOOLS:
            break
    return tuple(tools[:MOST_TOOLS])


def _first_cause(error: BaseException, connect_s: float) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"no answer within {connect_s:g} s"
    return (str(error) or type(error).__name__)[:300]
