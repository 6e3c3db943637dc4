"""`tandem calls list|show|export|erase` on a real SQLite file, beside a real NATS server."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.brain.journal import BUCKET
from services.brain.records.repository import CallRecords
from services.common.bus import connect_control, open_bucket
from tandem.cli import app
from tandem.v1.call_pb2 import CallFacts, CallJournal, CallOutcome
from tandem.v1.record_pb2 import CallRecord
from tests.integration.ports import free_port

Told = Callable[..., list[CallRecord]]
DAY_US = 24 * 3600 * 1_000_000


def tandem(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["calls", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def kept(tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> str:
    """A state folder as `tandem up` leaves it, with three calls; the file's URL."""
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path))
    url = f"sqlite:///{tmp_path / 'records.db'}"
    write(url, *told("c1"), *told("c2", number="+1", outcome="transferred"), *told("c3", ended=False))
    return url


def write(url: str, *events: CallRecord) -> None:
    async def put() -> None:
        records = await CallRecords.open(url)
        await records.upsert(events)
        await records.close()

    asyncio.run(put())


def test_list(kept: str) -> None:
    code, out, _ = tandem("list")
    assert code == 0
    assert len(out.splitlines()) == 4
    assert "caller_hung_up: goodbye" in out
    assert "unfinished" in out
    code, out, _ = tandem("list", "--outcome", "transferred", "--json")
    (call,) = json.loads(out)["calls"]
    assert (code, call["call_id"], call["number"]) == (0, "c2", "+1")
    code, out, err = tandem("list", "--agent", "nobody")
    assert (code, out, err) == (0, "", "no such calls are recorded\n")


def test_show(kept: str) -> None:
    code, out, _ = tandem("show", "c1")
    assert code == 0
    assert 'tool:   book {"name": "Ada"}: succeeded' in out
    assert "caller: turn 0 of 1" in out
    assert "answered in 800 ms" in out
    code, out, _ = tandem("show", "last", "--json")
    assert json.loads(out)["turns"][1]["index"] == 1
    code, _, err = tandem("show", "nobody")
    assert (code, err) == (2, "tandem calls show: no call 'nobody' is recorded; see `tandem calls list`\n")


def test_export_goes_through_all_pages(kept: str, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.commands.calls._PAGE", 3)
    write(kept, *(event for day in range(7) for event in told(f"d{day}", answered_us=10 * DAY_US + day // 2)))
    out = tmp_path / "calls.jsonl"
    code, text, _ = tandem("export", str(out))
    assert (code, text) == (0, f"{out}: 10 calls\n")
    calls = [json.loads(line) for line in out.read_text().splitlines()]
    assert {call["call_id"] for call in calls} == {"c1", "c2", "c3", *(f"d{day}" for day in range(7))}
    assert len(calls) == 10
    assert out.stat().st_mode & 0o777 == 0o600
    code, text, _ = tandem("export", "-", "--number", "+1")
    assert json.loads(text)["call_id"] == "c2"
    code, _, err = tandem("export", str(tmp_path / "no" / "folder"))
    assert (code, "No such file" in err) == (1, True)


def test_erase_takes_rows_and_journals_of_ended_calls(kept: str, nats_url: str) -> None:
    async def journals(*write: str) -> set[str]:
        control = await connect_control(nats_url, "test")
        bucket = await open_bucket(control, BUCKET, 3600.0)
        for call_id in write:
            outcome = CallOutcome.CALL_OUTCOME_CALLER_HUNG_UP if call_id == "c1" else None
            journal = CallJournal(facts=CallFacts(call_id=call_id), outcome=outcome)
            await bucket.put(call_id, journal.SerializeToString())
        left = set(await bucket.keys())
        await control.close()
        return left

    asyncio.run(journals("c1", "c3"))
    code, out, err = tandem("erase", "+49 301 234", "--yes", "--nats", nats_url)
    assert (code, out, err) == (0, "erased 2 calls, 4 turns, 2 tool calls\n", "")
    left = asyncio.run(journals())
    assert "c1" not in left
    assert "c3" in left  # it goes on, and by its journal
    assert "c2" in tandem("list")[1]
    code, out, _ = tandem("erase", "+49301234", "--yes", "--nats", nats_url, "--json")
    assert (code, json.loads(out)["calls"]) == (0, [])


def test_erase_says_what_it_could_not_reach(kept: str) -> None:
    code, out, err = tandem("erase", "+1", "--yes", "--nats", f"nats://127.0.0.1:{free_port()}")
    assert (code, out) == (1, "erased 1 calls, 2 turns, 1 tool calls\n")
    assert "what waits on the bus was not erased" in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["list", "--url", "mysql://root:secret@db/x"], 2, "expected sqlite:///"),
        (["list", "--url", "sqlite:////nowhere/records.db"], 2, "no calls are recorded in /nowhere/records.db yet"),
        (["list", "--url", "postgresql://u:secret@127.0.0.1:1/x"], 1, "postgresql://u:***@127.0.0.1:1/x: "),
        (["list", "--since", "soon"], 2, "--since: expected 7d"),
        (["list", "--outcome", "good"], 2, "--outcome: expected one of caller_hung_up"),
        (["list", "--settings", "/nowhere.yaml"], 2, "/nowhere.yaml"),
        (["erase", "anonymous", "--yes"], 2, "expected a number"),
        (["erase", "+1"], 2, "nobody can be asked here; say --yes"),
    ],
)
def test_mistakes_are_explained(kept: str, arguments: list[str], code: int, said: str) -> None:
    given, out, err = tandem(*arguments)
    assert (given, out) == (code, "")
    assert said in err
    assert "secret" not in err
    assert "Traceback" not in err


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no database, and long enough to be looked at" * 100)
    code, _, err = tandem("list", "--url", f"sqlite:///{file}")
    assert (code, "file is not a database" in err) == (1, True)
