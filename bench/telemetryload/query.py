"""How long the embedded store takes to answer a trace with very many calls in it."""

import asyncio
import random
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from bench.latency import say
from bench.telemetryload import collector
from services.common.telemetry import names
from services.common.telemetry.store import Span, TraceReader, TraceStore
from tandem.percentile import percentile

# A call begins every 30 s: 10,000 fill three and a half days.
_APART_S = 30.0
_CALLS_AT_ONCE = 50


def recorded(database: Path) -> list[Span]:
    """The call with the most spans of those that a bench's run left behind. Raises ValueError when there is none."""
    with TraceReader(database) as reader:
        calls = reader.recent_calls(limit=1000)
        if not calls:
            raise ValueError(f"no call in {database}")
        return reader.trace(max(calls, key=lambda one: one.spans).trace_id)


def copies(call: list[Span], count: int, now_ns: int) -> Iterator[list[Span]]:
    """`count` calls like it, each with ids of its own, the oldest first, the last one about now."""
    first_ns = min(one.start_ns for one in call)
    for number in range(count):
        trace_id, call_id = secrets.token_hex(16), secrets.token_hex(5)
        ids = {one.span_id: secrets.token_hex(8) for one in call}
        later = now_ns - int((count - number) * _APART_S * 1e9) - first_ns
        yield [
            replace(
                one,
                trace_id=trace_id,
                span_id=ids[one.span_id],
                parent_id=ids.get(one.parent_id, one.parent_id),
                start_ns=one.start_ns + later,
                end_ns=one.end_ns + later,
                attributes={key: call_id if key == names.CALL_ID else value for key, value in one.attributes.items()},
                events=tuple(replace(event, time_ns=event.time_ns + later) for event in one.events),
                links=tuple(
                    replace(link, trace_id=trace_id, span_id=ids.get(link.span_id, link.span_id)) for link in one.links
                ),
            )
            for one in call
        ]


async def measure(folder: Path, source: Path, calls: int, queries: int) -> dict[str, Any]:
    """Fills a store with `calls` copies of a recorded call and asks for `queries` of them by id, over HTTP, one after
    the other. Raises ValueError, NotReady."""
    call = recorded(source)
    database = folder / "many.db"
    say(f"writing {calls} calls of {len(call)} spans …")
    began = time.monotonic()
    trace_ids = await asyncio.to_thread(_fill, database, call, calls)
    wrote_s = time.monotonic() - began
    async with collector.receiver(folder, database) as receiver:
        asked = random.Random(7).choices(trace_ids, k=queries)
        took = await _ask(receiver.query, asked, len(call))
    with TraceReader(database) as reader:
        stored = len(reader.recent_calls(limit=calls + 1))
    size = _size(folder)
    return {
        "calls_stored": stored,
        "trace_query_ms": {name: round(percentile(took, at), 2) for name, at in (("p50", 50), ("p95", 95), ("p99", 99))}
        | {"max": round(max(took), 2), "queries": queries},
        "spans_a_call": len(call),
        "store_mb": round(size / 1e6, 1),
        "write_spans_a_second": round(calls * len(call) / wrote_s),
    }


def _size(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.glob("many.db*"))


def _fill(database: Path, call: list[Span], calls: int) -> list[str]:
    store = TraceStore(database)
    trace_ids: list[str] = []
    batch: list[Span] = []
    for number, one in enumerate(copies(call, calls, time.time_ns()), 1):
        trace_ids.append(one[0].trace_id)
        batch += one
        if number % _CALLS_AT_ONCE == 0 or number == calls:
            store.add(batch)
            batch = []
    store.close()
    return trace_ids


async def _ask(url: str, trace_ids: list[str], spans: int) -> list[float]:
    """Milliseconds. Raises ValueError when an answer is not the whole trace."""
    took = []
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        for trace_id in trace_ids:
            began = time.monotonic()
            answer = await client.get(f"{url}/api/traces/{trace_id}")
            took.append(1000 * (time.monotonic() - began))
            answer.raise_for_status()
            got = len(answer.json()["data"][0]["spans"])
            if got != spans:
                raise ValueError(f"trace {trace_id} has {got} spans, not {spans}")
    return took
