"""Tool calls of a model, and how they are gathered out of a stream."""

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from services.brain.history import Message


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One tool call the model asks for; `arguments` is JSON as the model wrote it, or what it took for JSON."""

    id: str
    name: str
    arguments: str

    def message(self) -> Message:
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


def call_of(message: Message) -> ModelCall:
    """Back from `message`."""
    return ModelCall(message["id"], message["function"]["name"], message["function"]["arguments"])


@dataclass(slots=True)
class _One:
    index: int
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def whole(self) -> bool:
        try:
            return isinstance(json.loads("".join(self.arguments)), dict)
        except (ValueError, RecursionError):
            return False


class GatheredCalls:
    """The calls of one stream, whose pieces come mixed."""

    def __init__(self) -> None:
        self._calls: list[_One] = []
        self._by_index: dict[int, _One] = {}

    def add(self, piece: Any) -> bool:
        """One element of a delta's `tool_calls`; True when something was in it."""
        index = piece.index or 0
        name, arguments = piece.function.name or "", piece.function.arguments or ""
        one = self._by_index.get(index)
        # Some OpenAI-like servers number every call 0, and send each whole.
        if one is None or (name and piece.id and piece.id != one.id and one.whole()):
            one = self._by_index[index] = _One(index)
            self._calls.append(one)
        one.id = piece.id or one.id
        one.name = name or one.name
        one.arguments.append(arguments)
        return bool(name or arguments.strip())

    def calls(self) -> list[ModelCall]:
        """In the model's order, each with an id of its own, for its result is found by it. What has no name can be
        called by nobody, and is left out."""
        taken: set[str] = set()
        calls: list[ModelCall] = []
        for one in sorted(self._calls, key=lambda one: one.index):
            if not one.name:
                continue
            ident = one.id if one.id and one.id not in taken else f"call_{uuid.uuid4().hex}"
            taken.add(ident)
            calls.append(ModelCall(ident, one.name, "".join(one.arguments)))
        return calls


def canonical(arguments: str) -> str:
    """JSON as models write it, in one spelling; what is no JSON stays as it is."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True, ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments
