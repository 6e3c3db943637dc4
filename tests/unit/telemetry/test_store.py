"""The trace store keeps what came, once, within its bounds."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from services.common.telemetry import names
from services.common.telemetry.store import (
    DATABASE_NAME,
    PRUNE_STEP_SPANS,
    WAL_BYTES,
    Span,
    SpanEvent,
    SpanLink,
    StoreUnreadable,
    TraceReader,
    TraceStore,
    default_database,
)

NOW_S = 1_800_000_000.0
NOW_NS = int(NOW_S * 1e9)


def span(trace: int, number: int, name: str = "x", age_s: float = 0, parent: int = 0, **attributes: object) -> Span:
    start = NOW_NS - int(age_s * 1e9)
    return Span(
        f"{trace:032x}",
        f"{number:016x}",
        f"{parent:016x}" if parent else "",
        "brain",
        name,
        start,
        start + 1_000_000,
        attributes={key.replace("_", ".", 1): value for key, value in attributes.items()},  # type: ignore[misc]
    )


def call(trace: int, call_id: str, age_s: float = 0, spans: int = 3) -> list[Span]:
    root = span(trace, 1, names.CALL_SETUP, age_s, voice_call_id=call_id, voice_agent="front_desk")
    return [root, *(span(trace, number, names.TURN, age_s - number / 10, 1) for number in range(2, spans + 1))]


def test_what_went_in_comes_out(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db")
    one = Span(
        "a" * 32,
        "b" * 16,
        "",
        "gateway",
        "call.setup",
        NOW_NS,
        NOW_NS + 5,
        "error",
        "no route",
        {names.CALL_ID: "c1", "n": 1, "f": 0.5, "yes": True, "list": ["ä", 2]},
        (SpanEvent("exception", NOW_NS + 1, {"exception.message": "no route"}),),
        (SpanLink("d" * 32, "e" * 16, {"why": "follows"}), SpanLink("d" * 32, "f" * 16)),
        "server",
        {"service.instance.id": "gateway-0"},
    )
    assert store.add([one], NOW_S) == 1
    with TraceReader(tmp_path / "t.db") as reader:
        assert reader.trace_of_call("c1") == [one]
        assert reader.trace_of_call("c2") == []


def test_all_spans_of_the_trace_belong_to_the_call(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db")
    store.add([*call(1, "c1"), *call(2, "c2")], NOW_S)
    with TraceReader(tmp_path / "t.db") as reader:
        assert [one.span_id[-1] for one in reader.trace_of_call("c1")] == ["1", "2", "3"]


def test_a_span_exported_again_is_kept_once(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db")
    assert store.add(call(1, "c1"), NOW_S) == 3
    assert store.add(call(1, "c1", spans=4), NOW_S) == 1
    with TraceReader(tmp_path / "t.db") as reader:
        (recent,) = reader.recent_calls()
    assert (recent.spans, recent.turns, recent.agent) == (4, 3, "front_desk")


def test_recent_calls_newest_first(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db")
    for number in range(5):
        store.add(call(number + 1, f"c{number}", age_s=100 - number), NOW_S)
    store.add([span(9, 1, "no call")], NOW_S)
    with TraceReader(tmp_path / "t.db") as reader:
        assert [one.call_id for one in reader.recent_calls(limit=3)] == ["c4", "c3", "c2"]


def test_old_traces_go(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db", max_age_s=60)
    store.add([*call(1, "old", age_s=61), *call(2, "young", age_s=59)], NOW_S)
    store.prune(NOW_S)
    with TraceReader(tmp_path / "t.db") as reader:
        assert [one.call_id for one in reader.recent_calls()] == ["young"]
        assert reader.trace_of_call("old") == []


def test_the_number_of_spans_is_bounded_and_whole_traces_go(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db", max_spans=100)
    for number in range(200):
        store.add(call(number + 1, f"c{number}", age_s=1000 - number, spans=5), NOW_S)
    with TraceReader(tmp_path / "t.db") as reader:
        recent = reader.recent_calls(limit=1000)
    assert sum(one.spans for one in recent) <= 100 + 100 // 10 + 5
    assert {one.spans for one in recent} == {5}
    assert recent[0].call_id == "c199"


def test_one_endless_trace_is_bounded_too(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db", max_spans=100)
    for number in range(0, 1000, 10):
        store.add([span(1, one, voice_call_id="c1") for one in range(number + 1, number + 11)], NOW_S)
    with TraceReader(tmp_path / "t.db") as reader:
        assert len(reader.trace_of_call("c1")) <= 120


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    TraceStore(tmp_path / "deep" / "t.db").add(call(1, "c1"), NOW_S)
    assert (tmp_path / "deep" / "t.db").stat().st_mode & 0o077 == 0


def test_a_missing_database_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadable, match="`tandem up` keeps them there"):
        TraceReader(tmp_path / "t.db")


def test_a_file_of_another_kind_is_explained(tmp_path: Path) -> None:
    (tmp_path / "t.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreUnreadable, match="is not a trace store"):
        TraceReader(tmp_path / "t.db")
    with pytest.raises(StoreUnreadable, match="cannot write traces to"):
        TraceStore(tmp_path / "t.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreUnreadable, match="holds no traces"):
        TraceReader(tmp_path / "empty.db")


def test_another_schema_is_refused(tmp_path: Path) -> None:
    sql = sqlite3.connect(tmp_path / "t.db")
    sql.execute("PRAGMA user_version=7")
    sql.close()
    with pytest.raises(StoreUnreadable, match="is of schema 7; this build writes 2"):
        TraceStore(tmp_path / "t.db")
    with pytest.raises(StoreUnreadable, match="is of schema 7; this build reads 2"):
        TraceReader(tmp_path / "t.db")


SCHEMA_1 = """
CREATE TABLE spans (trace_id TEXT NOT NULL, span_id TEXT NOT NULL, parent_id TEXT NOT NULL, service TEXT NOT NULL,
    name TEXT NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, status TEXT NOT NULL,
    status_message TEXT NOT NULL, attributes TEXT NOT NULL, events TEXT NOT NULL, call_id TEXT,
    PRIMARY KEY (trace_id, span_id)) WITHOUT ROWID;
