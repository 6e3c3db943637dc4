"""Messages to the conversation, in order; who tells one can wait until it was dealt with."""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

Message = TypeVar("Message")


class Handoff(Generic[Message]):
    """`over` is set when nobody takes messages any more."""

    def __init__(self, over: asyncio.Event) -> None:
        self._over = over
        self._waiting: asyncio.Queue[tuple[Message, asyncio.Event]] = asyncio.Queue()

    def put(self, message: Message) -> asyncio.Event:
        """Set once the taker asks for the next one."""
        taken = asyncio.Event()
        self._waiting.put_nowait((message, taken))
        return taken

    async def tell(self, message: Message) -> None:
        """Returns when it was dealt with, or never will be."""
        taken = self.put(message)
        waits = {asyncio.create_task(taken.wait()), asyncio.create_task(self._over.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def messages(self, idle: Message | None = None, every_s: float = 0.5) -> AsyncIterator[Message]:
        """For one taker. `idle` comes when nothing else did for so long."""
        while True:
            try:
                async with asyncio.timeout(every_s if idle is not None else None):
                    message, taken = await self._waiting.get()
            except TimeoutError:
                if idle is not None:
                    yield idle
                continue
            try:
                yield message
            finally:  # the taker is back for more, or gone
                taken.set()
