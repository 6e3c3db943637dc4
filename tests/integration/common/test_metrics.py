"""A real scrape: over HTTP, from another thread, and what happens to those who misbehave."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from services.common.rpc import free_port
from services.common.telemetry import metrics
from services.common.telemetry.metrics import CannotServe, Exposition, expose

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Gauge("answer", "The answer.", registry=registry).set(42)
    return registry


@pytest.fixture
async def exposition(registry: CollectorRegistry) -> AsyncIterator[Exposition]:
    server = await expose("127.0.0.1:0", registry)
    yield server
    await server.close()


def fetch(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {sample.name: sample.value for family in families for sample in family.samples}


async def test_scraped(exposition: Exposition) -> None:
    values = await asyncio.gather(*(asyncio.to_thread(fetch, exposition.port) for _ in range(8)))
    assert [one["answer"] for one in values] == [42.0] * 8
    assert all(one["process_resident_memory_bytes"] > 1e6 for one in values)


async def test_over_ipv6(registry: CollectorRegistry) -> None:
    try:
        server = await expose("[::1]:0", registry)
    except CannotServe:
        pytest.skip("no IPv6 here")
    reader, writer = await asyncio.open_connection("::1", server.port)
    writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert b"answer 42.0" in await reader.read()
    writer.close()
    await server.close()


async def test_a_taken_port_is_told(exposition: Exposition) -> None:
    address = f"127.0.0.1:{exposition.port}"
    with pytest.raises(CannotServe, match=rf"metrics_address {address}: cannot listen there: .*in use"):
        await expose(address, CollectorRegistry())


async def test_no_such_port() -> None:
    with pytest.raises((CannotServe, ValueError)):
        await expose("127.0.0.1:65536", CollectorRegistry())


async def test_too_much_is_cut_off(exposition: Exposition) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", exposition.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    assert (await asyncio.to_thread(fetch, exposition.port))["answer"] == 42.0


async def test_who_says_nothing_is_cut_off(exposition: Exposition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_TIMEOUT_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", exposition.port)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()


async def test_so_many_at_once_and_no_more(exposition: Exposition) -> None:
    connections = [await asyncio.open_connection("127.0.0.1", exposition.port) for _ in range(metrics._MAX_CONNECTIONS)]
    reader, writer = await asyncio.open_connection("127.0.0.1", exposition.port)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    first_reader, first_writer = connections[0]
    first_writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert b"answer 42.0" in await first_reader.read()
    for _, one in connections:
        one.close()


async def test_closed_while_somebody_is_connected(registry: CollectorRegistry) -> None:
    server = await expose("127.0.0.1:0", registry)
    port = server.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(0)
    await server.close()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)


SERVICE = """
import asyncio, sys
from services.common.service import main
from services.common.settings import ServiceSettings

async def run(settings, stop):
    print("serving", flush=True)
    await stop.wait()

main("tts", ServiceSettings, run)
"""


def start(settings: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", SERVICE, "--settings", str(settings)]
    return subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_service_serves_its_own(tmp_path: Path) -> None:
    settings = tmp_path / "tandem.yaml"
    port = free_port()
    settings.write_text(f"tts: {{metrics_address: '127.0.0.1:{port}'}}\n")
    process = start(settings)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        assert fetch(port)["process_cpu_seconds_total"] > 0
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=10)
        assert process.returncode == 0, said
        assert '"event": "metrics_served"' in said
    finally:
        process.kill()
        process.wait()


def test_a_service_that_cannot_says_so_in_a_line(tmp_path: Path) -> None:
    settings = tmp_path / "tandem.yaml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings.write_text(f"tts: {{metrics_address: '{address}'}}\n")
        process = start(settings)
        out, said = process.communicate(timeout=20)
    assert process.returncode == 2
    assert out == ""
    assert said.startswith(f"tts: metrics_address {address}: cannot listen there: ")
    assert said.count("\n") == 1
