"""The embedded trace store: spans in one SQLite file, for `tandem trace` where no collector is configured.

`TraceStore` writes and is used from one thread; `TraceReader` reads while others write (WAL). The file is bounded by
age and by number of spans: the oldest traces go first, whole.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from services.common.telemetry import names

DATABASE_NAME = "traces.db"
MAX_AGE_S = 7 * 86_400.0
# 0.2 to 0.5 kB a span: at most 150 MB, some 5,000 calls.
MAX_SPANS = 300_000
PRUNE_EVERY_SPANS = 2_000
# Prune to below the bound, so that not every batch at the bound prunes.
PRUNE_TO = 0.95

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spans (
    trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL,
    parent_id TEXT NOT NULL,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    status TEXT NOT NULL,
    status_message TEXT NOT NULL,
    attributes TEXT NOT NULL,
    events TEXT NOT NULL,
    call_id TEXT,
    PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spans_by_call ON spans (call_id) WHERE call_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS traces (
    trace_id TEXT PRIMARY KEY,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    spans INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS traces_by_start ON traces (first_ns);
CREATE INDEX IF NOT EXISTS traces_by_end ON traces (last_ns);
CREATE TRIGGER IF NOT EXISTS count_span AFTER INSERT ON spans BEGIN
    INSERT INTO traces VALUES (new.trace_id, new.start_ns, new.end_ns, 1) ON CONFLICT (trace_id) DO UPDATE SET
        first_ns = min(first_ns, excluded.first_ns), last_ns = max(last_ns, excluded.last_ns), spans = spans + 1;
END;
"""
_SCHEMA_VERSION = 1

Attribute = str | bool | int | float | list[Any] | dict[str, Any] | None


class StoreUnreadable(Exception):
    """The database is missing, is not ours or can't be opened; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class SpanEvent:
    name: str
    time_ns: int
    attributes: dict[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """A finished span. Ids are lower-case hex, `parent_id` empty for a root; times are wall clock in ns since 1970.

    `status` is "unset", "ok" or "error".
    """

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    start_ns: int
    end_ns: int
    status: str = "unset"
    status_message: str = ""
    attributes: dict[str, Attribute] = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class RecentCall:
    call_id: str
    trace_id: str
    started_ns: int
    duration_ns: int
    agent: str
    turns: int
    spans: int
    errors: int


def default_database() -> Path:
    """In Tandem's state folder: $TANDEM_STATE, or tandem under $XDG_STATE_HOME, by default ~/.local/state."""
    given = os.environ.get("TANDEM_STATE")
    if given:
        return Path(given).expanduser() / DATABASE_NAME
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "tandem" / DATABASE_NAME


