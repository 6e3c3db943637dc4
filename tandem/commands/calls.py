"""`tandem calls`: the live calls of a gateway; `slow`: those traced that were; others below: those recorded."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from tandem.commands import slow as traced
from tandem.commands.bridge import calls as live_calls
from tandem.commands.terminal import console
from tandem.commands.tracestore import Database
from tandem.control import CONTROL, EXIT_FAULT, EXIT_MISTAKE, ControlOption

if TYPE_CHECKING:
    from services.brain.records.call import Filters, RecordedCall
    from services.brain.records.repository import CallRecords

Answer = TypeVar("Answer")

LAST = "last"
URL_VARIABLE = "TANDEM_RECORDS_URL"
# Where output is no terminal: what a page of a ticket or a mail still shows.
PIPED_WIDTH = 200
# More than an export is read at once.
_PAGE = 500

app = typer.Typer(
    help="Live calls; slow ones; and recorded ones: list, show, export, erase.", invoke_without_command=True
)

SettingsFile = Annotated[
    Path | None, typer.Option(help="The brain's settings file: its records_url. [default: what `tandem up` records]")
]
Url = Annotated[
    str | None, typer.Option(envvar=URL_VARIABLE, help="postgresql://… or sqlite:///…, instead of a settings file.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Agent = Annotated[str, typer.Option(help="Of this agent.")]
Since = Annotated[str, typer.Option(metavar="WHEN", help="Answered since: 7d, 12h, 30m, 2026-11-20, 2026-11-20T14:30.")]
Outcome = Annotated[
    str, typer.Option(help="caller_hung_up, agent_hung_up, transferred, failed; unfinished: live, or its brain died.")
]
Number = Annotated[str, typer.Option("--number", metavar="NUMBER", help="With this number at the other end.")]
Slow = Annotated[float | None, typer.Option(metavar="MS", help="With an answer that took so long or longer.")]

OUTCOMES = ("caller_hung_up", "agent_hung_up", "transferred", "failed", "unfinished")


@app.callback()
def calls(
    context: typer.Context,
    control: ControlOption = CONTROL,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")] = False,
    slow: Annotated[
        bool, typer.Option("--slow", help="The slowest and the failed ones instead, as `slow` does.")
    ] = False,
    since: traced.Since = "",
    limit: traced.Limit = 20,
    database: Database = None,
) -> None:
    """List the live calls of a gateway: who with whom, since when, bridged with which. Below: other calls.

    --since, --limit and --database are for --slow.
    """
    if context.invoked_subcommand is not None:
        return
    if slow:
        traced.slow(since, limit, database, as_json)
    else:
        live_calls(control, as_json)


app.command("slow")(traced.slow)


@app.command("list")
def list_(
    settings: SettingsFile = None,
    url: Url = None,
    agent: Agent = "",
    since: Since = "",
    outcome: Outcome = "",
    number: Number = "",
    slow: Slow = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The latest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """Show recorded calls, the latest first: when, how long, who, how it ended, the slowest answer, the cost."""
    from tandem import records as recorded

    filters = _filters("list", agent, since, outcome, number, slow, limit)
    found = _with("list", settings, url, lambda records: records.find(filters))
    if as_json:
        typer.echo(json.dumps({"calls": [call.as_object() for call in found]}, ensure_ascii=False))
        return
    if not found:
        typer.echo("no such calls are recorded", err=True)
        return
    console(PIPED_WIDTH).print(recorded.table(found))


@app.command()
def show(
    call_id: Annotated[str, typer.Argument(metavar="CALL", help="A recorded call's id, or `last`.")],
    settings: SettingsFile = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Show one recorded call with its turns and tools."""
    from services.brain.records.call import Filters
    from tandem import records as recorded

    async def look(records: "CallRecords") -> "RecordedCall | None":
        if call_id == LAST:
            latest = await records.find(Filters(limit=1), details=True)
            return latest[0] if latest else None
        return await records.get(call_id)

    call = _with("show", settings, url, look)
    if call is None:
        _refuse("show", f"no call {call_id!r} is recorded; see `tandem calls list`", EXIT_MISTAKE)
    if as_json:
        typer.echo(json.dumps(call.as_object(), ensure_ascii=False))
        return
    for line in recorded.lines(call):
        typer.echo(line)


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="File to write, one JSON object a line; `-` for stdout.")],
    settings: SettingsFile = None,
    url: Url = None,
    agent: Agent = "",
    since: Since = "",
    outcome: Outcome = "",
    number: Number = "",
    slow: Slow = None,
    as_json: Json = False,
) -> None:
    """Write recorded calls with all that is kept of them: JSON lines, the latest first."""
    filters = _filters("export", agent, since, outcome, number, slow, _PAGE)
    count = _with("export", settings, url, lambda records: _write(records, filters, out))
    if str(out) != "-":
        typer.echo(json.dumps({"calls": count, "file": str(out)}) if as_json else f"{out}: {count} calls")


