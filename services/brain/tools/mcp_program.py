"""An MCP server that is a program we start: JSON-RPC in lines on its stdin and stdout.

As the SDK's own stdio transport, with what a telephone needs besides: a line has an end somewhere (the SDK reads 10 MB
in four seconds of the event loop's time), and stderr goes into the log.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData, JSONRPCError, JSONRPCMessage

from services.brain.agent.mcpservers import McpServerSettings
from services.brain.tools.mcp_http import MAX_ANSWER_BYTES, TOO_BIG
from services.brain.tools.mcp_transport import Streams
from services.common.telemetry.log import logger

# Twice, as servers send an answer as text and as structure.
MAX_LINE_BYTES = 2 * MAX_ANSWER_BYTES
# After its stdin is closed, and again after SIGTERM.
ENDS_WITHIN_S = 2.0
_CHUNK_BYTES = 64 * 1024
_HEAD_BYTES = 200
_ID = re.compile(rb'"id"\s*:\s*(\d+)')
# Of what a program writes on stderr: so many lines of the log, this long each.
_MOST_LINES = 1000
_LONGEST_LINE = 500


class Lines:
    """Bytes to lines, without their end. A line too long is only its first `_HEAD_BYTES`, and told as such. Pure."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[bytes] = []
        self._head = b""
        self._size = 0

    def feed(self, chunk: bytes) -> list[tuple[bytes, bool]]:
        """The lines that `chunk` ends, and whether each is whole."""
        *ended, rest = chunk.split(b"\n")
        lines = []
        for part in ended:
            self._add(part)
            whole = self._size <= self._most
            lines.append((b"".join(self._parts) if whole else self._head, whole))
            self._parts, self._head, self._size = [], b"", 0
        self._add(rest)
        return lines

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        self._head += part[: _HEAD_BYTES - len(self._head)]
        if self._size <= self._most:
            self._parts.append(part)
        else:
            self._parts.clear()


@asynccontextmanager
async def program(
    name: str, settings: McpServerSettings, folder: Path, over: Callable[[], None]
) -> AsyncIterator[Streams]:
    """The program of `settings`, started in `folder`, which ends with the context; `over` is called when it ends first.

    It gets its own environment only: the brain's holds keys of others. Raises OSError when it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        settings.command or "", *settings.args, env=_environment(settings), cwd=folder, start_new_session=True,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    heard, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, said = anyio.create_memory_object_stream[SessionMessage](0)
    tasks = [
        asyncio.create_task(_hear(process.stdout, heard, over)),
        asyncio.create_task(_say(said, process.stdin)),
        asyncio.create_task(_tell(name, process.stderr)),
    ]
    try:
        yield Streams(read, write)
    finally:
        try:
            await _end(process)
        finally:
            for task in tasks:
                task.cancel()
            for stream in (heard, read, write, said):
                stream.close()


def _environment(settings: McpServerSettings) -> dict[str, str]:
    environment = get_default_environment()
    # So that `python` is the one that Tandem was installed with, and the SDK with it.
    places = [str(Path(sys.executable).parent), environment.get("PATH", "")]
    return {**environment, "PATH": os.pathsep.join(filter(None, places)), **settings.env}


async def _hear(
    stdout: asyncio.StreamReader, heard: MemoryObjectSendStream[SessionMessage | Exception], over: Callable[[], None]
) -> None:
    lines = Lines(MAX_LINE_BYTES)
    try:
        with heard, suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            while chunk := await stdout.read(_CHUNK_BYTES):
                for line, whole in lines.feed(chunk):
                    message = _message(line) if whole else _too_big(line)
                    if message is not None:
                        await heard.send(SessionMessage(message))
    finally:
        over()


def _message(line: bytes) -> JSONRPCMessage | None:
    """Of a line that is none, nothing: programs print."""
    try:
        return JSONRPCMessage.model_validate_json(line)
    except ValueError:
        return None


def _too_big(head: bytes) -> JSONRPCMessage | None:
    """The answer to the request whose own answer is too long: its id stands at the beginning."""
    found = _ID.search(head)
    if found is None:
        return None
    error = ErrorData(code=TOO_BIG, message=f"more than {MAX_LINE_BYTES} bytes")
    return JSONRPCMessage(JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=error))


async def _say(said: MemoryObjectReceiveStream[SessionMessage], stdin: asyncio.StreamWriter) -> None:
    # A program that has gone is told by the end of its stdout.
    with said, suppress(OSError, RuntimeError):
        async for message in said:
            stdin.write(message.message.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n")
            await stdin.drain()


async def _tell(name: str, stderr: asyncio.StreamReader) -> None:
    """Read to the end, or the program would stand still; logged up to a limit, or it would fill the log."""
    lines, told = Lines(_CHUNK_BYTES), 0
    while chunk := await stderr.read(_CHUNK_BYTES):
        for line, _ in lines.feed(chunk):
            told += 1
            if told <= _MOST_LINES:
                text = line.decode("utf-8", "replace").rstrip()[:_LONGEST_LINE]
                logger().info("MCP server says", server=name, line=text)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Asked by the end of its stdin, as MCP has it, then told, then made to."""
    assert process.stdin is not None
    try:
        process.stdin.close()
        if not await _ended(process):
            _signal(process, signal.SIGTERM)
            await _ended(process)
    finally:
        if process.returncode is None:
            _signal(process, signal.SIGKILL)


async def _ended(process: asyncio.subprocess.Process) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(ENDS_WITHIN_S):
            await process.wait()
    return process.returncode is not None


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To all that it started, too."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
