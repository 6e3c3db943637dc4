"""Who may synthesize next: those whose caller waits in silence before those whose caller still hears a clause play."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Turnstile:
    """Lets `places` in at once; the urgent first, each kind in its order of coming."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._patient: deque[asyncio.Future[None]] = deque()

    @contextlib.asynccontextmanager
    async def place(self, urgent: bool) -> AsyncIterator[None]:
        await self._enter(urgent)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, urgent: bool) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._patient).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It was our turn in the same moment: the place is the next one's.
                self._leave()
            raise

    def _leave(self) -> None:
        for queue in (self._urgent, self._patient):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1