@app.command()
def erase(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="As the trunk shows it; spaces do not matter.")],
    settings: SettingsFile = None,
    url: Url = None,
    nats: Annotated[str | None, typer.Option(metavar="URL", help="The NATS server, where events may wait.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase all that is recorded of the calls with a number. It cannot be taken back."""
    from services.brain.records.number import withheld
    from services.common.settings import SettingsInvalid
    from tandem import records as recorded

    if withheld(number):
        _refuse("erase", "expected a number: calls of withheld numbers cannot be told apart", EXIT_MISTAKE)
    if not yes:
        if not sys.stdin.isatty():
            _refuse("erase", "nobody can be asked here; say --yes", EXIT_MISTAKE)
        typer.confirm(f"Erase all records of calls with {number}?", abort=True)
    try:
        bus = recorded.nats_url(settings, nats)
    except SettingsInvalid as error:
        _refuse("erase", str(error), EXIT_MISTAKE)
    erased, left = _with("erase", settings, url, lambda records: recorded.erase(records, number, bus))
    if as_json:
        counted = {"calls": list(erased.call_ids), "turns": erased.turns, "tools": erased.tools}
        typer.echo(json.dumps({**counted, "bus": left or None}, ensure_ascii=False))
    else:
        typer.echo(f"erased {len(erased.call_ids)} calls, {erased.turns} turns, {erased.tools} tool calls")
    if left:
        typer.echo(
            f"tandem calls erase: what waits on the bus was not erased ({left}): the recorder will pass it over, and "
            "journals of these calls go within a day",
            err=True,
        )
        raise typer.Exit(EXIT_FAULT)


async def _write(records: "CallRecords", filters: "Filters", out: Path) -> int:
    """Page by page; to a file that only its owner may read, whole or not at all."""
    from dataclasses import replace

    from tandem import records as recorded

    part = out.with_name(f".{out.name}.part")
    to_stdout = str(out) == "-"
    # People's words: for nobody else to read, from the first byte on.
    target = (
        sys.stdout
        if to_stdout
        else os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8")
    )
    count = 0
    try:
        while page := await records.find(filters, details=True):
            for call in page:
                target.write(recorded.as_line(call) + "\n")
            count += len(page)
            filters = replace(filters, behind=page[-1])
        if not to_stdout:
            target.close()
            part.replace(out)
    finally:
        if not to_stdout:
            target.close()
            part.unlink(missing_ok=True)
    return count


def _filters(
    command: str, agent: str, since: str, outcome: str, number: str, slow: float | None, limit: int
) -> "Filters":
    from services.brain.records.call import Filters
    from tandem import records as recorded

    if outcome and outcome not in OUTCOMES:
        _refuse(command, f"--outcome: expected one of {', '.join(OUTCOMES)}, not {outcome!r}", EXIT_MISTAKE)
    try:
        since_us = recorded.moment(since, datetime.now().astimezone()) if since else None
    except ValueError as error:
        _refuse(command, f"--since: {error}", EXIT_MISTAKE)
    return Filters(agent, since_us, None, outcome, number, slow, limit)


def _with(
    command: str, settings: Path | None, url: str | None, work: "Callable[[CallRecords], Awaitable[Answer]]"
) -> Answer:
    """Opens the records, does it, closes them; ends the command with a line where they cannot be had."""
    from services.brain.records.repository import UNAVAILABLE
    from services.brain.records.schema import SchemaNewer
    from services.common.settings import SettingsInvalid
    from tandem import records as recorded

    where = ""

    async def run() -> Answer:
        async with recorded.opened(where) as records:
            return await work(records)

    try:
        where = recorded.records_url(settings, url)
        return asyncio.run(run())
    except (recorded.NoRecords, SettingsInvalid, SchemaNewer) as error:
        _refuse(command, str(error), EXIT_MISTAKE)
    except UNAVAILABLE as error:
        if isinstance(error, OSError) and error.filename:
            _refuse(command, f"{error.filename}: {error.strerror or error}", EXIT_FAULT)
        reason = getattr(error, "orig", None) or error
        _refuse(command, f"{recorded.place(where)}: {str(reason) or repr(reason)}", EXIT_FAULT)


def _refuse(command: str, line: str, code: int) -> NoReturn:
    typer.echo(f"tandem calls {command}: {line}", err=True)
    raise typer.Exit(code)
