"""Parameters of Jaeger's query API, of both its versions, into what the store is asked.

Shapes: https://www.jaegertracing.io/docs/latest/apis/ and the parsers of jaegertracing/jaeger. What Jaeger's own server
refuses is refused, with the parameter's name.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from services.common.telemetry.tracereader import TraceQuery

DEFAULT_LIMIT = 20
DEFAULT_DEPTH = 100
# A hundred spans a trace, half a kilobyte a span: more is no page that a browser shows.
MAX_TRACES = 200
LOOKBACK_NS = 2 * 86_400 * 10**9
DEPENDENCY_LOOKBACK_NS = 86_400 * 10**9

_UNITS_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9}
_UNITS_NS |= {"h": 3600 * 10**9, "d": 86_400 * 10**9, "w": 7 * 86_400 * 10**9}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_LAST_NS = 2**63 - 1

Parameters = Mapping[str, str]


class BadQuery(ValueError):
    """A parameter is wrong; the message says which, and what was expected."""


@dataclass(frozen=True, slots=True)
class Search:
    """`trace_ids`, when given, are all that is wanted, and nothing is searched."""

    query: TraceQuery
    trace_ids: tuple[str, ...] = ()


def trace_id_of(text: str) -> str:
    """32 hex digits; from hex, short or long, or from base64 of 16 bytes. Raises BadQuery."""
    if re.fullmatch(r"[0-9a-fA-F]{1,32}", text):
        return text.lower().zfill(32)
    if len(text) in (22, 24):
        try:
            raw = base64.b64decode(text.rstrip("=").translate(str.maketrans("-_", "+/")) + "==", validate=True)
        except ValueError:  # not base64, or not ASCII
            raw = b""
        if len(raw) == 16:
            return raw.hex()
    raise BadQuery(f"expected a trace id of up to 32 hex digits, not {text[:64]!r}")


def duration_ns(name: str, text: str) -> int:
    """As Go writes durations, `1.5s` or `1m30s`; and days and weeks. Raises BadQuery."""
    pieces = _DURATION.findall(text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        raise BadQuery(f"unable to parse param '{name}': expected a duration such as 500us, 100ms, 1.2s, not {text!r}")
    return round(min(_LAST_NS, sum(float(number) * _UNITS_NS[unit] for number, unit in pieces)))


def search(
    given: Parameters, tags: list[str], trace_ids: list[str], now_ns: int, default_limit: int = DEFAULT_LIMIT
) -> Search:
    """Of `/api/traces`: service, operation, tags (JSON), tag (key:value, `tags` here), start and end (µs), lookback,
    minDuration, maxDuration, limit; or traceID, once or more. Raises BadQuery."""
    if trace_ids:
        return Search(TraceQuery(), tuple(trace_id_of(one) for one in trace_ids[:MAX_TRACES]))
    service = given.get("service", "")
    if not service:
        raise BadQuery("parameter 'service' is required")
    end = _whole(given, "end", 1_000, now_ns)
    lookback = given.get("lookback", "")
    back = LOOKBACK_NS if lookback in ("", "custom") else duration_ns("lookback", lookback)
    return Search(
        _checked(
            TraceQuery(
                service=service,
                operation=given.get("operation", ""),
                tags=_tags(given.get("tags", ""), "tags") | _pairs(tags),
                start_ns=_whole(given, "start", 1_000, max(0, end - back)),
                end_ns=end,
                min_ns=_duration(given, "minDuration"),
                max_ns=_duration(given, "maxDuration"),
                limit=_whole(given, "limit", 1, default_limit),
            ),
            ("start", "end", "minDuration", "maxDuration", "limit"),
        )
    )


def search_v3(given: Parameters) -> TraceQuery:
    """Of `/api/v3/traces` and `/api/v3/trace-summaries`: query.serviceName and the like, or with underscores. Raises
    BadQuery; also for `query.filter`, which the store can't answer."""

    def word(name: str) -> str:
        return given.get(f"query.{name}") or given.get(f"query.{_snake(name)}", "")

    if word("filter"):
        raise BadQuery("query.filter is not supported here; use query.attributes")
    start, end = word("startTimeMin"), word("startTimeMax")
    if not start or not end:
        raise BadQuery("query.startTimeMin and query.startTimeMax are required")
    depth = word("searchDepth") or given.get("query.num_traces", "")
    known = {"query.searchDepth": depth} if depth else {}
    for name in ("durationMin", "durationMax"):
        known |= {f"query.{name}": word(name)} if word(name) else {}
    return _checked(
        TraceQuery(
            service=word("serviceName"),
            operation=word("operationName"),
            tags=_tags(given.get("query.attributes", ""), "query.attributes"),
            start_ns=moment_ns("query.startTimeMin", start),
            end_ns=moment_ns("query.startTimeMax", end),
            min_ns=_duration(known, "query.durationMin"),
            max_ns=_duration(known, "query.durationMax"),
            limit=_whole(known, "query.searchDepth", 1, DEFAULT_DEPTH),
        ),
        ("query.startTimeMin", "query.startTimeMax", "query.durationMin", "query.durationMax", "query.searchDepth"),
    )


