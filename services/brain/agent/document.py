"""Several YAML files joined into one tree of values that still knows where each branch was written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from services.brain.agent.mistakes import Mistake
from services.common.settings import Key, SettingsInvalid, YamlFile

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Mark:
    file: str
    line: int


@dataclass
class Document:
    """The values, the place of every branch, and the mistakes found so far."""

    value: Any
    marks: dict[Key, Mark] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def mark(self, key: Key) -> Mark:
        """Where `key`, or the nearest branch above it that was written, stands."""
        for length in range(len(key), -1, -1):
            if key[:length] in self.marks:
                return self.marks[key[:length]]
        return Mark("agent.yaml", 0)

    def mistake(self, key: Key, expected: str) -> None:
        mark = self.mark(key)
        self.mistakes.append(Mistake(mark.file, mark.line, dotted(key), expected))

    def graft(self, key: Key, other: "Document") -> None:
        """Put another file's tree in the place of the value at `key` (the name of that file, as a rule)."""
        branch = self.value
        for part in key[:-1]:
            branch = branch[part]
        branch[key[-1]] = other.value
        self.mistakes += other.mistakes
        self.marks |= {key + below: mark for below, mark in other.marks.items()}


def dotted(key: Key) -> str:
    """("silence", "prompts", 0) is "silence.prompts[0]"."""
    name = ""
    for part in key:
        name += f"[{part}]" if isinstance(part, int) else (f".{part}" if name else part)
    return name


def read_document(folder: Path, file: str, variables: Mapping[str, str]) -> Document:
    """`folder/file` with `variables` put in for ${NAME}. Mistakes are collected, never raised."""
    document = Document({}, {(): Mark(file, 1)})
    text = read_text(document, folder, file)
    if text is None:
        return document
    try:
        parsed = YamlFile(Path(file), text)
    except (SettingsInvalid, RecursionError) as error:
        for one in getattr(error, "mistakes", ["an alias that holds itself"]):
            found = re.fullmatch(r".*?:(\d+): (.*)", one, re.DOTALL)
            line, what = (int(found[1]), found[2]) if found else (0, one)
            document.mistakes.append(Mistake(file, line, "", what))
        return document
    document.marks |= {key: Mark(file, line) for key, line in parsed.lines.items()}
    _note_duplicates(document, yaml.compose(text, Loader=yaml.SafeLoader), ())
    document.value = _substitute(document, parsed.value, (), variables)
    return document


def read_text(document: Document, folder: Path, file: str, key: Key = ()) -> str | None:
    """The text of `folder/file`, or None with the mistake noted at `key`."""
    target = (folder / file).resolve()
    if not target.is_relative_to(folder.resolve()):
        document.mistake(key, f"expected a file inside the agent folder, not {file}")
        return None
    try:
        return target.read_text(encoding="utf-8")
    except FileNotFoundError:
        document.mistake(key, f"the file {file} does not exist")
    except (OSError, UnicodeDecodeError) as error:
        document.mistake(key, f"cannot read {file}: {error}")
    return None


def _note_duplicates(document: Document, node: yaml.Node | None, at: Key) -> None:
    # YAML lets the last of two equal keys win in silence; in a script that is a lost intent.
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _note_duplicates(document, child, (*at, index))
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, child in node.value:
            here, line = (*at, key.value), key.start_mark.line + 1
            if key.value in seen:
                what = f"the key is given twice, first on line {seen[key.value]}"
                document.mistakes.append(Mistake(document.mark(()).file, line, dotted(here), what))
            seen.setdefault(key.value, line)
            _note_duplicates(document, child, here)


def _substitute(document: Document, value: Any, at: Key, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _substitute(document, child, (*at, key), variables) for key, child in value.items()}
    if isinstance(value, list):
        return [_substitute(document, child, (*at, index), variables) for index, child in enumerate(value)]
    if not isinstance(value, str):
        return value

    def put(match: re.Match[str]) -> str:
        if match[1] not in variables:
            known = ", ".join(sorted(variables)) or "none"
            document.mistake(at, f"unknown variable ${{{match[1]}}}; known: {known}")
        return variables.get(match[1], "")

    return _VARIABLE.sub(put, value)
