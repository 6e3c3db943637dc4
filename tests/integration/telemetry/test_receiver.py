"""Spans from the real SDK and exporter, over gRPC on loopback, into the file and out through `tandem trace`."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import typer
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode, set_span_in_context
from typer.testing import CliRunner

from services.common.rpc import AddressTaken, free_port
from services.common.telemetry import names, receiver
from services.common.telemetry.store import StoreUnreadable, TraceReader
from tandem.commands.trace import trace

app = typer.Typer()
app.command()(trace)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "state" / "traces.db"


@pytest.fixture
async def endpoint(database: Path) -> AsyncIterator[str]:
    running = await receiver.serve("127.0.0.1:0", database)
    yield f"http://127.0.0.1:{running.port}"
    await running.stop()


def provider(service: str, endpoint: str) -> TracerProvider:
    made = TracerProvider(resource=Resource.create({"service.name": service}))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True, timeout=5)))
    return made


def record_call(endpoint: str, call_id: str = "c1", turns: int = 2) -> str:
    """A call over three services, sent; returns its trace id."""
    made = {service: provider(service, endpoint) for service in ("gateway", "brain", "tts")}
    gateway, brain, tts = (one.get_tracer("test") for one in made.values())
    root = gateway.start_span(names.CALL_SETUP, attributes={names.CALL_ID: call_id, names.AGENT: "front_desk"})
    root.end()
    in_call = set_span_in_context(root)
    for index in range(turns):
        turn = brain.start_span(names.TURN, context=in_call, attributes={names.TURN_INDEX: index})
        in_turn = set_span_in_context(turn)
        with tts.start_as_current_span(names.TTS_UTTERANCE, context=in_turn) as utterance:
            utterance.set_attributes({names.TTS_ENGINE: "hibari", names.TTS_FROM_CACHE: index == 0})
        tool = brain.start_span("execute_tool book", context=in_turn, attributes={names.TOOL_OK: False})
        tool.set_status(Status(StatusCode.ERROR, "the business API is down"))
        tool.end()
        turn.end()
    for one in made.values():
        assert one.force_flush(5000)
        one.shutdown()
    return format(root.get_span_context().trace_id, "032x")


async def test_one_trace_of_three_services(endpoint: str, database: Path) -> None:
    trace_id = await asyncio.to_thread(record_call, endpoint)
    with TraceReader(database) as reader:
        spans = reader.trace_of_call("c1")
        (recent,) = reader.recent_calls()
    assert {span.trace_id for span in spans} == {trace_id}
    by_id = {span.span_id: span for span in spans}
    edges = {(by_id[span.parent_id].name if span.parent_id else "", span.service, span.name) for span in spans}
    assert edges == {
        ("", "gateway", names.CALL_SETUP),
        (names.CALL_SETUP, "brain", names.TURN),
        (names.TURN, "tts", names.TTS_UTTERANCE),
        (names.TURN, "brain", "execute_tool book"),
    }
    assert (recent.call_id, recent.agent, recent.turns, recent.spans, recent.errors) == ("c1", "front_desk", 2, 7, 2)


async def test_many_exporters_at_once(endpoint: str, database: Path) -> None:
    await asyncio.gather(*(asyncio.to_thread(record_call, endpoint, f"c{number}", 10) for number in range(8)))
    with TraceReader(database) as reader:
        assert {(call.turns, call.spans) for call in reader.recent_calls()} == {(10, 31)}
        assert len(reader.recent_calls()) == 8


async def test_a_full_disk_is_the_exporters_to_retry(
    endpoint: str, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.common.telemetry.store import TraceStore

    failures = [sqlite3.OperationalError("database or disk is full")]
    add = TraceStore.add

    def add_later(self: TraceStore, *arguments: object) -> int:
        if failures:
            raise failures.pop()
        return add(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(TraceStore, "add", add_later)
    await asyncio.to_thread(record_call, endpoint)
    with TraceReader(database) as reader:
        assert len(reader.trace_of_call("c1")) == 7


async def test_what_the_command_shows(endpoint: str, database: Path) -> None:
    trace_id = await asyncio.to_thread(record_call, endpoint)
    runner = CliRunner()

    drawn = runner.invoke(app, ["c1", "--database", str(database), "--width", "120"])
    assert drawn.exit_code == 0
    lines = drawn.stdout.splitlines()
    assert lines[0].startswith("call c1 · front_desk · ")
    assert any(line.startswith("tts ") and "engine=hibari  from_cache=yes" in line for line in lines)
    assert sum("✗ the business API is down" in line for line in lines) == 2

    assert runner.invoke(app, ["last", "--database", str(database), "--width", "120"]).stdout == drawn.stdout

    listed = runner.invoke(app, ["--database", str(database)])
    assert listed.stdout.splitlines()[1].split()[0] == "c1"
    (call,) = json.loads(runner.invoke(app, ["--json", "--database", str(database)]).stdout)["calls"]
    assert (call["call_id"], call["trace_id"], call["turns"], call["spans"]) == ("c1", trace_id, 2, 7)

    as_json = json.loads(runner.invoke(app, ["c1", "--json", "--database", str(database)]).stdout)
    assert as_json["trace_id"] == trace_id
    (first, *_) = as_json["spans"]
    assert (first["name"], first["parent_id"], first["parent_name"], first["start_ms"]) == (
        names.CALL_SETUP,
        None,
        None,
        0,
    )
    assert {span["parent_name"] for span in as_json["spans"][1:]} == {names.CALL_SETUP, names.TURN}


async def test_what_the_command_says_when_there_is_nothing(endpoint: str, database: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    for arguments, message in [
        (
            ["c9", "--database", str(database)],
            "tandem trace: no trace of a call 'c9'; `tandem trace` lists the recent ones",
        ),
        (["last", "--database", str(database)], "tandem trace: no call has been traced yet"),
        (["c9", "--database", str(tmp_path / "no.db")], f"tandem trace: no traces at {tmp_path / 'no.db'}; "),
    ]:
        refused = runner.invoke(app, arguments)
        assert refused.exit_code == 2
        assert refused.stderr.startswith(message)
        assert len(refused.stderr.splitlines()) == 1
    assert runner.invoke(app, ["--database", str(database)]).stdout == "no call has been traced yet\n"


async def test_a_taken_address_and_a_database_that_cannot_be(endpoint: str, database: Path, tmp_path: Path) -> None:
    with pytest.raises(AddressTaken, match="cannot listen on"):
        await receiver.serve(endpoint.removeprefix("http://"), database)
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnreadable, match="cannot write traces to"):
        await receiver.serve("127.0.0.1:0", tmp_path / "file" / "traces.db")


def test_as_a_process(database: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "services.common.telemetry.receiver", "--database", str(database)]
    process = subprocess.Popen([*command, "--address", f"127.0.0.1:{port}"], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert json.loads(process.stderr.readline())["event"] == "listening"
        record_call(f"http://127.0.0.1:{port}")
        second = subprocess.run(
            [*command, "--address", f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=30
        )
        assert second.returncode == 2
        # gRPC's core writes a line of its own beside it.
        (said,) = [line for line in second.stderr.splitlines() if line.startswith("traces: ")]
        assert said.startswith(f"traces: cannot listen on 127.0.0.1:{port}")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    with TraceReader(database) as reader:
        assert len(reader.trace_of_call("c1")) == 7
