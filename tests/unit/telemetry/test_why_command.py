"""`tandem why` and `tandem calls --slow`, on a store of a few calls."""

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.common.telemetry import names
from services.common.telemetry.store import TraceStore
from services.common.telemetry.storedspan import Span
from tandem.cli import app

MINUTE_NS = 60 * 10**9


def call(number: int, ago_min: float, ear_ms: float | None, failed: bool = False) -> list[Span]:
    trace, begun = f"{number:032x}", time.time_ns() - int(ago_min * MINUTE_NS)
    about = {names.CALL_ID: f"c{number}", names.TRUNK: "carrier", names.SIP_STATUS: 503 if failed else 200}
    status = "error" if failed else "unset"
    spans = [Span(trace, "a" * 16, "", "gateway", names.CALL_SETUP, begun, begun + 10**7, status, "full", about)]
    if ear_ms is not None:
        told = {names.TURN_INDEX: 0, names.TURN_EAR_LATENCY_MS: ear_ms, f"{names.TURN_PART_MS}.tool": ear_ms - 300}
        spans.append(Span(trace, "b" * 16, "a" * 16, "brain", names.TURN, begun, begun + 10**9, attributes=told))
        tool = {names.TOOL_NAME: "book", names.TOOL_ATTEMPTS: 1}
        took = begun + int(ear_ms * 1e6)
        spans.append(Span(trace, "c" * 16, "b" * 16, "brain", "execute_tool book", begun, took, attributes=tool))
    return spans


@pytest.fixture
def database(tmp_path: Path) -> Path:
    store = TraceStore(tmp_path / "t.db")
    store.add([*call(1, 300, 2000.0), *call(2, 20, 700.0), *call(3, 10, 3300.0), *call(4, 5, None, failed=True)])
    store.close()
    return tmp_path / "t.db"


def tandem(database: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--database", str(database)])


def test_why_is_one_paragraph(database: Path) -> None:
    told = tandem(database, "why", "c3")
    assert told.exit_code == 0
    assert len(told.stdout.splitlines()) == 1
    assert "Turn 0, 0.0 s into the call: the caller heard the answer 3.3 s after their last word." in told.stdout
    assert "What made it late was a tool (3.0 s): the tool book took 3.3 s." in told.stdout
    assert told.stdout == tandem(database, "why", "c3", "0").stdout == tandem(database, "why", "c3", "worst").stdout


def test_why_of_the_worst_call(database: Path) -> None:
    assert tandem(database, "why", "worst").stdout == tandem(database, "why", "c3").stdout


def test_why_of_a_call_that_failed_and_of_one_without_a_slow_turn(database: Path) -> None:
    assert tandem(database, "why", "last").stdout.startswith("The call was not set up: it ended with 503 (full).")
    assert tandem(database, "why", "c2").stdout.startswith("No turn was slow: 1 answered")


def test_why_for_programs(database: Path) -> None:
    told = json.loads(tandem(database, "why", "c3", "--json").stdout)
    assert (told["call_id"], told["trace_id"], told["turn"], told["latency_ms"]) == ("c3", f"{3:032x}", 0, 3300.0)
    assert [(one["kind"], one["part"]) for one in told["findings"][:2]] == [("heard", "turn"), ("cause", "tool")]
    assert told["text"].startswith(told["findings"][0]["text"])


@pytest.mark.parametrize("spelled", [("calls", "--slow"), ("calls", "slow")])
def test_slow_calls_and_failed_ones(database: Path, spelled: tuple[str, ...]) -> None:
    told = json.loads(tandem(database, *spelled, "--json").stdout)["calls"]
    assert [(one["call_id"], one["worst_ms"], one["worst_part"], one["failed"]) for one in told] == [
        ("c4", None, None, "call.setup: 503"),
        ("c3", 3300.0, "tool", None),
        ("c1", 2000.0, "tool", None),
        ("c2", 700.0, "tool", None),
    ]
    late = json.loads(tandem(database, *spelled, "--since", "1h", "--json").stdout)["calls"]
    assert [one["call_id"] for one in late] == ["c4", "c3", "c2"]
    few = json.loads(tandem(database, *spelled, "--limit", "2", "--json").stdout)["calls"]
    assert [one["call_id"] for one in few] == ["c4", "c3"]
    lines = tandem(database, *spelled).stdout.splitlines()
    assert lines[0].split()[:3] == ["call", "when", "(UTC)"]
    assert [line.split()[0] for line in lines[1:5]] == ["c4", "c3", "c1", "c2"]
    assert lines[1].rstrip().endswith("call.setup: 503")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("why", "c9"), "tandem why: no trace of a call 'c9'; `tandem trace` lists the recent ones"),
        (("why", "c3", "7"), "tandem why: no turn '7' in this call: its turns are 0 to 0; or say `worst`"),
        (("calls", "slow", "--since", "soon"), "tandem calls slow: --since: expected 7d, 12h, 30m"),
    ],
)
def test_mistakes_are_one_line(database: Path, arguments: tuple[str, ...], message: str) -> None:
    refused = tandem(database, *arguments)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(message)
    assert len(refused.stderr.splitlines()) == 1


def test_without_a_store(tmp_path: Path) -> None:
    for arguments in (("why", "last"), ("calls", "--slow")):
        refused = tandem(tmp_path / "no.db", *arguments)
        assert (refused.exit_code, "no traces at" in refused.stderr) == (2, True)
