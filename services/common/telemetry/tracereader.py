"""Reading the trace store: traces, calls, and what Jaeger's queries ask for."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from services.common.telemetry import names, storeschema
from services.common.telemetry.callsummary import CallSummary
from services.common.telemetry.storedspan import Attribute, Span, SpanEvent, SpanLink
from services.common.telemetry.storeschema import STATUSES, StoreUnreadable, version_of

# A trace beyond this is no call's; it must not take all memory of who asks for it.
MAX_SPANS_OF_TRACE = 50_000
# Traces that begin so long before the time that is asked for may still have spans in it: no call is longer.
LONGEST_CALL_NS = 6 * 3600 * 10**9
# A graph of the services does not change with the number of calls that it is drawn from.
DEPENDENCY_TRACES = 200
SEARCH_WITHIN_S = 5.0

_SUMMARY = ", ".join(f"traces.{one.name}" for one in fields(CallSummary))
_SPANS = (
    "SELECT trace_id, span_id, parent_id, service, name, start_ns, end_ns, status, status_message, attributes, events,"
    " links, kind, resource FROM spans JOIN traces ON traces.number = spans.trace"
    " JOIN operations ON operations.number = spans.operation JOIN processes ON processes.number = spans.process"
)
_IN_ORDER = f" ORDER BY start_ns, end_ns DESC, span_id LIMIT {MAX_SPANS_OF_TRACE}"


class SearchTooWide(Exception):
    """The search was given up; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class RecentCall:
    """A call by what its spans told so far. `trace_id` is the first's, where the call has several."""

    call_id: str
    trace_id: str
    summary: CallSummary

    @property
    def started_ns(self) -> int:
        return self.summary.first_ns

    @property
    def duration_ns(self) -> int:
        return self.summary.last_ns - self.summary.first_ns

    @property
    def agent(self) -> str:
        return self.summary.agent or ""

    @property
    def turns(self) -> int:
        return self.summary.turns

    @property
    def spans(self) -> int:
        return self.summary.spans

    @property
    def errors(self) -> int:
        return self.summary.errors


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """Traces with a span that is all of this. Times in ns since 1970, durations of the span in ns.

    A tag is a span's or its process's; `error`, `span.kind` and `otel.status_code` are read as Jaeger has them.
    `voice.call_id` is the trace's: only some spans of a call carry it, and who asks for a call wants it whole.
    """

    service: str = ""
    operation: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    start_ns: int = 0
    end_ns: int = 2**63 - 1
    min_ns: int | None = None
    max_ns: int | None = None
    limit: int = 20


