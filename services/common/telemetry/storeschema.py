"""The tables of the trace store, and how a store of an older build is brought up to date.

A store holds millions of spans, so a row says little twice: the service, the name and the kind of a span are one
number, what is known of a process another, and the trace a third. What a call was like stands on its trace, kept up
with every batch, so that lists of calls read no spans.
"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.common.telemetry.storedspan import Span, SpanEvent

SCHEMA_VERSION = 2

STATUSES = ("unset", "ok", "error")

TABLES = """
CREATE TABLE IF NOT EXISTS traces (
    number INTEGER PRIMARY KEY,
    trace_id TEXT NOT NULL UNIQUE,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    spans INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    turns INTEGER NOT NULL,
    call_id TEXT,
    call_ns INTEGER,
    agent TEXT,
    trunk TEXT,
    worst_ms REAL,
    worst_turn INTEGER,
    worst_part TEXT,
    failed TEXT,
    transferred TEXT,
    hangup TEXT,
    mos REAL,
    loss_pct REAL,
    jitter_ms REAL
);
CREATE INDEX IF NOT EXISTS traces_by_start ON traces (first_ns);
CREATE INDEX IF NOT EXISTS traces_by_end ON traces (last_ns);
CREATE INDEX IF NOT EXISTS calls_by_start ON traces (first_ns) WHERE call_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS calls_by_latency ON traces (worst_ms) WHERE worst_ms IS NOT NULL;
CREATE INDEX IF NOT EXISTS calls_failed ON traces (first_ns) WHERE failed IS NOT NULL;
CREATE TABLE IF NOT EXISTS calls (
    call_id TEXT NOT NULL,
    trace INTEGER NOT NULL,
    PRIMARY KEY (call_id, trace)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS calls_of_trace ON calls (trace);
CREATE TABLE IF NOT EXISTS operations (
    number INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    UNIQUE (service, name, kind)
);
CREATE TABLE IF NOT EXISTS processes (
    number INTEGER PRIMARY KEY,
    resource TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS operations_of_trace (
    operation INTEGER NOT NULL,
    trace INTEGER NOT NULL,
    PRIMARY KEY (operation, trace)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS trace_of_operations ON operations_of_trace (trace);
CREATE TABLE IF NOT EXISTS spans (
    trace INTEGER NOT NULL,
    span_id TEXT NOT NULL,
    parent_id TEXT NOT NULL,
    operation INTEGER NOT NULL,
    process INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    status INTEGER NOT NULL,
    status_message TEXT NOT NULL,
    attributes TEXT NOT NULL,
    events TEXT,
    links TEXT,
    PRIMARY KEY (trace, span_id)
) WITHOUT ROWID;
"""

_SPANS_OF_1 = """
SELECT trace_id, span_id, parent_id, service, name, start_ns, end_ns, status, status_message, attributes, events
FROM spans_of_1 ORDER BY trace_id
"""


class StoreUnreadable(Exception):
    """The database is missing, is not ours or can't be opened; the message says which and what to do."""


def version_of(sql: sqlite3.Connection) -> int:
    """0 for a new file."""
    return int(sql.execute("PRAGMA user_version").fetchone()[0])


def create(sql: sqlite3.Connection) -> None:
    """Makes what is missing; to be called within a transaction."""
    for statement in TABLES.split(";\n"):
        sql.execute(statement)
    sql.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def set_aside_1(sql: sqlite3.Connection) -> None:
    """Gives the tables of schema 1 other names, to be read by `spans_of_1` and dropped by `drop_1`."""
    sql.execute("DROP TRIGGER IF EXISTS count_span")
    for index in ("spans_by_call", "traces_by_start", "traces_by_end"):
        sql.execute(f"DROP INDEX IF EXISTS {index}")
    sql.execute("ALTER TABLE spans RENAME TO spans_of_1")
    sql.execute("DROP TABLE traces")


def spans_of_1(sql: sqlite3.Connection) -> Iterator[Span]:
    for row in sql.execute(_SPANS_OF_1):
        events = tuple(SpanEvent(**event) for event in json.loads(row[10]))
        fields = (*row[:9], json.loads(row[9]), events)
        yield Span(*fields)


def drop_1(sql: sqlite3.Connection) -> None:
    sql.execute("DROP TABLE spans_of_1")


def refusal(database: Path, version: int, does: str) -> StoreUnreadable:
    """For a schema that this build can't take. `does` is "reads" or "writes"."""
    said = f"{database} is of schema {version}; this build {does} {SCHEMA_VERSION}"
    if version < SCHEMA_VERSION:
        return StoreUnreadable(f"{said}: start `tandem up` once, it brings the file up to date")
    return StoreUnreadable(f"{said}: a newer build made it; use that one, or move the file away")


def as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
