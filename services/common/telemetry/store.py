"""The embedded trace store: spans in one SQLite file, where no collector is configured.

`TraceStore` writes and is used from one thread; `TraceReader` reads while others write (WAL). The file is bounded by
age, by number of spans and by size: the oldest traces go first, whole, and a few at a time, so that nobody waits long.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, fields
from itertools import groupby
from pathlib import Path

from services.common.telemetry import names, storeschema
from services.common.telemetry.callsummary import CallSummary, summary_of
from services.common.telemetry.storedspan import Attribute, Span, SpanEvent, SpanLink
from services.common.telemetry.storeschema import STATUSES, StoreUnreadable, as_text, version_of
from services.common.telemetry.tracereader import RecentCall, TraceReader

__all__ = [
    "Attribute",
    "RecentCall",
    "Span",
    "SpanEvent",
    "SpanLink",
    "StoreUnreadable",
    "TraceReader",
    "TraceStore",
    "default_database",
]

DATABASE_NAME = "traces.db"
MAX_AGE_S = 14 * 86_400.0
# 10,000 long calls, of 300 spans.
MAX_SPANS = 3_000_000
# 0.3 to 0.5 kB a span. A span can be as long as its attributes, so the number of spans alone bounds nothing.
MAX_BYTES = 3 * 1024**3 // 2
PRUNE_EVERY_SPANS = 2_000
# Prune to below the bound, so that not every batch at the bound prunes.
PRUNE_TO = 0.95
# More than comes in between two steps, so that pruning keeps up; some 50 ms, so that no writer waits longer.
PRUNE_STEP_SPANS = 3 * PRUNE_EVERY_SPANS
# What a long reader made the log grow to is given back when it is done.
WAL_BYTES = 16 * 1024**2

_SUMMARY = tuple(one.name for one in fields(CallSummary))
_READ = f"SELECT number, {', '.join(_SUMMARY)} FROM traces WHERE trace_id = ?"
_BEGIN = f"INSERT INTO traces (trace_id, {', '.join(_SUMMARY)}) VALUES (?{', ?' * len(_SUMMARY)})"
_UPDATE = f"UPDATE traces SET {', '.join(f'{name} = ?' for name in _SUMMARY)} WHERE number = ?"
_INSERT = "INSERT INTO spans VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"


def default_database() -> Path:
    """In Tandem's state folder: $TANDEM_STATE, or tandem under $XDG_STATE_HOME, by default ~/.local/state."""
    given = os.environ.get("TANDEM_STATE")
    if given:
        return Path(given).expanduser() / DATABASE_NAME
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "tandem" / DATABASE_NAME


