"""Callers who ask one question after another, each on a line of their own."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.brainload.provider import Provider, question
from evals.tools.line import Line, facts_of
from evals.tools.neighbours import Neighbours

if TYPE_CHECKING:
    import grpc

# People speak for some 2 s, and think for 1 to 2 s before they do.
SPEAKS_S, THINKS_S = 2.0, (1.0, 2.0)
PARTIAL_EVERY_S = 0.4
# So long ago it was that the end of the turn is certain: what is measured begins with the transcript.
STOPPED_AGO_S = 1.6
ANSWERED_WITHIN_S = 20.0
WITH_TOOL = 0.2


@dataclass(slots=True)
class Asking:
    """One turn. Local times in seconds, 0.0 for what never came."""

    key: str
    with_tool: bool
    said_s: float
    text_s: float = 0.0
    """The answer's first text came to tts"""
    audio_s: float = 0.0
    """The first thing that the caller heard, filler or answer"""
    answer_s: float = 0.0
    """The first of the answer that the caller heard"""


@dataclass(slots=True)
class Callers:
    """All of them. `turns` are those that began since it was last cleared."""

    neighbours: Neighbours
    brain: "grpc.aio.Channel"
    provider: Provider
    turns: list[Asking] = field(default_factory=list)
    calls: list["_Caller"] = field(default_factory=list)

    async def grow(self, to: int, within_s: float) -> None:
        """More of them, spread over `within_s`."""
        more = to - len(self.calls)
        for _ in range(more):
            self.calls.append(_Caller(self, len(self.calls)))
            await asyncio.sleep(within_s / more)

    @property
    def lost(self) -> int:
        """Streams that broke."""
        return sum(call.line.counts.lost for call in self.calls)

    async def stop(self) -> None:
        await asyncio.gather(*(call.stop() for call in self.calls))


class _Caller:
    """One call, from its making on."""

    def __init__(self, callers: Callers, number: int) -> None:
        self._callers = callers
        self._number = number
        self._draw = random.Random(number)
        self._silent = asyncio.Event()
        self._asking: Asking | None = None
        self._playing = 0, 0.0
        facts = facts_of(f"bench-{number}", "bench", "+15550100", time.time_ns() // 1000)
        self.line = Line(facts, [callers.brain], 0, self._heard, played=self._played)
        callers.neighbours.lines[facts.call_id] = self.line
        self._tasks = [asyncio.create_task(self.line.run()), asyncio.create_task(self._talk())]

    async def stop(self) -> None:
        self.line.hang_up()
        self._tasks[1].cancel()
        await asyncio.wait(self._tasks, timeout=5)
        self._tasks[0].cancel()

    async def _talk(self) -> None:
        turn = 0
        while True:
            self._silent.clear()
            try:
                async with asyncio.timeout(ANSWERED_WITHIN_S):
                    await self._silent.wait()
            except TimeoutError:
                pass  # asked again, and the turn counts as one without an answer
            await asyncio.sleep(self._draw.uniform(*THINKS_S))
            turn += 1
            await self._ask(f"{self._number}-{turn}", self._draw.random() < WITH_TOOL)

    async def _ask(self, key: str, with_tool: bool) -> None:
        words = question(key, with_tool)
        await self.line.speaks(words, SPEAKS_S, PARTIAL_EVERY_S)
        self._asking = Asking(key, with_tool, time.monotonic())
        self._callers.turns.append(self._asking)
        self.line.falls_silent(words, STOPPED_AGO_S)

    def _played(self, utterance_id: int) -> None:
        self._playing = utterance_id, time.monotonic()
        if self._asking is not None:
            self._asking.audio_s = self._asking.audio_s or time.monotonic()

    def _heard(self, text: str) -> None:
        """Only now its words are all known: it begins to play with the first of them."""
        asking, (utterance_id, began_s) = self._asking, self._playing
        if asking is not None and not _answers(text, asking.key):
            return
        if asking is not None and not asking.answer_s:
            asking.answer_s, asking.text_s = began_s, self.line.spoken[utterance_id].first_text_s
        self._silent.set()


def _answers(text: str, key: str) -> bool:
    """The script's answers have no key."""
    return text.strip().startswith((f"Answer {key}", "Answer:"))
