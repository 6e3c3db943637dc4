"""Bulkheads: what hangs on one business system holds up nothing else."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# In line for each place: more only find out later that it is too late.
_IN_LINE = 4


class BulkheadFull(Exception):
    """As many calls as may run at once still do, after the longest wait."""


class Bulkhead:
    """At most `at_once` calls to one system at once; a few more wait in line, each for at most `wait_s` seconds.

    First come, first served. To be used on one event loop.
    """

    def __init__(self, name: str, at_once: int, wait_s: float) -> None:
        self.name = name
        self.at_once = at_once
        self.wait_s = wait_s
        self.running = 0
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._line)

    def limit(self, at_once: int, wait_s: float) -> None:
        """Other limits from now on; what runs goes on."""
        self.at_once, self.wait_s = at_once, wait_s
        self._let_in()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Holds a place. Raises BulkheadFull."""
        if self.running >= self.at_once or self._line:
            await self._wait()
        else:
            self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._let_in()

    def _let_in(self) -> None:
        while self._line and self.running < self.at_once:
            self.running += 1
            self._line.popleft().set_result(None)

    async def _wait(self) -> None:
        """Returns with the place taken."""
        if len(self._line) >= _IN_LINE * self.at_once or self.wait_s <= 0:
            raise BulkheadFull(self._told())
        place = asyncio.get_running_loop().create_future()
        self._line.append(place)
        try:
            async with asyncio.timeout(self.wait_s):
                await asyncio.shield(place)
        except BaseException as error:
            if place.done():  # it was let in just now, and does not come
                self.running -= 1
                self._let_in()
            else:
                self._line.remove(place)
                place.cancel()
            if isinstance(error, TimeoutError):
                raise BulkheadFull(self._told()) from None
            raise

    def _told(self) -> str:
        return f"{self.running} calls to {self.name} run already, and {len(self._line)} wait"