class TraceStore:
    """The writer. A store of schema 1 is brought up to date, with all that is in it. Raises StoreUnreadable when the
    file can't be opened or is of a newer schema."""

    def __init__(
        self,
        database: Path,
        max_age_s: float = MAX_AGE_S,
        max_spans: int = MAX_SPANS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._max_age_s = max_age_s
        self._max_spans = max_spans
        self._max_bytes = max_bytes
        self._operations: dict[tuple[str, str, str], int] = {}
        self._processes: dict[str, int] = {}
        self._latest: tuple[dict[str, Attribute], int] | None = None
        self.migrated = 0
        """Spans that were taken over from an older schema."""
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
            # What people said may be in it.
            database.touch(mode=0o600)
            # Transactions are begun by hand: one that reads first must hold the lock already.
            self._sql = sqlite3.connect(database, timeout=5, check_same_thread=False, isolation_level=None)
            self._sql.execute("PRAGMA journal_mode=WAL")
            # A crash of the machine may cost the last traces, never the file.
            self._sql.execute("PRAGMA synchronous=NORMAL")
            self._sql.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
            with self._transaction():
                version = version_of(self._sql)
                if version > storeschema.SCHEMA_VERSION:
                    raise storeschema.refusal(database, version, "writes")
                if version == 1:
                    self._migrate()
                else:
                    storeschema.create(self._sql)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnreadable(f"cannot write traces to {database}: {error}") from error
        self._since_prune = PRUNE_EVERY_SPANS

    def add(self, spans: Iterable[Span], now_s: float | None = None) -> int:
        """Writes a batch in one transaction; a span that is there already is left. Returns how many were new."""
        by_trace: dict[str, list[Span]] = {}
        for span in spans:
            by_trace.setdefault(span.trace_id, []).append(span)
        with self._transaction():
            added = sum(self._add(trace_id, group) for trace_id, group in by_trace.items())
        self._since_prune += added
        if self._since_prune >= min(PRUNE_EVERY_SPANS, self._max_spans // 10 + 1):
            self.prune(time.time() if now_s is None else now_s)
        return added

    def prune(self, now_s: float) -> int:
        """Removes what is too old or too much, the oldest first, and not more than a step's worth at once. Returns how
        many spans went; call again while some do, where all must go."""
        self._since_prune = 0
        gone = 0
        with self._transaction():
            excess = self._excess()
            too_old_ns = int((now_s - self._max_age_s) * 1e9)
            oldest = self._sql.execute("SELECT number, spans, last_ns FROM traces ORDER BY last_ns LIMIT 1000")
            for number, spans, last_ns in oldest.fetchall():
                if gone >= PRUNE_STEP_SPANS or (gone >= excess and last_ns >= too_old_ns):
                    break
                self._forget(number)
                gone += spans
            if gone:
                self._operations.clear()
                self._sql.execute(
                    "DELETE FROM operations WHERE NOT EXISTS"
                    " (SELECT 1 FROM operations_of_trace WHERE operation = operations.number)"
                )
        return gone

    def close(self) -> None:
        self._sql.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._sql.execute("COMMIT")
        except BaseException:
            # Numbers that were given out in it are not there.
            self._operations.clear()
            self._processes.clear()
            self._latest = None
            # Where the disk is full SQLite has rolled back by itself; where COMMIT failed, perhaps not.
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise

    def _migrate(self) -> None:
        storeschema.set_aside_1(self._sql)
        storeschema.create(self._sql)
        for trace_id, spans in groupby(storeschema.spans_of_1(self._sql), lambda span: span.trace_id):
            self.migrated += self._add(trace_id, list(spans))
        storeschema.drop_1(self._sql)

    def _add(self, trace_id: str, spans: list[Span]) -> int:
        row = self._sql.execute(_READ, (trace_id,)).fetchone()
        known = CallSummary(*row[1:]) if row else None
        if row:
            number = int(row[0])
        else:
            begun = self._sql.execute(_BEGIN, (trace_id, *astuple(CallSummary(spans[0].start_ns, spans[0].end_ns))))
            number = int(begun.lastrowid or 0)
        new = [span for span in spans if self._insert(number, span)]
        summary = summary_of(new)
        if summary is None:
            return 0
        merged = known.merged(summary) if known else summary
        self._sql.execute(_UPDATE, (*astuple(merged), number))
        operations = {(self._operation(span), number) for span in new}
        self._sql.executemany("INSERT OR IGNORE INTO operations_of_trace VALUES (?, ?)", operations)
        calls = {(str(call), number) for span in new if (call := span.attributes.get(names.CALL_ID))}
        self._sql.executemany("INSERT OR IGNORE INTO calls VALUES (?, ?)", calls)
        return len(new)

    def _insert(self, trace: int, span: Span) -> bool:
        events = [{"name": one.name, "time_ns": one.time_ns, "attributes": one.attributes} for one in span.events]
        links = [{"trace_id": one.trace_id, "span_id": one.span_id, "attributes": one.attributes} for one in span.links]
        inserted = self._sql.execute(
            _INSERT,
            (
                trace,
                span.span_id,
                span.parent_id,
                self._operation(span),
                self._process(span),
                span.start_ns,
                span.end_ns,
                STATUSES.index(span.status),
                span.status_message,
                as_text(span.attributes),
                as_text(events) if events else None,
                as_text(links) if links else None,
            ),
        )
        return inserted.rowcount == 1

    def _operation(self, span: Span) -> int:
        key = (span.service, span.name, span.kind)
        if (known := self._operations.get(key)) is None:
            self._sql.execute("INSERT OR IGNORE INTO operations (service, name, kind) VALUES (?, ?, ?)", key)
            where = "SELECT number FROM operations WHERE service = ? AND name = ? AND kind = ?"
            known = self._operations[key] = int(self._sql.execute(where, key).fetchone()[0])
        return known

    def _process(self, span: Span) -> int:
        # The spans of an export share the object: to compare it costs less than to write it as text.
        if self._latest is None or self._latest[0] is not span.resource:
            self._latest = span.resource, self._process_of(as_text(span.resource))
        return self._latest[1]

    def _process_of(self, key: str) -> int:
        if (known := self._processes.get(key)) is None:
            self._sql.execute("INSERT OR IGNORE INTO processes (resource) VALUES (?)", (key,))
            where = "SELECT number FROM processes WHERE resource = ?"
            known = self._processes[key] = int(self._sql.execute(where, (key,)).fetchone()[0])
        return known

    def _excess(self) -> int:
        """Spans that must go for the number and the size of them, to a little below the bound; 0 within it."""
        spans = int(self._sql.execute("SELECT coalesce(sum(spans), 0) FROM traces").fetchone()[0])
        pages, free, page = (
            int(self._sql.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        used = (pages - free) * page
        keep = spans
        if spans > self._max_spans:
            keep = int(self._max_spans * PRUNE_TO)
        if used > self._max_bytes:
            keep = min(keep, int(spans * PRUNE_TO * self._max_bytes / used))
        return spans - keep

    def _forget(self, trace: int) -> None:
        for table in ("spans", "calls", "operations_of_trace"):
            self._sql.execute(f"DELETE FROM {table} WHERE trace = ?", (trace,))
        self._sql.execute("DELETE FROM traces WHERE number = ?", (trace,))
