"""`tandem trace`: a call's trace as a waterfall, or the recent calls."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from services.common.telemetry.storedspan import Span
from services.common.telemetry.storeschema import StoreUnreadable
from services.common.telemetry.tracereader import RecentCall
from tandem.cleaned import clean
from tandem.commands.terminal import console
from tandem.commands.tracestore import Database, opened, refuse, spans_of_call

COMMAND = "trace"
# Where output is no terminal: what a page of a ticket or a mail still shows.
PIPED_WIDTH = 120


def trace(
    call_id: Annotated[
        str | None, typer.Argument(help="A call's id, `last` or `worst`; without one the recent calls are listed.")
    ] = None,
    database: Database = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a drawing.")] = False,
    width: Annotated[int | None, typer.Option(help="Columns, 64 or more; by default the terminal's.")] = None,
) -> None:
    """Draw a call's trace: who did what, when, under which parent, one time axis a turn."""
    try:
        with opened(database) as reader:
            if call_id is None:
                _list(reader.recent_calls(), as_json, width)
                return
            spans = spans_of_call(COMMAND, reader, call_id)
    except StoreUnreadable as error:
        refuse(COMMAND, str(error))
    if as_json:
        typer.echo(json.dumps(as_object(spans), ensure_ascii=False))
        return
    from tandem.waterfall import draw

    paper = console(PIPED_WIDTH, width)
    for line in draw(spans, paper.width):
        paper.print(line, soft_wrap=True)


def as_object(spans: Sequence[Span]) -> dict[str, Any]:
    """The trace for programs. Times are ms, start_ms from the first span's start. `trace_ids` has more than one entry
    only when context was lost between services; `trace_id` is the first."""
    first = min(span.start_ns for span in spans)
    names = {(span.trace_id, span.span_id): span.name for span in spans}
    trace_ids = list(dict.fromkeys(span.trace_id for span in spans))
    return {
        "trace_id": trace_ids[0],
        "trace_ids": trace_ids,
        "spans": [
            {
                "service": span.service,
                "name": span.name,
                "span_id": span.span_id,
                "parent_id": span.parent_id or None,
                "parent_name": names.get((span.trace_id, span.parent_id)),
                "start_ms": (span.start_ns - first) / 1e6,
                "duration_ms": (span.end_ns - span.start_ns) / 1e6,
                "attributes": span.attributes,
                "status": span.status,
                "status_message": span.status_message,
                "events": [
                    {"name": one.name, "at_ms": (one.time_ns - first) / 1e6, "attributes": one.attributes}
                    for one in span.events
                ],
                "links": [
                    {"trace_id": one.trace_id, "span_id": one.span_id, "name": names.get((one.trace_id, one.span_id))}
                    for one in span.links
                ],
            }
            for span in spans
        ],
    }


def _list(calls: Sequence[RecentCall], as_json: bool, width: int | None) -> None:
    if as_json:
        listed = [
            {
                "call_id": call.call_id,
                "trace_id": call.trace_id,
                "started": _when(call).isoformat(),
                "duration_ms": call.duration_ns / 1e6,
                "agent": call.agent,
                "turns": call.turns,
                "spans": call.spans,
                "errors": call.errors,
            }
            for call in calls
        ]
        typer.echo(json.dumps({"calls": listed}, ensure_ascii=False))
        return
    if not calls:
        typer.echo("no call has been traced yet")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("call", no_wrap=True)
    for heading in ("when (UTC)", "agent"):
        table.add_column(heading, no_wrap=True)
    for heading in ("seconds", "turns", "spans", "errors"):
        table.add_column(heading, justify="right")
    for call in calls:
        table.add_row(
            Text(clean(call.call_id)),
            f"{_when(call):%Y-%m-%d %H:%M:%S}",
            Text(clean(call.agent)),
            f"{call.duration_ns / 1e9:.1f}",
            str(call.turns),
            str(call.spans),
            str(call.errors),
            style="red" if call.errors else None,
        )
    console(PIPED_WIDTH, width).print(table)


def _when(call: RecentCall) -> datetime:
    return datetime.fromtimestamp(call.started_ns // 1_000_000_000, UTC)
