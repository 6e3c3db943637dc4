"""Jaeger's query API over HTTP, as its UI and Grafana's data source ask it, from a store that is being written to."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.common.rpc import AddressTaken, free_port
from services.common.telemetry import jaegerapi, names, receiver
from services.common.telemetry.store import TraceStore
from services.common.telemetry.storedspan import Span

TRACE = f"{7:032x}"


def call(now_ns: int) -> list[Span]:
    setup = Span(TRACE, "a" * 16, "", "gateway", names.CALL_SETUP, now_ns, now_ns + 10**7)
    turn = Span(TRACE, "b" * 16, "a" * 16, "brain", names.TURN, now_ns + 10**9, now_ns + 4 * 10**9, "error", "no")
    return [replace(setup, kind="server", attributes={names.CALL_ID: "c1"}), turn]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    store = TraceStore(tmp_path / "t.db")
    store.add(call(time.time_ns() - 10 * 10**9))
    store.close()
    return tmp_path / "t.db"


@pytest.fixture
async def client(database: Path) -> AsyncIterator[httpx.AsyncClient]:
    server = await jaegerapi.serve("127.0.0.1:0", database)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as made:
        yield made
    await server.stop()


async def got(client: httpx.AsyncClient, path: str, status: int = 200) -> Any:
    answer = await client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


async def test_what_grafana_asks(client: httpx.AsyncClient) -> None:
    # Its health check, the two lists of its form, a search, a trace, the graph.
    assert await got(client, "/api/services") == {
        "data": ["brain", "gateway"],
        "total": 2,
        "limit": 0,
        "offset": 0,
        "errors": None,
    }
    assert (await got(client, "/api/services/gateway/operations"))["data"] == [names.CALL_SETUP]
    assert (await got(client, "/api/services/nobody/operations"))["data"] == []
    found = await got(client, '/api/traces?service=brain&operation=turn&tags={"error":"true"}&limit=20')
    (trace,) = found["data"]
    assert (trace["traceID"], len(trace["spans"]), set(trace["processes"])) == (TRACE, 2, {"p1", "p2"})
    assert found["errors"] is None
    assert await got(client, f"/api/traces/{TRACE}?start=1&end=2") == {**found, "limit": 0}
    graph = await got(client, f"/api/dependencies?endTs={time.time_ns() // 10**6}&lookback=604800000")
    assert graph["data"] == [{"parent": "gateway", "child": "brain", "callCount": 1}]


async def test_what_the_ui_asks(client: httpx.AsyncClient) -> None:
    operations = await got(client, "/api/operations?service=gateway&spanKind=server")
    assert operations["data"] == [{"name": names.CALL_SETUP, "spanKind": "server"}]
    end = time.time_ns() // 1000
    times = f"start={end - 3_600_000_000}&end={end}&lookback=1h&maxDuration&minDuration=2s&limit=20"
    assert len((await got(client, f"/api/traces?service=brain&{times}"))["data"]) == 1
    assert (await got(client, f"/api/traces?service=gateway&{times}"))["data"] == []
    several = await got(client, f"/api/traces?traceID=7&traceID={'f' * 32}")
    assert [one["traceID"] for one in several["data"]] == [TRACE]
    assert several["errors"] == [{"code": 404, "msg": "trace not found", "traceID": "f" * 32}]
    assert (await got(client, "/api/traces/7?raw=true&prettyPrint=true"))["data"][0]["traceID"] == TRACE


async def test_version_3(client: httpx.AsyncClient) -> None:
    assert await got(client, "/api/v3/services") == {"services": ["brain", "gateway"]}
    assert await got(client, "/api/v3/operations?service=brain") == {
        "operations": [{"name": names.TURN, "spanKind": "internal"}]
    }
    found = await got(client, f"/api/v3/traces/{TRACE}")
    assert [len(one["scopeSpans"][0]["spans"]) for one in found["result"]["resourceSpans"]] == [1, 1]
    times = "query.startTimeMin=2020-01-01T00:00:00Z&query.startTimeMax=2100-01-01T00:00:00Z"
    assert await got(client, f"/api/v3/traces?query.serviceName=gateway&{times}") == found
    summaries = await got(client, f"/api/v3/trace-summaries?query.serviceName=gateway&{times}")
    assert [(one["traceId"], one["spanCount"], one["errorSpanCount"]) for one in summaries["summaries"]] == [
        (TRACE, 2, 1)
    ]
    missing = {"error": {"httpCode": 404, "message": "No traces found"}}
    assert await got(client, f"/api/v3/traces?query.serviceName=nobody&{times}", 404) == missing
    assert await got(client, "/api/v3/traces/ff", 404) == missing
    refused = await got(client, "/api/v3/traces", 400)
    assert refused["error"]["message"] == "query.startTimeMin and query.startTimeMax are required"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/api/traces", 400, "parameter 'service' is required"),
        ("/api/traces?service=x&limit=x", 400, "unable to parse param 'limit': expected a whole number, not 'x'"),
        ("/api/operations", 400, "parameter 'service' is required"),
        ("/api/traces/nothex", 400, "expected a trace id of up to 32 hex digits, not 'nothex'"),
        ("/api/traces/ff", 404, "trace not found"),
        ("/api/dependencies?endTs=x", 400, "unable to parse param 'endTs': expected a whole number, not 'x'"),
        ("/api/nothing", 404, "Not Found"),
    ],
)
async def test_errors_are_jaegers(client: httpx.AsyncClient, path: str, status: int, message: str) -> None:
    told = await got(client, path, status)
    assert (told["data"], told["errors"]) == (None, [{"code": status, "msg": message}])


async def test_only_get_and_only_this_machine(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/services")).status_code == 405
    rebound = await client.get("/api/services", headers={"Host": "evil.example:16686"})
    assert (rebound.status_code, rebound.json()["data"]) == (403, None)
    beside = await client.get("/api/services", headers={"Origin": "http://localhost:3000"})
    assert beside.headers["access-control-allow-origin"] == "http://localhost:3000"
    away = await client.get("/api/services", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in away.headers


async def test_what_was_just_written_is_answered(client: httpx.AsyncClient, database: Path) -> None:
    store = TraceStore(database)
    for number in range(10, 30):
        store.add([replace(one, trace_id=f"{number:032x}") for one in call(time.time_ns())])
        found = await got(client, "/api/traces?service=brain&limit=1")
        assert found["data"][0]["traceID"] == f"{number:032x}"


async def test_a_store_that_is_gone_is_told(client: httpx.AsyncClient, database: Path) -> None:
    await asyncio.to_thread(database.unlink)
    told = await got(client, "/api/services", 500)
    assert told["errors"][0]["msg"].startswith(f"cannot read the traces: no traces at {database}")


async def test_an_address_that_is_taken_or_none(database: Path) -> None:
    running = await receiver.serve("127.0.0.1:0", database, "127.0.0.1:0")
    with pytest.raises(AddressTaken, match="cannot listen on"):
        await receiver.serve("127.0.0.1:0", database, f"127.0.0.1:{running.query_port}")
    with pytest.raises(ValueError, match="16686: expected host:port"):
        await receiver.serve("127.0.0.1:0", database, "16686")
    await running.stop()


def test_as_a_process(database: Path) -> None:
    query = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "services.common.telemetry.receiver", "--database", str(database)]
    arguments = ["--address", f"127.0.0.1:{free_port()}", "--query-address", query]
    process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert json.loads(process.stderr.readline())["query_port"] == int(query.rpartition(":")[2])
        assert httpx.get(f"http://{query}/api/services", timeout=30).json()["data"] == ["brain", "gateway"]
        assert httpx.get(f"http://{query}/", timeout=30).status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
