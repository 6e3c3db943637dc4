"""Results too big for speech, made short by rule. Pure: the same value and limits give the same."""

import json
import re
from collections.abc import Iterable
from typing import Any

from services.brain.tools.declaration import ResultLimits

_SENTENCE_END = re.compile(r"[.!?…。！？](?=\s|$)")
_MOST_LINES = 8
"""Of what was left out: a line for each of a thousand list items would be a big result of its own."""
_SHORTEST_TEXT = 40
_MOST_PARTS = 20_000
"""Looked through for what to keep: 20 ms of the event loop."""
_DEEPEST = 50


def shorten(value: Any, limits: ResultLimits) -> tuple[Any, tuple[str, ...]]:
    """The value in its own shape, within all limits, and what was left out of it, a line each.

    What the script's templates reach for stays where it was: nothing is renamed or wrapped.
    """
    if isinstance(value, bool | int | float) or value is None:
        return value, ()
    value = _kept(value, limits.keep, limits.items)
    items, characters = limits.items, limits.characters
    cut = _Cut(limits, items, characters)
    made = cut.value(value, "", 0)
    while _size(made) > limits.max_bytes:
        if items == 1 and characters <= _SHORTEST_TEXT:
            return _bare(made, value, limits.max_bytes)
        items, characters = max(items // 2, 1), max(characters // 2, _SHORTEST_TEXT)
        # From the whole again: what is left out is told as it is, and not as it was the time before.
        cut = _Cut(limits, items, characters)
        made = cut.value(value, "", 0)
    return made, cut.left_out()


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _bare(value: Any, whole: Any, max_bytes: int) -> tuple[Any, tuple[str, ...]]:
    """Nothing else helped: as many fields of the object, in their order, as there is room for."""
    if not isinstance(value, dict):
        return None, ("all of it: too big",)
    made: dict[str, Any] = {}
    left = max_bytes
    for name, inner in value.items():
        if (size := _size({name: inner})) <= left:
            made[name] = inner
            left -= size
    return made, (f"{len(whole) - len(made)} of {len(whole)} fields: too big",)


class _Cut:
    """One pass over a value, with the notes on it."""

    def __init__(self, limits: ResultLimits, items: int, characters: int) -> None:
        self._items = items
        self._characters = characters
        self._depth = limits.depth
        # More parts than bytes fit nowhere.
        self._left = limits.max_bytes
        self._notes: dict[str, None] = {}

    def left_out(self) -> tuple[str, ...]:
        notes = list(self._notes)
        more = [f"and more in {len(notes) - _MOST_LINES} other places"] if len(notes) > _MOST_LINES else []
        return (*notes[:_MOST_LINES], *more)

    def value(self, value: Any, at: str, depth: int) -> Any:
        self._left -= 1
        if isinstance(value, str):
            return self._text(value, at)
        if not isinstance(value, dict | list) or not value:
            return value
        if depth >= self._depth:
            self._note(at, "what is inside")
            return None
        if isinstance(value, dict):
            return self._object(value, f"{at}." if at else "", at, depth)
        if len(value) > self._items:
            self._note(at, f"{len(value) - self._items} of {len(value)} items")
        return [self.value(inner, at, depth + 1) for inner in value[: self._items]]

    def _object(self, value: dict[str, Any], inside: str, at: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, inner in value.items():
            if self._left <= 0:
                self._note(at, f"{len(value) - len(made)} of {len(value)} fields")
                break
            made[name] = self.value(inner, f"{inside}{name}", depth + 1)
        return made

    def _text(self, text: str, at: str) -> str:
        if len(text) <= self._characters:
            return text
        self._note(at, f"text after its first {self._characters} characters")
        head = text[: self._characters]
        ends = [found.end() for found in _SENTENCE_END.finditer(head)]
        if ends and ends[-1] >= self._characters // 3:
            return head[: ends[-1]]
        words = head.rpartition(" ")[0]
        return f"{words if len(words) > self._characters // 2 else head}…"

    def _note(self, at: str, what: str) -> None:
        self._notes.setdefault(f"{at[:80]}: {what}" if at else what)


def _kept(value: Any, keep: Iterable[str], items: int) -> Any:
    """Only what is below a field that `keep` names. All of it when nothing is: the answer has another shape, and the
    model had better see it than think that nothing was found."""
    paths = [tuple(one.split(".")) for one in keep]
    if not paths:
        return value
    found = _Keep(paths, items).below(value, ())
    return value if found is _NOTHING else found


_NOTHING = object()


class _Keep:
    def __init__(self, paths: list[tuple[str, ...]], items: int) -> None:
        self._paths = paths
        self._last_names = {path[-1] for path in paths}
        self._items = items
        self._left = _MOST_PARTS

    def below(self, value: Any, at: tuple[str, ...]) -> Any:
        if at and at[-1] in self._last_names and any(at[-len(path) :] == path for path in self._paths):
            return value
        self._left -= 1
        if self._left < 0 or len(at) > _DEEPEST:
            return _NOTHING
        if isinstance(value, dict):
            inside = {name: self.below(inner, (*at, name)) for name, inner in value.items()}
            return {name: inner for name, inner in inside.items() if inner is not _NOTHING} or _NOTHING
        # An empty list says that there is none; it is not known whether it would have had the field.
        return self._list(value, at) or _NOTHING if isinstance(value, list) and value else _empty(value)

    def _list(self, value: list[Any], at: tuple[str, ...]) -> list[Any]:
        made: list[Any] = []
        for index, inner in enumerate(value):
            if len(made) == self._items:
                return made + value[index:]  # which only count: they are cut off later
            if (kept := self.below(inner, at)) is not _NOTHING:
                made.append(kept)
        return made


def _empty(value: Any) -> Any:
    return value if value == [] else _NOTHING