def dependency_range(given: Parameters, now_ns: int) -> tuple[int, int]:
    """Start and end in ns, of endTs and lookback in ms. Raises BadQuery."""
    end = _whole(given, "endTs", 10**6, now_ns)
    return max(0, end - _whole(given, "lookback", 10**6, DEPENDENCY_LOOKBACK_NS)), end


def moment_ns(name: str, text: str) -> int:
    """Of RFC 3339. Raises BadQuery."""
    try:
        # A plus sign in a URL that was not escaped comes as a space.
        when = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise BadQuery(
            f"malformed parameter {name}: expected a time such as 2026-11-23T14:30:00Z, not {text!r}"
        ) from None
    since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    # 9999-12-31 means "no end", and is more than SQLite's integers hold.
    return max(-1, min(_LAST_NS, (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000))


def _checked(query: TraceQuery, called: tuple[str, str, str, str, str]) -> TraceQuery:
    start, end, least, most, limit = called
    if query.start_ns > query.end_ns:
        raise BadQuery(f"'{start}' should be before '{end}'")
    if query.min_ns is not None and query.max_ns is not None and query.min_ns > query.max_ns:
        raise BadQuery(f"'{most}' should be greater than '{least}'")
    if query.limit < 1:
        raise BadQuery(f"unable to parse param '{limit}': expected a number from 1 to {MAX_TRACES}")
    # Jaeger's UI offers 1500; fewer is an answer too.
    return replace(query, limit=min(query.limit, MAX_TRACES))


def _whole(given: Parameters, name: str, unit: int, default: int) -> int:
    """An integer in `unit`s of what is returned."""
    text = given.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"-?\d{1,20}", text):
        raise BadQuery(f"unable to parse param '{name}': expected a whole number, not {text[:64]!r}")
    return max(-1, min(_LAST_NS, int(text) * unit))


def _duration(given: Parameters, name: str) -> int | None:
    text = given.get(name, "")
    return duration_ns(name, text) if text else None


def _tags(text: str, name: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        tags = json.loads(text)
        # Half of a surrogate pair is JSON, but no text that SQLite takes.
        json.dumps(tags, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        tags = None
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise BadQuery(f"malformed '{name}' parameter, expected JSON of strings by name, not {text[:64]!r}")
    return tags


def _pairs(tags: list[str]) -> dict[str, str]:
    pairs = [one.partition(":") for one in tags]
    for key, colon, _ in pairs:
        if not key or not colon:
            raise BadQuery(f"malformed 'tag' parameter, expected key:value, not {key[:64]!r}")
    return {key: value for key, _, value in pairs}


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: "_" + letter.group().lower(), name)
