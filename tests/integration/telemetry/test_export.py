"""A collector that is down, frozen or slow: the process goes on, counts what it loses, and ends in time. And the ways
to reach a collector that wants a key or TLS. Each in a process of its own, as a service has it."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from services.common.telemetry import names
from tests.integration.ports import free_port

WITHIN_S = 60
# Three times what the queue holds, made beside an event loop whose longest pause is noted.
PROGRAM = f"""
import asyncio, json, sys, time
from services.common.telemetry import log, spanpath, trace

async def main():
    log.set_up("gateway")
    trace.set_up("gateway", sys.argv[1])
    count = int(sys.argv[2])
    for made in range(count):
        trace.tracer().start_span({names.CALL_SETUP!r}).end()
        if made % 100 == 99:
            await asyncio.sleep(0.001)
    path = trace.path()
    began = time.monotonic()
    trace.flush()
    print(json.dumps({{
        "flush_s": time.monotonic() - began,
        "exported": path.exported, "failed": path.failed, "dropped": path.dropped, "queue": spanpath.QUEUE,
    }}))

asyncio.run(main())
"""


async def run(endpoint: str, count: int, **environment: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the process counted, and its lines of log."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, endpoint, str(count)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=known | environment,
        cwd=Path(__file__).parents[3],
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()
    return json.loads(out), [json.loads(line) for line in err.decode().splitlines()]


@pytest.fixture
def frozen() -> Iterator[str]:
    """It takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_a_port_where_nobody_listens() -> None:
    counted, lines = await run(f"http://127.0.0.1:{free_port()}", 1000)
    assert counted["exported"] == 0
    assert counted["failed"] + counted["dropped"] <= 1000
    # An export has 2 s, and all of them together no more at the end. The rest is for a busy machine.
    assert counted["flush_s"] < 6
    assert [line["event"] for line in lines] == ["traces_not_exported"] * len(lines)
    assert len(lines) <= 1


async def test_one_that_takes_connections_and_says_nothing(frozen: str) -> None:
    counted, lines = await run(frozen, 20_000)
    assert counted["exported"] == 0
    assert counted["dropped"] >= 20_000 - counted["queue"] - 1000
    assert counted["flush_s"] < 6
    assert len(lines) <= 1


class Picky(TraceServiceServicer):
    """Notes the metadata of exports; answers after `delay_s`."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.spans = 0
        self.metadata: dict[str, str] = {}
        self.resource: dict[str, str] = {}

    async def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:
        await asyncio.sleep(self.delay_s)
        self.metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        for one in request.resource_spans:
            self.resource = {each.key: each.value.string_value for each in one.resource.attributes}
            self.spans += sum(len(scope.spans) for scope in one.scope_spans)
        return ExportTraceServiceResponse()


@pytest.fixture
async def picky() -> AsyncIterator[Picky]:
    return Picky()


async def serve(picky: Picky, credentials: grpc.ServerCredentials | None = None) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server()
    add_TraceServiceServicer_to_server(picky, server)  # type: ignore[no-untyped-call]
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    return server, port


async def test_one_that_is_slow(picky: Picky) -> None:
    picky.delay_s = 0.3
    server, port = await serve(picky)
    counted, _ = await run(f"http://127.0.0.1:{port}", 20_000)
    await server.stop(0)
    assert counted["dropped"] > 0
    assert counted["flush_s"] < 6
    assert counted["exported"] <= picky.spans


async def test_a_key_in_a_header_and_who_we_are(picky: Picky) -> None:
    server, port = await serve(picky)
    counted, lines = await run(
        f"http://127.0.0.1:{port}",
        10,
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20sesame,x-tenant=tandem",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
    )
    await server.stop(0)
    assert (counted["exported"], picky.spans, lines) == (10, 10, [])
    assert picky.metadata["authorization"] == "Bearer sesame"
    assert picky.metadata["x-tenant"] == "tandem"
    assert picky.resource["service.name"] == "gateway"
    assert picky.resource["service.version"]
    assert ":" in picky.resource["service.instance.id"]
    assert picky.resource["deployment.environment.name"] == "test"


async def test_tls_with_a_certificate_of_ones_own(picky: Picky, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    chain = b"".join(one.bytes() for one in issued.cert_chain_pems)
    server, port = await serve(picky, grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), chain)]))
    endpoint = f"https://localhost:{port}"
    untrusted, lines = await run(endpoint, 10)
    trusted, _ = await run(endpoint, 10, OTEL_EXPORTER_OTLP_CERTIFICATE=str(tmp_path / "ca.pem"))
    await server.stop(0)
    assert (untrusted["exported"], trusted["exported"]) == (0, 10)
    assert len(lines) <= 1
