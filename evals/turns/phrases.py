"""The phrases and voices of the set, by split: phrases.yaml read. Pure but for the files."""

import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
VOICES = HERE / "voices"
CALLER_VOICES = HERE.parent / "voices"
HOW_CAN_I_HELP = "How can I help you?"

_MARK = re.compile(r"\s*[|/]\s*")


class Split(Enum):
    """Nothing of TUNE is in SCORE: no voice and no phrase."""

    TUNE = "tune"
    SCORE = "score"


@dataclass(frozen=True, slots=True)
class Phrase:
    """`parts`: the text between the places where a pause may be cut in; `complete[n]`: parts up to n could stand alone.

    `kind` is one of interruption, backchannel, unfinished, finished, side.
    """

    name: str
    kind: str
    text: str
    question: str
    parts: tuple[str, ...]
    complete: tuple[bool, ...]


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((HERE / "phrases.yaml").read_text("utf-8"))
    return document


def voices(split: Split) -> tuple[str, ...]:
    """The voices of a split."""
    return tuple(_document()["voices"][split.value])


def phrases(split: Split, kind: str | None = None) -> tuple[Phrase, ...]:
    """The phrases of a split, or those of a kind, in the order of the file."""
    told = _document()["phrases"][split.value]
    every = [_phrase(name, entry) for name, entry in told.items()]
    return tuple(one for one in every if kind in (None, one.kind))


def _phrase(name: str, entry: dict[str, str]) -> Phrase:
    marked = entry["text"]
    complete = tuple(one == "/" for one in re.findall(r"[|/]", marked))
    text = _MARK.sub(" ", marked)
    return Phrase(
        name, entry["kind"], text, entry.get("question", HOW_CAN_I_HELP), tuple(_MARK.split(marked)), complete
    )


def recording(voice: str, name: str) -> Path:
    """Where a phrase lies or is to be rendered: the callers' own recordings come first."""
    ready = CALLER_VOICES / voice / f"{name}.wav"
    return ready if ready.exists() else VOICES / voice / f"{name}.wav"
