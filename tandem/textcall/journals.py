"""The bus, in memory: the KV bucket of journals, and the notices that calls send out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

from tandem.v1.call_pb2 import CallNotice


@dataclass(frozen=True, slots=True)
class Entry:
    value: bytes
    revision: int


class Journals:
    """Stands where the brain has its NATS KeyValue. Several calls may share one: that is how one is taken over."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._revision = 0

    async def get(self, key: str) -> Entry:
        """Raises KeyNotFoundError."""
        if key not in self._entries:
            raise KeyNotFoundError
        return self._entries[key]

    async def create(self, key: str, value: bytes) -> int:
        """Raises KeyWrongLastSequenceError when it is there."""
        return await self.update(key, value, 0)

    async def update(self, key: str, value: bytes, last: int | None = None) -> int:
        """The new revision. Raises KeyWrongLastSequenceError when somebody else wrote since `last`."""
        found = self._entries.get(key)
        if (found.revision if found else 0) != (last or 0):
            raise KeyWrongLastSequenceError
        self._revision += 1
        self._entries[key] = Entry(value, self._revision)
        return self._revision


class NoticeBoard:
    """Stands where the brain has its NATS client; `told` is called with each notice of a call."""

    def __init__(self, told: Callable[[CallNotice], None]) -> None:
        self._told = told

    async def publish(self, subject: str, payload: bytes = b"", headers: Any = None) -> None:
        self._told(CallNotice.FromString(payload))
