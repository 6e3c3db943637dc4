"""The process: ready only with its models, one line and exit code 2 without."""

import asyncio
import os
import sys
from pathlib import Path

import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common import rpc
from services.common.telemetry.schema.asr_metrics import METRICS


async def start(settings: Path, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.asr", "--settings", str(settings), "--end-with-parent"),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )


async def test_it_serves_when_ready_and_leaves_when_told(nats_url: str, tmp_path: Path) -> None:
    address = f"127.0.0.1:{rpc.free_port()}"
    settings = tmp_path / "tandem.yaml"
    metrics = f"127.0.0.1:{rpc.free_port()}"
    settings.write_text(f"nats_url: {nats_url}\nasr:\n  address: {address}\n  metrics_address: {metrics}\n")
    process = await start(settings)
    try:
        async with asyncio.timeout(60), rpc.connect(address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service="tandem.v1.Recognizer")
            answer = await health.Check(request, wait_for_ready=True)
            while answer.status != health_pb2.HealthCheckResponse.SERVING:
                answer = await health.Check(request)
            async with httpx.AsyncClient() as http:
                page = (await http.get(f"http://{metrics}/metrics")).text
        assert [one.name for one in METRICS if f"# TYPE {one.name} " not in page] == []
        process.terminate()
        async with asyncio.timeout(5):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()


async def refused(settings: Path, **environment: str) -> str:
    process = await start(settings, **environment)
    async with asyncio.timeout(30):
        _, errors = await process.communicate()
    assert process.returncode == 2
    # gRPC's own core complains of a taken port by itself, in a line that begins with E and the date.
    lines = [line for line in errors.decode().splitlines() if not line.startswith("E") or "add_port.cc" not in line]
    assert len(lines) == 1, lines
    return lines[0]


async def test_a_missing_model_is_one_line(nats_url: str, tmp_path: Path) -> None:
    settings = tmp_path / "tandem.yaml"
    settings.write_text(f"nats_url: {nats_url}\nasr:\n  address: 127.0.0.1:{rpc.free_port()}\n")
    line = await refused(settings, TANDEM_MODELS_DIR=str(tmp_path / "none"))
    assert line.startswith("asr: model ")
    assert "tandem models fetch" in line


async def test_a_folder_that_is_no_model_is_one_line(nats_url: str, tmp_path: Path) -> None:
    settings = tmp_path / "tandem.yaml"
    settings.write_text(f"nats_url: {nats_url}\nasr:\n  address: 127.0.0.1:{rpc.free_port()}\n  model: {tmp_path}\n")
    assert "asr.model" in await refused(settings)


async def test_an_unknown_key_is_one_line(tmp_path: Path) -> None:
    settings = tmp_path / "tandem.yaml"
    settings.write_text("asr:\n  colour: red\n")
    assert await refused(settings) == f"asr: {settings}:2: asr.colour: unknown key"


async def test_a_taken_port_is_one_line(nats_url: str, tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = tmp_path / "tandem.yaml"
    settings.write_text(f"nats_url: {nats_url}\nasr:\n  address: 127.0.0.1:{port}\n")
    async with server:
        assert "cannot listen" in await refused(settings)
