"""Recognition passes of all calls over a few threads: first come, first served.

CTranslate2 lets go of the interpreter lock while it computes, so threads of one process share one model. More passes at
once than cores make every one of them slower: what waits, waits here, and is measured.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from services.asr.segment import Segment
from services.asr.whisper import NOTHING, Transcript


class Recognize(Protocol):
    """One pass, in a worker thread. May raise anything."""

    def __call__(self, segment: Segment, language: str, prompt: str) -> Transcript: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """A pass as it went; `error` says why the transcript is empty when the pass failed. Times are local seconds."""

    transcript: Transcript
    asked_at: float
    began_at: float
    ended_at: float
    error: Exception | None = None

    @property
    def queue_us(self) -> int:
        return round((self.began_at - self.asked_at) * 1e6)

    @property
    def decode_us(self) -> int:
        return round((self.ended_at - self.began_at) * 1e6)


class Pass:
    """A pass asked for. Await `outcome()`; it never raises but for cancellation."""

    def __init__(self, segment: Segment, language: str, prompt: str, now: float) -> None:
        self.segment, self.language, self.prompt = segment, language, prompt
        self.asked_at = now
        self.wanted = True
        self._loop = asyncio.get_running_loop()
        self._outcome: asyncio.Future[Outcome] = self._loop.create_future()

    def drop(self) -> None:
        """Nobody waits for it any more: skipped when it has not begun."""
        self.wanted = False

    async def outcome(self) -> Outcome:
        return await asyncio.shield(self._outcome)

    def settle(self, outcome: Outcome) -> None:
        """From a worker thread."""

        def tell() -> None:
            if not self._outcome.done():
                self._outcome.set_result(outcome)

        try:
            self._loop.call_soon_threadsafe(tell)
        except RuntimeError:  # the loop closed while the pass ran: the process ends
            return


class Passes:
    """The worker threads. They are daemons: a process that ends does not wait for a pass."""

    def __init__(self, recognize: Recognize, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._recognize = recognize
        self._clock = clock
        self._at_once = at_once
        self._waiting: queue.SimpleQueue[Pass | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"pass-{number}", daemon=True) for number in range(at_once)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def idle(self) -> bool:
        """Is there a worker with nothing to do?"""
        return self._unfinished < self._at_once

    def ask(self, segment: Segment, language: str, prompt: str = "") -> Pass:
        """Queues a pass."""
        asked = Pass(segment, language, prompt, self._clock())
        with self._lock:
            self._unfinished += 1
        self._waiting.put(asked)
        return asked

    def ask_if_idle(self, segment: Segment, language: str, prompt: str = "") -> Pass | None:
        """A pass that may be in vain: only when nobody has to wait for it."""
        return self.ask(segment, language, prompt) if self.idle else None

    def close(self) -> None:
        """Lets the threads end after the passes they are in."""
        for _ in self._threads:
            self._waiting.put(None)

    def _work(self) -> None:
        while (asked := self._waiting.get()) is not None:
            began_at = self._clock()
            transcript, error = NOTHING, None
            if asked.wanted:
                try:
                    transcript = self._recognize(asked.segment, asked.language, asked.prompt)
                except Exception as failure:  # a pass that fails must not take the worker with it
                    error = failure
            with self._lock:
                self._unfinished -= 1
            asked.settle(Outcome(transcript, asked.asked_at, began_at, self._clock(), error))
