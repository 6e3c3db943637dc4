"""Is what came of a step what was expected? Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tandem.agentfolder.testfile import Expected
from tandem.textcall.exchange import Exchange, ToolUse


@dataclass(frozen=True, slots=True)
class Unmet:
    """An expectation that was not met: `key` below `expect`, and what was there instead."""

    key: tuple[str | int, ...]
    what: str


def unmet(expected: Expected, was: Exchange, slots: Mapping[str, str]) -> Iterator[Unmet]:
    """All that is not as expected."""
    heard = was.agent_text
    plain = _plain(heard)
    for at, text in enumerate(expected.says):
        if _plain(text) not in plain:
            yield Unmet(("says", at), f"expected to hear {text!r}, heard {heard!r}")
    for at, text in enumerate(expected.matches):
        if not re.search(text, heard, re.IGNORECASE):
            yield Unmet(("matches", at), f"expected something like /{text}/, heard {heard!r}")
    for at, text in enumerate(expected.does_not_say):
        if _plain(text) in plain:
            yield Unmet(("does_not_say", at), f"heard {text!r} in {heard!r}")
    if expected.calls is not None:
        yield from _calls(expected.calls, was.tools)
    for at, name in enumerate(expected.does_not_call):
        if any(one.name == name for one in was.tools):
            yield Unmet(("does_not_call", at), f"{name} was called")
    if expected.ends is not None and was.ended is not expected.ends:
        yield Unmet(("ends",), "the call went on" if expected.ends else "the call ended")
    transferred = was.asked_for_person or was.transferred
    if expected.transfers is not None and transferred is not expected.transfers:
        yield Unmet(("transfers",), "no transfer was tried" if expected.transfers else "the caller was put through")
    for name, value in expected.slots.items():
        found = slots.get(name)
        if found is None or _plain(found) != _plain(str(value)):
            known = ", ".join(f"{one}={slots[one]!r}" for one in sorted(slots)) or "none"
            yield Unmet(("slots", name), f"expected {str(value)!r}, collected: {known}")


def _plain(text: str) -> str:
    """What is the same when spoken: neither case, nor typographic marks, nor how a text is broken into lines."""
    return " ".join(text.replace("\u2019", "'").lower().split())


def _calls(expected: Sequence[Mapping[str, Mapping[str, Any]]], made: Sequence[ToolUse]) -> Iterator[Unmet]:
    if not expected and made:
        yield Unmet(("calls",), f"expected no tool call, there was {_told(made)}")
    rest = list(made)
    for at, one in enumerate(expected):
        name, arguments = next(iter(one.items()))
        found = next((n for n, use in enumerate(rest) if use.name == name and _holds(use.arguments, arguments)), None)
        if found is None:
            wanted = f"{name}({_arguments(arguments)})" if arguments else name
            yield Unmet(("calls", at), f"expected a call of {wanted}, there was {_told(made)}")
        else:
            rest = rest[found + 1 :]


def _holds(given: Any, wanted: Any) -> bool:
    """`wanted` is part of `given`: keys may be more, texts match as regular expressions between slashes."""
    if isinstance(wanted, Mapping):
        return isinstance(given, Mapping) and all(
            key in given and _holds(given[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, str) and len(wanted) > 1 and wanted[0] == wanted[-1] == "/":
        return re.search(wanted[1:-1], str(given)) is not None
    return bool(given == wanted) or (isinstance(given, str) and given == str(wanted))


def _told(made: Sequence[ToolUse]) -> str:
    return ", ".join(f"{one.name}({_arguments(one.arguments)})" for one in made) or "none"


def _arguments(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
