"""Which models a stack's settings need, and whether they are there."""

import sys
from typing import Any

from services.common.models import CATALOGUE, FetchFailed, State, ensure, statuses
from services.common.service import StartRefused
from tandem.settings import StackSettings


def lacking(settings: StackSettings) -> list[str]:
    """Names of the models that are needed and missing or bad: the default ones, less those that a setting replaces or
    (empty) turns off."""
    overrides = {}
    chosen = set()
    off = set()
    for model in CATALOGUE:
        section, _, key = (model.setting or "").partition(".")
        written: Any = (settings.written.get(section) or {}).get(key)
        if model.setting and written:
            overrides[model.setting] = str(written)
            chosen.add(str(written))
        elif written == "":
            off.add(model.name)
    if settings.value("tts", "engine") == "kokoro":
        chosen.add("kokoro")
    found = statuses(overrides)
    return [
        status.model.name
        for status in found
        if ((status.model.default and status.model.name not in off) or status.model.name in chosen)
        and status.state in (State.MISSING, State.BAD)
    ]


def provide(settings: StackSettings, fetch: bool, console: Any) -> None:
    """Sees to it that every needed model is there. Raises StartRefused with one line otherwise."""
    names = lacking(settings)
    if not names:
        return
    if not (fetch or sys.stdin.isatty()):
        raise StartRefused(
            f"model{'s' if len(names) > 1 else ''} missing: {', '.join(names)}; "
            f"fetch with `tandem models fetch {' '.join(names)} --yes`, or start with --fetch-models"
        )
    try:
        ensure(names, console)
    except FetchFailed as error:
        raise StartRefused(str(error)) from error
