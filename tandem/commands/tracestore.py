"""What the commands share that read the trace store."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from services.common.telemetry.store import default_database
from services.common.telemetry.storedspan import Span
from services.common.telemetry.tracereader import TraceReader

EXIT_MISTAKE = 2
LAST = "last"
WORST = "worst"

Database = Annotated[Path | None, typer.Option(help="The trace store; by default the one of `tandem up`.")]


def opened(database: Path | None) -> TraceReader:
    """A context manager. Raises StoreUnreadable."""
    return TraceReader(database or default_database())


def spans_of_call(command: str, reader: TraceReader, call_id: str) -> list[Span]:
    """Of that call, or of the latest one for `last`, or of the one with the slowest answer for `worst`. Ends the
    command where there is none."""
    if call_id in (LAST, WORST):
        newest = (reader.slow_calls(limit=1) if call_id == WORST else []) or reader.recent_calls(limit=1)
        if not newest:
            refuse(command, "no call has been traced yet")
        call_id = newest[0].call_id
    spans = reader.trace_of_call(call_id)
    if not spans:
        refuse(command, f"no trace of a call {call_id!r}; `tandem trace` lists the recent ones")
    return spans


def refuse(command: str, message: str) -> NoReturn:
    typer.echo(f"tandem {command}: {message}", err=True)
    raise typer.Exit(EXIT_MISTAKE)
