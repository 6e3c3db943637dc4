"""`tandem calls slow`, or `tandem calls --slow`: the slowest and the failed calls, from the trace store."""

import json
from datetime import datetime
from typing import Annotated

import typer

from services.common.telemetry.storeschema import StoreUnreadable
from tandem.commands.terminal import console
from tandem.commands.tracestore import Database, opened, refuse

COMMAND = "calls slow"
PIPED_WIDTH = 160

Since = Annotated[str, typer.Option(metavar="WHEN", help="Begun since: 1h, 30m, 2d, 2026-11-20, 2026-11-20T14:30.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000, help="At most so many.")]


def slow(
    since: Since = "",
    limit: Limit = 20,
    database: Database = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """List the slowest and the failed calls: when, the worst turn, the part that took most of it, what failed."""
    from tandem import records, slowcalls

    try:
        since_us = records.moment(since, datetime.now().astimezone()) if since else 0
    except ValueError as error:
        refuse(COMMAND, f"--since: {error}")
    try:
        with opened(database) as reader:
            calls = slowcalls.found(reader, since_us * 1000, limit)
    except StoreUnreadable as error:
        refuse(COMMAND, str(error))
    if as_json:
        typer.echo(json.dumps({"calls": slowcalls.as_objects(calls)}, ensure_ascii=False))
        return
    if not calls:
        typer.echo("no such calls are traced", err=True)
        return
    console(PIPED_WIDTH).print(slowcalls.table(calls))
    typer.echo("`tandem why CALL` says why", err=True)