class TraceStore:
    """The writer. Raises StoreUnreadable when the file can't be opened or is another schema's."""

    def __init__(self, database: Path, max_age_s: float = MAX_AGE_S, max_spans: int = MAX_SPANS) -> None:
        self._max_age_s = max_age_s
        self._max_spans = max_spans
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
            # What people said may be in it.
            database.touch(mode=0o600)
            self._sql = sqlite3.connect(database, timeout=5, check_same_thread=False)
            self._sql.execute("PRAGMA journal_mode=WAL")
            # A crash of the machine may cost the last traces, never the file.
            self._sql.execute("PRAGMA synchronous=NORMAL")
            version = self._sql.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _SCHEMA_VERSION):
                raise StoreUnreadable(f"{database} is of schema {version}; this build writes {_SCHEMA_VERSION}")
            with self._sql:
                self._sql.executescript(_SCHEMA)
                self._sql.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
        except (OSError, sqlite3.Error) as error:
            raise StoreUnreadable(f"cannot write traces to {database}: {error}") from error
        self._since_prune = PRUNE_EVERY_SPANS

    def add(self, spans: Iterable[Span], now_s: float | None = None) -> int:
        """Writes a batch in one transaction; a span that is there already is left. Returns how many were new."""
        with self._sql:
            # Not OR IGNORE: it would also rule the conflicts inside the trigger.
            added = self._sql.executemany(
                "INSERT INTO spans VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                [_row(span) for span in spans],
            ).rowcount
        self._since_prune += added
        if self._since_prune >= min(PRUNE_EVERY_SPANS, self._max_spans // 10 + 1):
            self.prune(time.time() if now_s is None else now_s)
        return added

    def prune(self, now_s: float) -> int:
        """Removes what is too old or too much; returns how many spans went."""
        self._since_prune = 0
        with self._sql:
            before = self._count()
            old = self._sql.execute(
                "SELECT trace_id FROM traces WHERE last_ns < ?", (int((now_s - self._max_age_s) * 1e9),)
            ).fetchall()
            self._forget(trace for (trace,) in old)
            excess = self._count() - self._max_spans
            if excess > 0:
                excess += int(self._max_spans * (1 - PRUNE_TO))
                self._forget(self._oldest(excess))
            left = self._count()
        return before - left

    def _count(self) -> int:
        return int(self._sql.execute("SELECT coalesce(sum(spans), 0) FROM traces").fetchone()[0])

    def _oldest(self, spans: int) -> list[str]:
        found: list[str] = []
        for trace_id, size in self._sql.execute("SELECT trace_id, spans FROM traces ORDER BY last_ns"):
            if spans <= 0:
                break
            found.append(trace_id)
            spans -= size
        return found

    def _forget(self, traces: Iterable[str]) -> None:
        ids = [(trace,) for trace in traces]
        self._sql.executemany("DELETE FROM spans WHERE trace_id = ?", ids)
        self._sql.executemany("DELETE FROM traces WHERE trace_id = ?", ids)

    def close(self) -> None:
        self._sql.close()


class TraceReader:
    """Reads a store as it stood at the first query, while others write. A context manager. Raises StoreUnreadable."""

    def __init__(self, database: Path) -> None:
        if not database.is_file():
            raise StoreUnreadable(f"no traces at {database}; `tandem up` keeps them there, or name one with --database")
        try:
            self._sql = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
            self._sql.execute("BEGIN")
            version = self._sql.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            raise StoreUnreadable(f"{database} is not a trace store: {error}") from error
        if version != _SCHEMA_VERSION:
            self._sql.close()
            if version == 0:
                raise StoreUnreadable(f"{database} holds no traces")
            raise StoreUnreadable(f"{database} is of schema {version}; this build reads {_SCHEMA_VERSION}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sql.close()

    def trace_of_call(self, call_id: str) -> list[Span]:
        """All spans of the trace (or traces) in which any span has this voice.call_id, by start; [] when unknown."""
        rows = self._sql.execute(
            "SELECT trace_id, span_id, parent_id, service, name, start_ns, end_ns, status, status_message, attributes,"
            " events FROM spans WHERE trace_id IN (SELECT DISTINCT trace_id FROM spans WHERE call_id = ?)"
            " ORDER BY start_ns, end_ns DESC, span_id",
            (call_id,),
        )
        return [_span(row) for row in rows]

    def recent_calls(self, limit: int = 20) -> list[RecentCall]:
        """The newest first. A call with two traces is listed with the spans of both, and the first trace's id."""
        found: dict[str, RecentCall] = {}
        newest = self._sql.execute("SELECT trace_id FROM traces ORDER BY first_ns DESC").fetchall()
        for (trace_id,) in newest:
            calls = self._sql.execute(
                "SELECT DISTINCT call_id FROM spans WHERE trace_id = ? AND call_id IS NOT NULL", (trace_id,)
            ).fetchall()
            found.update((call_id, self._recent(call_id)) for (call_id,) in calls if call_id not in found)
            if len(found) >= limit:
                break
        return sorted(found.values(), key=lambda call: call.started_ns, reverse=True)[:limit]

    def _recent(self, call_id: str) -> RecentCall:
        spans = self.trace_of_call(call_id)
        started = spans[0].start_ns
        agents = [str(span.attributes[names.AGENT]) for span in spans if span.attributes.get(names.AGENT)]
        return RecentCall(
            call_id=call_id,
            trace_id=spans[0].trace_id,
            started_ns=started,
            duration_ns=max(span.end_ns for span in spans) - started,
            agent=agents[0] if agents else "",
            turns=sum(span.name == names.TURN for span in spans),
            spans=len(spans),
            errors=sum(span.status == "error" for span in spans),
        )


def _row(span: Span) -> tuple[Any, ...]:
    call_id = span.attributes.get(names.CALL_ID)
    events = [{"name": one.name, "time_ns": one.time_ns, "attributes": one.attributes} for one in span.events]
    return (
        span.trace_id,
        span.span_id,
        span.parent_id,
        span.service,
        span.name,
        span.start_ns,
        span.end_ns,
        span.status,
        span.status_message,
        json.dumps(span.attributes, ensure_ascii=False),
        json.dumps(events, ensure_ascii=False),
        str(call_id) if call_id else None,
    )


def _span(row: tuple[Any, ...]) -> Span:
    events = tuple(SpanEvent(**event) for event in json.loads(row[10]))
    fields = (*row[:9], json.loads(row[9]), events)
    return Span(*fields)