class TraceReader:
    """Reads a store as it stood at the first query, while others write. A context manager. Raises StoreUnreadable."""

    def __init__(self, database: Path) -> None:
        if not database.is_file():
            raise StoreUnreadable(f"no traces at {database}; `tandem up` keeps them there, or name one with --database")
        try:
            self._sql = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
            self._sql.execute("BEGIN")
            version = version_of(self._sql)
        except sqlite3.Error as error:
            raise StoreUnreadable(f"{database} is not a trace store: {error}") from error
        if version != storeschema.SCHEMA_VERSION:
            self._sql.close()
            if version == 0:
                raise StoreUnreadable(f"{database} holds no traces")
            raise storeschema.refusal(database, version, "reads")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sql.close()

    def trace_of_call(self, call_id: str) -> list[Span]:
        """All spans of the trace (or traces) in which any span has this voice.call_id, by start; [] when unknown."""
        rows = self._sql.execute(
            _SPANS + " WHERE spans.trace IN (SELECT trace FROM calls WHERE call_id = ?)" + _IN_ORDER, (call_id,)
        )
        return [_span(row) for row in rows]

    def trace(self, trace_id: str) -> list[Span]:
        """All spans of a trace, by start; [] when unknown."""
        rows = self._sql.execute(
            _SPANS + " WHERE spans.trace = (SELECT number FROM traces WHERE trace_id = ?)" + _IN_ORDER, (trace_id,)
        )
        return [_span(row) for row in rows]

    def recent_calls(self, limit: int = 20) -> list[RecentCall]:
        """The newest first. A call with two traces is listed with the spans of both."""
        return self._calls("WHERE traces.call_id IS NOT NULL ORDER BY first_ns DESC", (), limit)

    def slow_calls(self, since_ns: int = 0, limit: int = 20) -> list[RecentCall]:
        """The calls with the slowest answers, the slowest first; only of calls that began since then."""
        return self._calls(
            "WHERE traces.call_id IS NOT NULL AND worst_ms IS NOT NULL AND first_ns >= ? ORDER BY worst_ms DESC",
            (since_ns,),
            limit,
        )

    def failed_calls(self, since_ns: int = 0, limit: int = 20) -> list[RecentCall]:
        """Calls of which a part failed (`summary.failed` tells which), the newest first."""
        return self._calls(
            "WHERE traces.call_id IS NOT NULL AND failed IS NOT NULL AND first_ns >= ? ORDER BY first_ns DESC",
            (since_ns,),
            limit,
        )

    def services(self) -> list[str]:
        rows = self._sql.execute(
            "SELECT DISTINCT service FROM operations WHERE EXISTS"
            " (SELECT 1 FROM operations_of_trace WHERE operation = number) ORDER BY service"
        )
        return [service for (service,) in rows]

    def operations(self, service: str, kind: str = "") -> list[tuple[str, str]]:
        """Names of spans with their kinds."""
        rows = self._sql.execute(
            "SELECT name, kind FROM operations WHERE service = ? AND (? = '' OR kind = ?) AND EXISTS"
            " (SELECT 1 FROM operations_of_trace WHERE operation = number) ORDER BY name, kind",
            (service, kind, kind),
        )
        return [(name, kind) for name, kind in rows]

    def find(self, query: TraceQuery, within_s: float = SEARCH_WITHIN_S) -> list[str]:
        """Ids of the traces that match, the newest first. Raises SearchTooWide when it takes too long."""
        where, values = self._where(query)
        started = time.monotonic()
        self._sql.create_function("has_tags", 3, _has_tags, deterministic=True)
        self._sql.set_progress_handler(lambda: time.monotonic() - started >= within_s, 10_000)
        try:
            rows = self._sql.execute(
                f"SELECT trace_id FROM traces WHERE {where} ORDER BY first_ns DESC LIMIT ?", (*values, query.limit)
            ).fetchall()
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            raise SearchTooWide(
                f"gave up after {within_s:.0f} s: ask for less time, for one operation, or for fewer traces"
            ) from None
        finally:
            self._sql.set_progress_handler(None, 0)
        return [trace_id for (trace_id,) in rows]

    def dependencies(self, start_ns: int, end_ns: int) -> list[tuple[str, str, int]]:
        """Which service's spans stand below which other's, and how many, in the newest traces of that time."""
        rows = self._sql.execute(
            "SELECT upper.service, lower.service, count(*) FROM"
            " (SELECT number FROM traces WHERE first_ns BETWEEN ? AND ? ORDER BY first_ns DESC LIMIT ?) AS newest"
            " JOIN spans AS child ON child.trace = newest.number"
            " JOIN spans AS parent ON parent.trace = child.trace AND parent.span_id = child.parent_id"
            " JOIN operations AS upper ON upper.number = parent.operation"
            " JOIN operations AS lower ON lower.number = child.operation"
            " WHERE upper.service <> lower.service GROUP BY 1, 2 ORDER BY 1, 2",
            (start_ns, end_ns, DEPENDENCY_TRACES),
        )
        return [(parent, child, calls) for parent, child, calls in rows]

    def _calls(self, which: str, values: Iterable[Any], limit: int) -> list[RecentCall]:
        found: dict[str, RecentCall] = {}
        for (call_id,) in self._sql.execute(f"SELECT traces.call_id FROM traces {which}", tuple(values)):
            if call_id not in found:
                found[call_id] = self._call(call_id)
            if len(found) >= limit:
                break
        return list(found.values())

    def _call(self, call_id: str) -> RecentCall:
        rows = self._sql.execute(
            f"SELECT trace_id, {_SUMMARY} FROM calls JOIN traces ON traces.number = calls.trace"
            " WHERE calls.call_id = ? AND traces.call_id = calls.call_id ORDER BY first_ns",
            (call_id,),
        ).fetchall()
        summary = CallSummary(*rows[0][1:])
        for row in rows[1:]:
            summary = summary.merged(CallSummary(*row[1:]))
        return RecentCall(call_id, rows[0][0], summary)

    def _where(self, query: TraceQuery) -> tuple[str, list[Any]]:
        """Cheap conditions on the trace first; spans are read only where those hold."""
        where = ["first_ns BETWEEN ? AND ?", "last_ns >= ?"]
        values: list[Any] = [max(0, query.start_ns - LONGEST_CALL_NS), query.end_ns, query.start_ns]
        tags = dict(query.tags)
        if (call_id := tags.pop(names.CALL_ID, None)) is not None:
            where.append("number IN (SELECT trace FROM calls WHERE call_id = ?)")
            values.append(call_id)
        kind = tags.pop("span.kind", "")
        operations = self._operations(query.service, query.operation, kind)
        of_operation = f"operation IN ({', '.join(str(number) for number in operations)})"
        where.append(f"EXISTS (SELECT 1 FROM operations_of_trace WHERE trace = traces.number AND {of_operation})")
        span: list[str] = []
        span_values: list[Any] = []

        def narrow(condition: str, *by: Any) -> None:
            span.append(condition)
            span_values.extend(by)

        if query.min_ns is not None:
            narrow("end_ns - start_ns >= ?", query.min_ns)
        if query.max_ns is not None:
            narrow("end_ns - start_ns <= ?", query.max_ns)
        status = _status(tags)
        if status is not None:
            narrow("status = ?", status)
            where += ["errors > 0"] if status == STATUSES.index("error") else []
        for key in tags:
            key = f"{storeschema.as_text(key)}:"
            # To look for a key in text costs a hundredth of reading the JSON.
            narrow("(instr(attributes, ?) > 0 OR instr(resource, ?) > 0)", key, key)
        if tags:
            narrow("has_tags(attributes, resource, ?)", json.dumps(tags))
        if span:
            span += [of_operation, "start_ns BETWEEN ? AND ?"]
            span_values += [query.start_ns, query.end_ns]
            where.append(
                "EXISTS (SELECT 1 FROM spans JOIN processes ON processes.number = spans.process"
                f" WHERE spans.trace = traces.number AND {' AND '.join(span)})"
            )
        return " AND ".join(where), values + span_values

    def _operations(self, service: str, operation: str, kind: str) -> list[int]:
        rows = self._sql.execute(
            "SELECT number FROM operations WHERE (? = '' OR service = ?) AND (? = '' OR name = ?)"
            " AND (? = '' OR kind = ?)",
            (service, service, operation, operation, kind, kind),
        )
        return [number for (number,) in rows]


def _status(tags: dict[str, str]) -> int | None:
    """Takes the tags out that tell of the status. Jaeger's `error` is OpenTelemetry's status."""
    error, code = tags.pop("error", None), tags.pop("otel.status_code", None)
    if code is not None and code.lower() in STATUSES:
        return STATUSES.index(code.lower())
    # Jaeger sets no `error=false`; nothing matches.
    return None if error is None else STATUSES.index("error") if error == "true" else -1


def _has_tags(attributes: str, resource: str, tags: str) -> bool:
    known = json.loads(resource) | json.loads(attributes)
    return all(key in known and tag_text(known[key]) == value for key, value in json.loads(tags).items())


def tag_text(value: Attribute) -> str:
    """As it is typed into a search: true, 3, 0.5, text; lists as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _each(text: str | None, make: Callable[..., Any]) -> tuple[Any, ...]:
    return tuple(make(**one) for one in json.loads(text)) if text else ()


def _span(row: Sequence[Any]) -> Span:
    known = (
        *row[:7],
        STATUSES[row[7]],
        row[8],
        json.loads(row[9]),
        _each(row[10], SpanEvent),
        _each(row[11], SpanLink),
        row[12],
        json.loads(row[13]),
    )
    return Span(*known)
