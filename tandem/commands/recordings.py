"""`tandem recordings`: recorded calls on the disk: list, export, erase and verify them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tandem.commands.terminal import console

if TYPE_CHECKING:
    from services.gateway.recording.shelf import Kept
    from tandem.recordings import Shelf

EXIT_FAULT = 1
EXIT_MISTAKE = 2
# Where output is no terminal: what a page of a ticket or a mail still shows.
PIPED_WIDTH = 200

app = typer.Typer(help="List, export, erase and verify recorded calls.", no_args_is_help=True)

SettingsFile = Annotated[Path, typer.Option(help="The gateway's settings file: its folder of recordings and its keys.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command("list")
def list_(settings: SettingsFile, as_json: Json = False) -> None:
    """Show each recording: when, how long, whose call, and whether it is whole. Works beside a running gateway."""
    from tandem import recordings as shown

    where = _shelf(settings)
    try:
        found = shown.listed(where)
    except OSError as error:
        _refuse(f"{where.folder}: {shown.explained(error)}", EXIT_FAULT)
    if as_json:
        typer.echo(json.dumps({"recordings": [shown.as_object(one) for one in found]}, ensure_ascii=False))
        return
    if not found:
        typer.echo(f"no recordings in {where.folder}")
        return
    console(PIPED_WIDTH).print(shown.table(found))


@app.command()
def export(
    call_id: Annotated[str, typer.Argument(help="The call's id, or the path of a recording (.tdr).")],
    out: Annotated[Path, typer.Argument(help="File to write: .wav; or .opus, .ogg for what was kept as Opus.")],
    settings: SettingsFile,
    as_json: Json = False,
) -> None:
    """Write a recording in clear: caller left, agent right. Of a damaged one what can be saved, with exit code 1."""
    from services.gateway.recording import playback
    from tandem import recordings as shown

    where = _shelf(settings)
    try:
        kept = shown.find(where, call_id)
    except (shown.NotFound, OSError) as error:
        _refuse(shown.explained(error), EXIT_MISTAKE)
    try:
        found = playback.export(kept.path, where.keys, out)
    except playback.NotExported as error:
        _refuse(str(error), EXIT_MISTAKE)
    except OSError as error:
        _refuse(f"{error.filename or out}: {error.strerror or error}", EXIT_FAULT)
    except shown.UNREADABLE as error:
        _refuse(f"{kept.path}: {error}", EXIT_FAULT)
    if as_json:
        typer.echo(json.dumps(shown.details(found), ensure_ascii=False))
    else:
        typer.echo(f"{out}: {shown.clock(found.length_us)} of the call {found.meta.call_id}")
        for pause in found.pauses:
            until = "its end" if pause.to_us is None else shown.clock(pause.to_us)
            typer.echo(f"paused from {shown.clock(pause.from_us)} to {until} of call time")
    if found.state == "being written":
        typer.echo("the call goes on: this is what there is so far", err=True)
    elif found.problem:
        _refuse(f"{kept.path}: {shown.clock(found.length_us)} could be saved; then: {found.problem}", EXIT_FAULT)


@app.command()
def erase(
    settings: SettingsFile,
    call_id: Annotated[str | None, typer.Argument(help="The call's id.")] = None,
    caller: Annotated[
        str, typer.Option(metavar="NUMBER", help="All calls of this number, written as the trunk shows it.")
    ] = "",
) -> None:
    """Erase a call's recording, or those of one caller's calls. It cannot be taken back."""
    from tandem import recordings as shown

    if bool(call_id) == bool(caller):
        _refuse("expected a call id, or --caller NUMBER", EXIT_MISTAKE)
    where = _shelf(settings)
    untold: list[tuple[Path, str]] = []
    try:
        if call_id:
            found = shown.of_call(where, call_id)
        else:
            of_caller = shown.of_caller(where, caller)
            found, untold = of_caller.found, of_caller.untold
    except OSError as error:
        _refuse(f"{where.folder}: {shown.explained(error)}", EXIT_FAULT)
    left = _erase(found)
    for path, why in untold:
        typer.echo(f"{path}: not erased, for nobody can tell whose call it is: {why}", err=True)
    if left or untold:
        raise typer.Exit(EXIT_FAULT)
    if not found:
        if call_id:
            _refuse(f"no recording of the call {call_id} in {where.folder}; see `tandem recordings list`", EXIT_MISTAKE)
        typer.echo("no recordings of that number")


@app.command()
def verify(settings: SettingsFile, as_json: Json = False) -> None:
    """Open every record of every recording; exit code 1 when one is damaged, unfinished or can't be opened."""
    from services.gateway.recording import shelf
    from tandem import recordings as shown

    where = _shelf(settings)
    bad = whole = live = 0
    verified: list[dict[str, Any]] = []
    try:
        for kept in shelf.all_kept(where.folder):
            found = shown.verify(kept, where)
            live += found.state == "being written"
            verified.append(shown.verified_object(found))
            if found.problem and not as_json:
                saved = f"{shown.clock(found.length_us)} can be saved"
                typer.echo(f"{kept.path}: {found.state}, {saved}: {found.problem}")
            bad += bool(found.problem)
            whole += not found.problem and found.state == "complete"
    except OSError as error:
        _refuse(f"{where.folder}: {shown.explained(error)}", EXIT_FAULT)
    if as_json:
        typer.echo(json.dumps({"recordings": verified}, ensure_ascii=False))
    else:
        typer.echo(f"{whole} whole, {live} being written, {bad} with a problem")
    if bad:
        raise typer.Exit(EXIT_FAULT)


def _erase(found: "list[Kept]") -> int:
    """How many are still there."""
    from services.gateway.recording import shelf
    from tandem import recordings as shown

    left = 0
    for kept in found:
        try:
            gone = shelf.erase(kept.path) or not kept.path.exists()
        except OSError as error:
            typer.echo(f"{kept.path}: not erased: {shown.explained(error)}", err=True)
            left += 1
            continue
        if gone:
            typer.echo(f"erased {kept.path}")
        else:
            typer.echo(f"{kept.path}: not erased, for the call goes on: end it, then erase it", err=True)
            left += 1
    return left


def _shelf(settings: Path) -> "Shelf":
    from services.common.settings import SettingsInvalid
    from tandem.recordings import shelf_of

    try:
        return shelf_of(settings)
    except SettingsInvalid as error:
        _refuse(str(error), EXIT_MISTAKE)


def _refuse(line: str, code: int) -> NoReturn:
    typer.echo(f"tandem recordings: {line}", err=True)
    raise typer.Exit(code)
