"""Threads for tools that block: bounded, and left behind when they take too long."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.common.telemetry.log import logger


class ThreadsFull(Exception):
    """As many run as may, those left behind included."""


@dataclass(slots=True)
class _Outcome:
    value: Any = None
    error: BaseException | None = None


class Threads:
    """At most `most` at once. To be used on one event loop.

    A thread each call, and not a pool: a process does not wait for them when it ends, and one that hangs is nobody
    else's worker.
    """

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.most = most
        self.running = 0
        self.left_behind = 0
        """Running, with nobody waiting."""

    async def run(self, work: Callable[[], Any]) -> Any:
        """What `work` returns or raises. Cancelled, it leaves the thread behind. Raises ThreadsFull."""
        if self.running >= self.most:
            behind = f", {self.left_behind} of them given up on" if self.left_behind else ""
            raise ThreadsFull(f"{self.running} calls of {self.name} run already{behind}")
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[_Outcome] = loop.create_future()
        context = contextvars.copy_context()

        def in_thread() -> None:
            outcome = _Outcome()
            try:
                outcome.value = context.run(work)
            except BaseException as error:  # goes to whoever waits, as it is
                outcome.error = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(self._ended, ended, outcome)

        self.running += 1
        threading.Thread(target=in_thread, name=self.name, daemon=True).start()
        try:
            outcome = await ended
        except asyncio.CancelledError:
            if ended.cancelled():
                self.left_behind += 1
            raise
        if isinstance(outcome.error, Exception):
            raise outcome.error
        if outcome.error is not None:  # SystemExit and the like end a thread, not the brain
            raise RuntimeError(f"{type(outcome.error).__name__} in a tool")
        return outcome.value

    def _ended(self, ended: "asyncio.Future[_Outcome]", outcome: _Outcome) -> None:
        self.running -= 1
        if not ended.done():
            ended.set_result(outcome)
        elif ended.cancelled():
            self.left_behind -= 1
            failed = type(outcome.error).__name__ if outcome.error is not None else ""
            logger().info("a tool given up on has ended", tool=self.name, error=failed)
