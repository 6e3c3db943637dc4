"""Metrics of a process, for Prometheus to fetch by HTTP at `metrics_address`.

They are served on the event loop, in slices of a millisecond or so, between which it does its work. A thread would be
worse: each time that the loop lets go of the interpreter's lock, as every packet does, it would get it back 5 ms later
(the switch interval), and the thread would read what the loop is changing. An answer is kept for a second: however many
ask, the loop makes one a second.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import copy
from http import HTTPStatus

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    exposition,
)
from prometheus_client.metrics_core import Metric as AnyFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from services.common.settings import split_address
from services.common.telemetry.log import logger

KEPT_S = 1.0
SLICE = 50
"""Lines, of 10 to 25 us each."""
PATH = "/metrics"
_MAX_REQUEST = 8192
_MAX_CONNECTIONS = 16
# Prometheus gives up after 10 s unless told otherwise.
_TIMEOUT_S = 10.0

# They double the series of a histogram and nothing reads them: resets are seen in the counters themselves.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
"""All metrics of this process; its memory, processor time and garbage collections are there from the start."""
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


class CannotServe(OSError):
    """Nobody can listen at the address; the message says which and why."""


class Exposition:
    """A running server of one registry. Made by `expose`."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        self._pages = Pages(registry, clock)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self, host: str, port: int) -> None:
        """Raises OSError, OverflowError."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=_MAX_REQUEST)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= _MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="metrics")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection. Whoever is too slow, or says too much, is cut off."""
        with suppress(TimeoutError, EOFError, asyncio.LimitOverrunError, OSError):
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    request = await reader.readuntil(b"\r\n\r\n")
                    # `drain` is to wait for all of it, or nobody would notice a reader that stops.
                    writer.transport.set_write_buffer_limits(0)
                    writer.write(await self._pages.respond(request))
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
            finally:
                writer.transport.abort()


class Pages:
    """HTTP/1.1 of a scrape. `clock` tells seconds that never go back."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._clock = clock
        self._kept: dict[bool, tuple[float, bytes]] = {}
        self._making = asyncio.Lock()

    async def respond(self, request: bytes) -> bytes:
        """To a request's line and fields. Bodies are not read."""
        line, *fields = request.decode("latin-1").split("\r\n")
        words = line.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _response(HTTPStatus.BAD_REQUEST)
        method, target, _ = words
        if target.partition("?")[0] != PATH:
            return _response(HTTPStatus.NOT_FOUND)
        if method not in ("GET", "HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, allow="GET, HEAD")
        accepted = " ".join(field.partition(":")[2] for field in fields if field.lower().startswith("accept:"))
        # The only one that carries exemplars.
        wants_openmetrics = "application/openmetrics-text" in accepted
        try:
            page = await self._page(wants_openmetrics)
        except Exception:
            logger().exception("metrics_unreadable")
            return _response(HTTPStatus.INTERNAL_SERVER_ERROR)
        content_type = openmetrics.CONTENT_TYPE_LATEST if wants_openmetrics else exposition.CONTENT_TYPE_PLAIN_0_0_4
        return _response(HTTPStatus.OK, page, content_type, head=method == "HEAD")

    async def _page(self, wants_openmetrics: bool) -> bytes:
        async with self._making:
            now = self._clock()
            kept = self._kept.get(wants_openmetrics)
            if kept is None or now - kept[0] >= KEPT_S:
                kept = self._kept[wants_openmetrics] = (now, await self._make(wants_openmetrics))
        return kept[1]

    async def _make(self, wants_openmetrics: bool) -> bytes:
        made: list[bytes] = []
        lines = 0
        for family in self._registry.collect():
            for place, part in enumerate(sliced(family)):
                lines += len(part.samples)
                if lines > SLICE:
                    lines = len(part.samples)
                    await asyncio.sleep(0)
                made.append(_text(part, wants_openmetrics, begins=place == 0))
        return b"".join(made) + (_EOF if wants_openmetrics else b"")


_EOF = b"# EOF\n"


class _Only(Collector):
    """A registry of one family."""

    def __init__(self, family: AnyFamily) -> None:
        self._family = family

    def collect(self) -> list[AnyFamily]:
        return [self._family]


def sliced(family: AnyFamily) -> Iterator[AnyFamily]:
    """In parts of at most SLICE samples; one without samples is a part too."""
    for begin in range(0, max(len(family.samples), 1), SLICE):
        part = copy(family)
        part.samples = family.samples[begin : begin + SLICE]
        yield part


def _text(part: AnyFamily, wants_openmetrics: bool, begins: bool) -> bytes:
    """Its lines; HELP and TYPE only where the family begins."""
    if wants_openmetrics:
        text: bytes = openmetrics.generate_latest(_Only(part)).removesuffix(_EOF)  # type: ignore[no-untyped-call]
    else:
        text = exposition.generate_latest(_Only(part))
    if begins:
        return text
    return b"".join(line for line in text.splitlines(keepends=True) if not line.startswith(b"# "))


def _response(
    status: HTTPStatus, body: bytes | None = None, content_type: str = "text/plain", head: bool = False, allow: str = ""
) -> bytes:
    if body is None:
        body = f"{status.phrase}; metrics are at {PATH}\n".encode()
    fields = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n"
    fields += f"Content-Length: {len(body)}\r\nConnection: close\r\n"
    if allow:
        fields += f"Allow: {allow}\r\n"
    return f"{fields}\r\n".encode() + (b"" if head else body)


async def expose(address: str, registry: CollectorRegistry = REGISTRY) -> Exposition:
    """Serves the registry at host:port (port 0: any free one). Raises CannotServe."""
    host, port = split_address(address)
    server = Exposition(registry, asyncio.get_running_loop().time)
    try:
        await server.start(host, port)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise CannotServe(f"metrics_address {address}: cannot listen there: {why}") from error
    return server
