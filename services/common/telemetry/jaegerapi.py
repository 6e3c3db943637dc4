"""Jaeger's query API over HTTP, answered from the embedded store: for the Jaeger UI, or Grafana's Jaeger data source.

It reads and never writes. There is no password: on loopback, where it listens unless told otherwise, only requests are
answered that name a loopback host, so that no web page can read the traces through its visitor's browser.
"""

import asyncio
import ipaddress
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiohttp import web

from services.common.rpc import AddressTaken
from services.common.telemetry import jaegerjson, jaegerquery
from services.common.telemetry.jaegerquery import BadQuery
from services.common.telemetry.log import logger
from services.common.telemetry.storeschema import StoreUnreadable
from services.common.telemetry.tracereader import SearchTooWide, TraceReader

# One may search for seconds while another looks at a trace.
READERS = 2
# More than wait is refused: nobody looks at an answer that comes after a minute.
WAITING = 16

Answer = Callable[[TraceReader, web.Request], Any]


class NotFound(Exception):
    pass


class QueryServer:
    """A running server. `port` is where it listens."""

    def __init__(self, runner: web.AppRunner, port: int, readers: ThreadPoolExecutor) -> None:
        self.port = port
        self._runner = runner
        self._readers = readers

    async def stop(self) -> None:
        await self._runner.cleanup()
        self._readers.shutdown(wait=False, cancel_futures=True)


