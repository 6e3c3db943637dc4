"""What a gRPC stub gives back, made from a generator in this process."""

from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

Response = TypeVar("Response")


class LocalStream(Generic[Response]):
    """Iterated once; `cancel` ends it, from whatever side."""

    def __init__(self, responses: AsyncIterator[Response], on_cancel: Callable[[], None] = lambda: None) -> None:
        self._responses = responses
        self._on_cancel = on_cancel

    def __aiter__(self) -> AsyncIterator[Response]:
        return self._responses

    def cancel(self) -> bool:
        self._on_cancel()
        return True