CREATE INDEX spans_by_call ON spans (call_id) WHERE call_id IS NOT NULL;
CREATE TABLE traces (trace_id TEXT PRIMARY KEY, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
    spans INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX traces_by_start ON traces (first_ns);
CREATE INDEX traces_by_end ON traces (last_ns);
CREATE TRIGGER count_span AFTER INSERT ON spans BEGIN
    INSERT INTO traces VALUES (new.trace_id, new.start_ns, new.end_ns, 1) ON CONFLICT (trace_id) DO NOTHING; END;
PRAGMA user_version=1;
"""


def test_a_store_of_schema_1_is_brought_up_to_date(tmp_path: Path) -> None:
    sql = sqlite3.connect(tmp_path / "t.db")
    sql.executescript(SCHEMA_1)
    spans = [*call(1, "c1"), *call(2, "c2", age_s=5)]
    failed = Span("1" * 32, "9" * 16, "", "tts", "x", NOW_NS, NOW_NS + 1, "error", "no", {}, (SpanEvent("e", NOW_NS),))
    for one in [*spans, failed]:
        events = json.dumps([{"name": each.name, "time_ns": each.time_ns, "attributes": {}} for each in one.events])
        told = (one.service, one.name, one.start_ns, one.end_ns, one.status, one.status_message)
        row = (one.trace_id, one.span_id, one.parent_id, *told, json.dumps(one.attributes), events, None)
        sql.execute("INSERT INTO spans VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", row)
    sql.commit()
    sql.close()
    with pytest.raises(StoreUnreadable, match="is of schema 1; this build reads 2: start `tandem up` once"):
        TraceReader(tmp_path / "t.db")
    store = TraceStore(tmp_path / "t.db")
    assert store.migrated == 7
    with TraceReader(tmp_path / "t.db") as reader:
        assert [one.call_id for one in reader.recent_calls()] == ["c1", "c2"]
        assert reader.trace_of_call("c2") == sorted(spans[3:], key=lambda one: one.start_ns)
        assert reader.trace("1" * 32) == [failed]
    assert TraceStore(tmp_path / "t.db").migrated == 0


def test_a_file_that_cannot_be_migrated_is_left_as_it_is(tmp_path: Path) -> None:
    sql = sqlite3.connect(tmp_path / "t.db")
    sql.executescript("CREATE TABLE other (x); PRAGMA user_version=1;")
    sql.close()
    with pytest.raises(StoreUnreadable, match="cannot write traces to"):
        TraceStore(tmp_path / "t.db")
    sql = sqlite3.connect(tmp_path / "t.db")
    assert [name for (name,) in sql.execute("SELECT name FROM sqlite_master")] == ["other"]


def test_the_size_is_bounded(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db", max_spans=10_000, max_bytes=400_000)
    for number in range(100):
        text = {"text": "x" * 5_000}
        big = [replace(one, attributes=one.attributes | text) for one in call(number + 1, f"c{number}")]
        store.add(big, NOW_S + number)
        store.prune(NOW_S)
    with TraceReader(tmp_path / "t.db") as reader:
        recent = reader.recent_calls(limit=1000)
    assert 5 <= len(recent) <= 30
    assert (tmp_path / "t.db").stat().st_size < 800_000


def test_the_log_beside_the_file_is_bounded_while_others_read(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db")
    for number in range(300):
        with TraceReader(tmp_path / "t.db") as reader:
            reader.recent_calls()
            store.add([replace(one, attributes={"text": "x" * 4_000}) for one in call(number + 1, "c")], NOW_S)
    assert (tmp_path / "t.db-wal").stat().st_size < 2 * WAL_BYTES


def test_a_step_of_pruning_is_small_and_steps_end(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db", max_age_s=60)
    for number in range(20):
        old = [span(number + 1, one, "x", 1000 - number) for one in range(1, 1001)]
        store.add(old, NOW_S - 1000)
    gone = [store.prune(NOW_S) for _ in range(6)]
    assert sum(gone) == 20_000
    assert max(gone) < PRUNE_STEP_SPANS + 1000
    assert gone[-1] == 0
    with TraceReader(tmp_path / "t.db") as reader:
        assert reader.services() == []


def test_a_batch_that_fails_leaves_nothing_and_the_next_one_is_kept(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db")
    bad = replace(span(1, 2, "y"), attributes={"x": object()})  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        store.add([span(1, 1, "new name"), bad], NOW_S)
    store.add([span(2, 1, "new name")], NOW_S)
    with TraceReader(tmp_path / "t.db") as reader:
        assert reader.trace(f"{1:032x}") == []
        assert [one.name for one in reader.trace(f"{2:032x}")] == ["new name"]


def test_a_full_disk_costs_the_batch_and_nothing_after_it(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db")
    pages = store._sql.execute("PRAGMA page_count").fetchone()[0]
    store._sql.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.add([span(1, 1, "new name", x_y="z" * 100_000)], NOW_S)
    store._sql.execute("PRAGMA max_page_count=100000")
    store.add([span(2, 1, "new name")], NOW_S)
    with TraceReader(tmp_path / "t.db") as reader:
        assert [one.name for one in reader.trace(f"{2:032x}")] == ["new name"]


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"TANDEM_STATE": "/s", "XDG_STATE_HOME": "/x"}, f"/s/{DATABASE_NAME}"),
        ({"XDG_STATE_HOME": "/x"}, f"/x/tandem/{DATABASE_NAME}"),
        ({"HOME": "/h"}, f"/h/.local/state/tandem/{DATABASE_NAME}"),
    ],
)
def test_where_it_is(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], path: str) -> None:
    for name in ("TANDEM_STATE", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_database() == Path(path)
