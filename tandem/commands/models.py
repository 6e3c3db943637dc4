"""`tandem models`: what models there are, and fetching and verifying them."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from services.common.models import (
    CATALOGUE,
    FetchFailed,
    Model,
    ModelUnknown,
    State,
    Status,
    ensure,
    find,
    statuses,
)
from services.common.models.store import Store, models_folder
from services.common.settings import SettingsInvalid, read_yaml

EXIT_MISTAKE = 2

app = typer.Typer(help="List, fetch and verify the models.", invoke_without_command=True, no_args_is_help=False)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help="Settings file whose overrides are shown.")]

_STYLE = {State.READY: "green", State.MISSING: "yellow", State.OVERRIDDEN: "cyan", State.BAD: "red"}


@app.callback()
def models(context: typer.Context, as_json: Json = False, settings: SettingsFile = None) -> None:
    """List the models: package, licence, size, sha256 and state."""
    if context.invoked_subcommand is None:
        _show(statuses(_overrides(settings)), as_json)


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Models to fetch; the default ones without a name.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Fetch models that are missing or bad, by package, and verify them."""
    err = Console(stderr=True)
    try:
        wanted = [find(name) for name in names] if names else [model for model in CATALOGUE if model.default]
        lacking = [m for m in wanted if not m.installed and Store().check(m).state is not State.READY]
        if lacking and not yes and not _agreed(lacking):
            err.print("nothing fetched")
            raise typer.Exit(1)
        fetched = ensure([model.name for model in wanted], err)
    except (FetchFailed, ModelUnknown) as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        err.print("interrupted; nothing half-fetched was kept")
        raise typer.Exit(130) from None
    there = [model.name for model in wanted if model.name not in fetched]
    if fetched:
        err.print(f"fetched and verified: {', '.join(fetched)}")
    if there:
        err.print(f"already there: {', '.join(there)}")


@app.command()
def verify(as_json: Json = False) -> None:
    """Hash every file of the models that are there; exit 2 when one is bad."""
    found = statuses(full=True)
    _show(found, as_json)
    bad = [status for status in found if status.state is State.BAD]
    if bad:
        _refuse("; ".join(f"{status.model.name}: {status.problem}" for status in bad))


def _agreed(lacking: list[Model]) -> bool:
    listed = ", ".join(f"{model.name} ({model.download_size / 1e6:.0f} MB, {model.licence})" for model in lacking)
    if not sys.stdin.isatty():
        _refuse(f"would fetch {listed}; add --yes where nobody can be asked")
    return typer.confirm(f"Fetch {listed} into {models_folder()}?", err=True)


def _overrides(path: Path | None) -> dict[str, str]:
    """The settings keys that can override a model, as they stand in the file."""
    if path is None:
        return {}
    try:
        value = read_yaml(path).value
    except SettingsInvalid as error:
        _refuse(str(error))
    found: dict[str, str] = {}
    for setting in {model.setting for model in CATALOGUE if model.setting}:
        section, _, key = setting.partition(".")
        part = value.get(section)
        if isinstance(part, dict) and part.get(key):
            found[setting] = str(part[key])
    return found


def _show(found: list[Status], as_json: bool) -> None:
    if as_json:
        listed = {"folder": str(models_folder()), "models": [_as_json(status) for status in found]}
        sys.stdout.write(json.dumps(listed, indent=2) + "\n")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "for", "package", "licence", "size", "sha256", "state"):
        table.add_column(column, no_wrap=column not in ("for", "package"))
    for status in found:
        model = status.model
        state = f"[{_STYLE[status.state]}]{status.state}[/]"
        size = f"{model.size / 1e6:.1f} MB"
        purpose = model.purpose if model.default else f"{model.purpose} (optional)"
        table.add_row(model.name, purpose, _packages(model), model.licence, size, model.sha256[:12], state)
    # A pipe has no width; a line a model can be searched.
    out = Console(width=None if sys.stdout.isatty() else 160)
    out.print(table)
    for status in found:
        if status.problem:
            out.print(f"{status.model.name}: {status.problem}", markup=False, highlight=False)
    if any(status.state in (State.MISSING, State.BAD) and status.model.default for status in found):
        out.print("fetch what is missing with: tandem models fetch")


def _as_json(status: Status) -> dict[str, Any]:
    model = status.model
    return {
        "name": model.name,
        "purpose": model.purpose,
        "packages": _package_names(model),
        "licence": model.licence,
        "size_bytes": model.size,
        "download_bytes": model.download_size,
        "sha256": {file.path: file.sha256 for file in model.files},
        "default": model.default,
        "state": str(status.state),
        "problem": status.problem,
    }


def _package_names(model: Model) -> list[str]:
    if model.installed:
        return [f"{model.installed} (installed)"]
    return [f"{'npm ' if p.registry == 'npm' else ''}{p.name} {p.version}" for p in model.packages]


def _packages(model: Model) -> str:
    """A line a package, but parts of one model that differ in their number only on one line."""
    names = _package_names(model)
    if len(names) <= 2:
        return "\n".join(names)
    pypi = [package for package in model.packages if package.registry == "pypi"]
    rest = [name for name in names if name.startswith("npm ")]
    return "\n".join([f"{pypi[0].name} … -{len(pypi)} {pypi[0].version}", *rest])


def _refuse(line: str) -> Any:
    sys.stderr.write(f"models: {line}\n")
    raise typer.Exit(EXIT_MISTAKE)