async def serve(address: str, database: Path) -> QueryServer:
    """Listens at host:port (port 0: any free one). Raises AddressTaken, ValueError when it is no address."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit():
        raise ValueError(f"{address}: expected host:port, as 127.0.0.1:16686")
    readers = ThreadPoolExecutor(READERS, thread_name_prefix="trace-query")
    app = application(database, readers, local_only=is_local(host))
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, host, int(port))
    try:
        await site.start()
    except (OSError, OverflowError) as error:
        await runner.cleanup()
        readers.shutdown(wait=False)
        why = getattr(error, "strerror", None) or error
        raise AddressTaken(f"cannot listen on {address}: {why}") from error
    return QueryServer(runner, int(runner.addresses[0][1]), readers)


def application(database: Path, readers: ThreadPoolExecutor, local_only: bool = True) -> web.Application:
    """The routes. `local_only`: answers only requests whose Host is a loopback one."""
    asked = _Asked(database, readers)
    app = web.Application(middlewares=[_guarded(local_only)])
    for path, answer in _ROUTES.items():
        app.router.add_get(path, asked.by(answer))
    app.router.add_get("/", _what_is_here)
    return app


def is_local(host: str) -> bool:
    """Whether a name or an address is of this machine only."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Asked:
    """Each request reads the store in a thread, with a reader of its own: a snapshot, let go at once."""

    def __init__(self, database: Path, readers: ThreadPoolExecutor) -> None:
        self._database = database
        self._readers = readers
        self._open = 0

    def by(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            if self._open >= WAITING:
                return _error(request, 503, "too many queries at once; try again")
            self._open += 1
            try:
                body = await asyncio.get_running_loop().run_in_executor(self._readers, self._read, answer, request)
            except BadQuery as error:
                return _error(request, 400, str(error))
            except NotFound as error:
                return _error(request, 404, str(error))
            except SearchTooWide as error:
                return _error(request, 503, str(error))
            except (StoreUnreadable, sqlite3.Error) as error:
                logger().error("traces_not_read", error=str(error))
                return _error(request, 500, f"cannot read the traces: {error}")
            finally:
                self._open -= 1
            return web.Response(body=body, content_type="application/json")

        return handle

    def _read(self, answer: Answer, request: web.Request) -> bytes:
        """The JSON is made here too: that of a long trace must not hold up the loop."""
        with TraceReader(self._database) as reader:
            return json.dumps(answer(reader, request), ensure_ascii=False).encode()


def _guarded(local_only: bool) -> Any:
    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if local_only and not is_local(request.url.host or ""):
            return _error(request, 403, f"the host {request.host!r} is not this machine's loopback")
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _error(request, error.status, error.reason)
        # A UI on another port of this machine may read the answer.
        origin = request.headers.get("Origin", "")
        if origin and is_local(_host_of(origin)):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Vary"] = "Origin"
        return response

    return guard


def _host_of(origin: str) -> str:
    from yarl import URL

    try:
        return URL(origin).host or ""
    except ValueError:
        return ""


async def _what_is_here(_: web.Request) -> web.Response:
    return web.Response(text="Jaeger's query API, for its UI or Grafana; no pages. See docs/operations/traces.md\n")


def _error(request: web.Request, status: int, message: str) -> web.Response:
    if request.path.startswith("/api/v3/"):
        return web.json_response({"error": {"httpCode": status, "message": message}}, status=status)
    return web.json_response(_enveloped(None, [{"code": status, "msg": message}]), status=status)


def _enveloped(data: Any, errors: list[dict[str, Any]] | None = None, limit: int = 0) -> dict[str, Any]:
    total = len(data) if isinstance(data, list) else 0
    return {"data": data, "total": total, "limit": limit, "offset": 0, "errors": errors}


def _services(reader: TraceReader, _: web.Request) -> Any:
    return _enveloped(reader.services())


def _operation_names(reader: TraceReader, request: web.Request) -> Any:
    return _enveloped(sorted({name for name, _ in reader.operations(request.match_info["service"])}))


def _operations(reader: TraceReader, request: web.Request) -> Any:
    if not (service := request.query.get("service", "")):
        raise BadQuery("parameter 'service' is required")
    found = reader.operations(service, request.query.get("spanKind", ""))
    return _enveloped([{"name": name, "spanKind": kind} for name, kind in found])


def _traces(reader: TraceReader, request: web.Request) -> Any:
    asked = request.query
    search = jaegerquery.search(asked, asked.getall("tag", []), asked.getall("traceID", []), time.time_ns())
    ids = search.trace_ids or reader.find(search.query)
    found = {trace_id: reader.trace(trace_id) for trace_id in ids}
    missing = [{"code": 404, "msg": "trace not found", "traceID": one} for one, spans in found.items() if not spans]
    limit = 0 if search.trace_ids else search.query.limit
    return _enveloped([jaegerjson.ui_trace(spans) for spans in found.values() if spans], missing or None, limit)


def _trace(reader: TraceReader, request: web.Request) -> Any:
    """`raw` asks Jaeger not to adjust clocks and the like; nothing is adjusted here."""
    spans = reader.trace(jaegerquery.trace_id_of(request.match_info["trace_id"]))
    if not spans:
        raise NotFound("trace not found")
    return _enveloped([jaegerjson.ui_trace(spans)])


def _dependencies(reader: TraceReader, request: web.Request) -> Any:
    start, end = jaegerquery.dependency_range(request.query, time.time_ns())
    edges = reader.dependencies(start, end)
    service = request.query.get("service", "")
    return _enveloped(
        [
            {"parent": parent, "child": child, "callCount": calls}
            for parent, child, calls in edges
            if service in ("", parent, child)
        ]
    )


def _services_v3(reader: TraceReader, _: web.Request) -> Any:
    return {"services": reader.services()}


def _operations_v3(reader: TraceReader, request: web.Request) -> Any:
    asked = request.query
    found = reader.operations(asked.get("service", ""), asked.get("spanKind") or asked.get("span_kind", ""))
    return {"operations": [{"name": name, "spanKind": kind} for name, kind in found]}


def _traces_v3(reader: TraceReader, request: web.Request) -> Any:
    ids = reader.find(jaegerquery.search_v3(request.query))
    if not ids:
        raise NotFound("No traces found")
    return {"result": jaegerjson.otlp(span for trace_id in ids for span in reader.trace(trace_id))}


def _summaries_v3(reader: TraceReader, request: web.Request) -> Any:
    ids = reader.find(jaegerquery.search_v3(request.query))
    return {"summaries": [jaegerjson.trace_summary(reader.trace(trace_id)) for trace_id in ids]}


def _trace_v3(reader: TraceReader, request: web.Request) -> Any:
    spans = reader.trace(jaegerquery.trace_id_of(request.match_info["trace_id"]))
    if not spans:
        raise NotFound("No traces found")
    return {"result": jaegerjson.otlp(spans)}


_ROUTES: dict[str, Answer] = {
    "/api/services": _services,
    "/api/services/{service}/operations": _operation_names,
    "/api/operations": _operations,
    "/api/traces": _traces,
    "/api/traces/{trace_id}": _trace,
    "/api/dependencies": _dependencies,
    "/api/v3/services": _services_v3,
    "/api/v3/operations": _operations_v3,
    "/api/v3/traces": _traces_v3,
    "/api/v3/trace-summaries": _summaries_v3,
    "/api/v3/traces/{trace_id}": _trace_v3,
}
