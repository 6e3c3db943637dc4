"""Events through a real JetStream into a real SQL database, with the deaths in between."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from services.brain.agent.memory import Memory
from services.brain.records.call import Filters, RecordedCall
from services.brain.records.keeping import RecordKeeping
from services.brain.records.recorder import DURABLE, Recorder
from services.brain.records.repository import UNAVAILABLE, CallRecords
from services.brain.records.stream import STREAM, RecordStream, message_id, open_stream, purge, record_subject
from services.common import lifetime
from services.common.bus import connect_control
from services.common.telemetry.metrics import REGISTRY
from tandem.plan import nats_server
from tandem.v1.call_pb2 import CallFacts
from tandem.v1.record_pb2 import CallRecord, RecordHead
from tests.integration.ports import free_port

Told = Callable[..., list[CallRecord]]
KEPT_DAYS = 36_500
ACK_WAIT_S = 1.0


@pytest.fixture
async def control(nats_url: str) -> AsyncIterator[Client]:
    """Beside an empty stream that has no recorder yet."""
    client = await connect_control(nats_url, "test")
    jetstream = client.jetstream()
    with contextlib.suppress(Exception):
        await jetstream.delete_stream(STREAM)
    await open_stream(jetstream)
    yield client
    await client.close()


@contextlib.asynccontextmanager
async def recording(control: Client, records: CallRecords, **options: Any) -> AsyncIterator[Recorder]:
    recorder = Recorder(control, records, KEPT_DAYS, ack_wait_s=ACK_WAIT_S, **options)
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(what: Callable[[], Awaitable[bool]], within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while not await what():
            await asyncio.sleep(0.05)


async def waiting(control: Client) -> int:
    """Events that are not acknowledged."""
    return (await control.jetstream().stream_info(STREAM)).state.messages


async def emptied(control: Client) -> None:
    async def is_empty() -> bool:
        return await waiting(control) == 0

    await until(is_empty)


async def only_call(records: CallRecords) -> RecordedCall:
    (call,) = await records.find(Filters(), details=True)
    return call


async def test_what_is_emitted_is_recorded_once(control: Client, records: CallRecords, told: Told) -> None:
    stream = RecordStream(control)
    events = told()
    stream.emit(*events, *events)
    await stream.close()
    assert await waiting(control) == len(events)  # the bus dropped the second of each
    async with recording(control, records, batch=3):
        await emptied(control)
    call = await only_call(records)
    assert (call.outcome, len(call.turns), len(call.tools)) == ("caller_hung_up", 2, 1)


async def test_a_recorder_killed_between_commit_and_ack_leaves_one_row(
    control: Client, nats_url: str, url: str, records: CallRecords, told: Told
) -> None:
    stream = RecordStream(control)
    events = told()
    stream.emit(*events)
    await stream.close()
    child = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.integration.brain.records.killed_recorder", nats_url, url],
        timeout=60,
        preexec_fn=lifetime.end_with_parent,
    )
    assert child.returncode == -signal.SIGKILL
    before = await only_call(records)
    assert await waiting(control) == len(events)  # written, and not acknowledged
    async with recording(control, records) as recorder:
        await emptied(control)
    assert recorder.written == len(events)
    assert await only_call(records) == before


async def test_two_recorders_share_the_work(control: Client, url: str, records: CallRecords, told: Told) -> None:
    other = await CallRecords.open(url)
    stream = RecordStream(control)
    async with recording(control, records, batch=2) as one, recording(control, other, batch=2) as two:

        async def both_wrote() -> bool:
            calls.append(told(f"c{len(calls)}"))
            stream.emit(*calls[-1])
            return min(one.written, two.written) > 0

        calls: list[list[CallRecord]] = []
        await until(both_wrote)
        await stream.close()
        await emptied(control)
    await other.close()
    assert one.written + two.written >= sum(len(events) for events in calls)
    found = await records.find(Filters(limit=10_000), details=True)
    assert len(found) == len(calls)
    assert {(call.outcome, len(call.turns), len(call.tools)) for call in found} == {("caller_hung_up", 2, 1)}


async def test_postgresql_away_and_back(control: Client, postgres: Any, told: Told) -> None:
    url = postgres.database()
    name = url.split("?")[0].rpartition("/")[2]
    records = await CallRecords.open(url)

    def away(yes: bool) -> None:
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {'false' if yes else 'true'}")
        postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    stream = RecordStream(control)
    async with recording(control, records):
        stream.emit(*told("c1"))
        await until(lambda: is_there(records, "c1"))
        await asyncio.to_thread(away, True)
        stream.emit(*told("c2"))
        with pytest.raises(UNAVAILABLE):
            await records.get("c2")
        await asyncio.to_thread(away, False)
        await until(lambda: is_there(records, "c2"))
        await emptied(control)
    await stream.close()
    await records.close()


async def test_sqlite_that_cannot_be_opened_and_then_can(control: Client, tmp_path: Path, told: Told) -> None:
    in_the_way = tmp_path / "kept"
    in_the_way.write_text("a file where the folder should be")
    records = CallRecords(f"sqlite:///{in_the_way / 'records.db'}")
    stream = RecordStream(control)
    async with recording(control, records):
        stream.emit(*told("c1"))
        await asyncio.sleep(0.3)
        assert await waiting(control) > 0
        in_the_way.unlink()
        await until(lambda: is_there(records, "c1"))
    await stream.close()
    await records.close()


async def is_there(records: CallRecords, call_id: str) -> bool:
    try:
        call = await records.get(call_id)
    except UNAVAILABLE:
        return False
    return call is not None and call.outcome != ""


async def test_poison_is_put_aside_and_the_rest_recorded(control: Client, records: CallRecords, told: Told) -> None:
    jetstream = control.jetstream()
    first, *rest = told()
    await jetstream.publish(record_subject("c1"), first.SerializeToString())
    await jetstream.publish(record_subject("x"), b"\xff\xff")
    nobody = CallRecord(call_id="x", owner_epoch=2**63, sequence=1, head=RecordHead(agent="a"))
    await jetstream.publish(record_subject("x"), nobody.SerializeToString())
    for event in rest:
        await jetstream.publish(record_subject("c1"), event.SerializeToString())
    async with recording(control, records) as recorder:
        await emptied(control)
    assert recorder.refused == 2
    assert (await only_call(records)).outcome == "caller_hung_up"


async def test_erasing_takes_what_waits_on_the_bus(control: Client, records: CallRecords, told: Told) -> None:
    begun, *rest = told()
    await records.upsert([begun])
    stream = RecordStream(control)
    stream.emit(*rest, *told("c2", number="+1"))
    await stream.close()
    erased = await records.erase("+49301234", begun.head.answered_unix_us + 1)
    await purge(control.jetstream(), erased.call_ids)
    assert await waiting(control) == len(told("c2"))
    async with recording(control, records):
        await emptied(control)
    assert (await only_call(records)).call_id == "c2"


async def test_a_call_is_not_held_up_while_nats_is_away(tmp_path: Path, told: Told) -> None:
    port = free_port()
    argv = [nats_server(), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(tmp_path)]

    def start() -> subprocess.Popen[bytes]:
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(argv, preexec_fn=lifetime.end_with_parent, **quiet)

    server = start()
    url = f"nats://127.0.0.1:{port}"
    control = await connect_control(url, "test")
    stream = RecordStream(control, most=10)
    try:
        server.kill()
        await asyncio.to_thread(server.wait, 5)
        events = [event for number in range(5) for event in told(f"c{number}")]
        stream.emit(*events)
        assert stream.dropped == len(events) - 10
        server = start()

        async def all_sent() -> bool:
            return stream.sent == 10

        await until(all_sent, 30)
        assert await waiting(control) == 10  # the stream was made too
    finally:
        await stream.close(0.1)
        await control.close()
        server.kill()
        server.wait(5)


async def test_the_latest_events_are_kept_when_not_all_can_be(control: Client, told: Told) -> None:
    stream = RecordStream(control, most=1)
    events = told()
    stream.emit(*events)
    await stream.close()
    message = await control.jetstream().get_last_msg(STREAM, record_subject("c1"))
    assert CallRecord.FromString(message.data or b"") == events[-1]
    assert message_id(events[-1]) == f"c1/1.{len(events)}"
    assert stream.dropped == len(events) - 1


async def test_a_brain_remembers_whom_it_spoke_to(control: Client, url: str, told: Told) -> None:
    now_us = told()[0].head.answered_unix_us
    keeping = RecordKeeping(control, url, KEPT_DAYS, pii=False)
    facts = CallFacts(call_id="new", agent="desk", caller_number="+49 (30) 1234", answered_unix_us=now_us + 1)
    memory = Memory()

    async def is_known() -> bool:
        return await keeping.remembered(memory, facts, UTC) != ""

    try:
        keeping.stream.emit(*told())
        await until(is_known)
        await emptied(control)
        events = "tandem_brain_record_events_total"
        assert REGISTRY.get_sample_value(events, {"result": "written"}) == len(told())
        assert REGISTRY.get_sample_value(events, {"result": "sent"}) == len(told())
        assert REGISTRY.get_sample_value("tandem_brain_record_events_waiting") == 0
        assert "book (name: Ada)" in await keeping.remembered(memory, facts, UTC)
        assert await keeping.remembered(None, facts, UTC) == ""
        stranger = CallFacts(call_id="new", agent="desk", caller_number="+1", answered_unix_us=now_us + 1)
        assert await keeping.remembered(memory, stranger, UTC) == ""
    finally:
        await keeping.close()


async def test_a_caller_is_new_where_no_database_answers(control: Client, tmp_path: Path, told: Told) -> None:
    (tmp_path / "kept").write_text("")
    keeping = RecordKeeping(control, f"sqlite:///{tmp_path / 'kept' / 'records.db'}", KEPT_DAYS, pii=False)
    facts = CallFacts(call_id="new", agent="desk", caller_number="+1", answered_unix_us=1)
    try:
        assert await keeping.remembered(Memory(), facts, UTC) == ""
    finally:
        await keeping.close()


async def test_a_consumer_that_is_gone_is_made_again(
    control: Client, records: CallRecords, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.brain.records.recorder._FETCH_S", 0.2)
    monkeypatch.setattr("services.brain.records.recorder._LOOK_EVERY", 2)
    stream = RecordStream(control)
    async with recording(control, records):
        stream.emit(*told("c1"))
        await until(lambda: is_there(records, "c1"))
        await control.jetstream().delete_consumer(STREAM, DURABLE)
        stream.emit(*told("c2"))
        await until(lambda: is_there(records, "c2"))
    await stream.close()
