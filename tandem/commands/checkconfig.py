"""`tandem check-config`: a settings file's mistakes by file and line, and what it means when it has none."""

import sys
from pathlib import Path
from typing import Annotated

import typer

EXIT_MISTAKE = 2


def check_config(
    file: Annotated[Path | None, typer.Argument(help="Settings file; the defaults without one.")] = None,
) -> None:
    """Check a settings file without starting anything: exit code 0, or 2 with a line for each mistake."""
    from services.common.settings import SettingsInvalid
    from tandem.checkconfig import check

    try:
        checked = check(file)
    except SettingsInvalid as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(EXIT_MISTAKE) from None
    for line in checked.lines:
        typer.echo(line)
    for line in checked.warnings:
        typer.echo(f"warning: {line}")
    count = len(checked.warnings)
    typer.echo(f"no mistakes, {count or 'no'} warning{'' if count == 1 else 's'}")
