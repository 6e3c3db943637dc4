"""Tool calls of a model, and how they are gathered out of a stream."""

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
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class GatheredCalls:
    """The calls of one stream, whose pieces come mixed."""

    def __init__(self) -> None:
        self._by_index: dict[int, _One] = {}

    def add(self, piece: Any) -> bool:
        """One element of a delta's `tool_calls`; True when something was in it."""
        one = self._by_index.setdefault(piece.index or 0, _One())
        one.id = piece.id or one.id
        name, arguments = piece.function.name or "", piece.function.arguments or ""
        one.name = name or one.name
        one.arguments.append(arguments)
        return bool(name or arguments.strip())

    def calls(self) -> list[ModelCall]:
        """In the model's order, each with an id of its own, for its result is found by it. What has no name can be
        called by nobody, and is left out."""
        taken: set[str] = set()
        calls: list[ModelCall] = []
        for _, one in sorted(self._by_index.items()):
            if not one.name:
                continue
            ident = one.id if one.id and one.id not in taken else f"call_{uuid.uuid4().hex}"
            taken.add(ident)
            calls.append(ModelCall(ident, one.name, "".join(one.arguments)))
        return calls
