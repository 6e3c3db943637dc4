"""A trace is kept in one service and comes out of all: the word goes over a real NATS."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from services.common import bus
from services.common.telemetry import keeping, names, trace
from tests.integration.telemetry.collector import Collector

WITHIN_S = 30
NOT_DRAWN = f"00-{'ab' * 16}-{'cd' * 8}-00"
TRACE_ID = "ab" * 16

# A service with the audio's connection alone, as asr and tts have it: a span of a call that was not drawn, which ends
# before anybody wants it, and one that ends when the test says so.
SERVICE = f"""
import asyncio
from services.common import bus
from services.common.service import serve
from services.common.settings import ServiceSettings
from services.common.telemetry import names, trace

async def run(settings, stop):
    client = await bus.connect_audio(settings.nats_url, "asr")
    parent = trace.context_from_traceparent("{NOT_DRAWN}")
    trace.tracer().start_span(names.ASR_LISTEN, context=parent).end()
    late = trace.tracer().start_span(names.ASR_FINAL, context=parent)
    async def end(message):
        late.end()
    await client.subscribe("test.end", cb=end)
    await bus.subscriptions_live(client)
    print("ready", flush=True)
    await stop.wait()
    await client.close()

serve("asr", ServiceSettings(nats_url="NATS", otlp_endpoint="OTLP", trace_sample_ratio=0.0), run)
"""


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def service(nats_url: str, collector: Collector) -> AsyncIterator[asyncio.subprocess.Process]:
    code = SERVICE.replace("NATS", nats_url).replace("OTLP", collector.endpoint)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, env=environment, cwd=Path(__file__).parents[3]
    )
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        assert await process.stdout.readline() == b"ready\n"
    yield process
    if process.returncode is None:
        process.kill()
        await process.wait()


@pytest.fixture
async def other(nats_url: str) -> AsyncIterator[Client]:
    client = await nats.connect(nats_url)
    yield client
    await client.close()


async def spans(collector: Collector, count: int) -> list[str]:
    async with asyncio.timeout(WITHIN_S):
        while len(collector.trace(TRACE_ID)) < count:
            await asyncio.sleep(0.05)
    return sorted(one.span.name for one in collector.trace(TRACE_ID))


async def test_what_was_held_comes_and_what_ends_later(
    collector: Collector, service: asyncio.subprocess.Process, other: Client
) -> None:
    await other.publish(keeping.SUBJECT, b"not a trace id")
    await other.publish(keeping.SUBJECT, f"{TRACE_ID} slow turn".encode())
    assert await spans(collector, 1) == [names.ASR_LISTEN]
    await other.publish("test.end", b"")
    assert await spans(collector, 2) == [names.ASR_FINAL, names.ASR_LISTEN]
    kept = {one.span.attributes[names.TELEMETRY_KEPT] for one in collector.trace(TRACE_ID)}
    assert kept == {"slow turn"}


async def test_nobody_wants_it_and_it_is_gone(collector: Collector, service: asyncio.subprocess.Process) -> None:
    service.send_signal(signal.SIGTERM)
    async with asyncio.timeout(WITHIN_S):
        assert await service.wait() == 0
    assert collector.trace(TRACE_ID) == []


class Told:
    """In place of a process's spans."""

    def __init__(self) -> None:
        self.said: list[tuple[int, str]] = []

    def keep(self, trace_id: int, why: str) -> bool:
        self.said.append((trace_id, why))
        return True

    def call_over(self, trace_id: int) -> None:
        self.said.append((trace_id, "over"))


async def test_said_on_the_control_connection_even_from_a_thread(
    nats_url: str, other: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Told()
    monkeypatch.setattr(trace, "_path", path)
    monkeypatch.setattr(trace, "_ratio", 0.1)
    monkeypatch.setattr(trace, "_tell", None)
    monkeypatch.setattr(keeping, "_attached", None)
    heard = await other.subscribe(keeping.SUBJECT)
    await other.flush()
    audio, control = await bus.connect_audio(nats_url, "test"), await bus.connect_control(nats_url, "test")
    try:
        await asyncio.to_thread(trace.keep, NOT_DRAWN, "transferred to a person, and more " * 10)
        first = (await heard.next_msg(WITHIN_S)).data.decode()
        trace.call_over(NOT_DRAWN)
        second = (await heard.next_msg(WITHIN_S)).data.decode()
        assert first.startswith(f"{TRACE_ID} transferred to a person")
        assert len(first) == 33 + keeping.MAX_WHY
        assert second == TRACE_ID
        assert keeping._attached is control
    finally:
        await audio.close()
        await control.close()


async def test_nothing_is_subscribed_where_every_call_is_drawn(nats_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_path", Told())
    monkeypatch.setattr(trace, "_ratio", 1.0)
    monkeypatch.setattr(keeping, "_attached", None)
    control = await bus.connect_control(nats_url, "test")
    assert keeping._attached is None
    await control.close()
