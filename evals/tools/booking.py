"""One booking: a caller, a line, and what befalls them."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from evals.tools.caller import GOODBYE, IMPATIENT, Caller, Wish
from evals.tools.line import Line, facts_of
from evals.tools.mishaps import Mishaps
from evals.tools.neighbours import Neighbours
from evals.tools.verdict import Ended
from tandem.businessapi import go_wrong_for

# Ten times as fast as people speak: what is measured is not how long they talk.
PACE = 0.1
CALLER_WAITS_S = 8.0
CALL_AT_MOST_S = 100.0
BRAIN_ENDS_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class World:
    """What all bookings share."""

    neighbours: Neighbours
    brains: list[grpc.aio.Channel]
    api_url: str
    answered_unix_us: int
    """The business system's day, as the calls' own"""


async def book(world: World, number: int, wish: Wish, mishaps: Mishaps, draw: random.Random) -> Ended:
    """One call, from the answer until the brain has ended its stream."""
    if mishaps.faults:
        await go_wrong_for(world.api_url, wish.phone, list(mishaps.faults))
    call_id = f"booking-{number}"
    heard: asyncio.Queue[str] = asyncio.Queue()
    facts = facts_of(call_id, "front_desk", wish.phone, world.answered_unix_us)
    line = Line(facts, world.brains, number, heard.put_nowait, PACE)
    world.neighbours.lines[call_id] = line
    talk = _Talk(line, Caller(wish), mishaps, draw)
    running = asyncio.create_task(line.run())
    gave_up = False
    try:
        async with asyncio.timeout(CALL_AT_MOST_S):
            await talk.until_over(heard)
    except TimeoutError:
        gave_up = True
    finally:
        talk.stop()
        line.hang_up()
        await asyncio.wait({running}, timeout=BRAIN_ENDS_WITHIN_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        del world.neighbours.lines[call_id]
    caller = talk.caller
    return Ended(
        call_id=call_id,
        phone=wish.phone,
        start=wish.start.isoformat(),
        told=caller.told,
        hung_up=talk.hung_up,
        gave_up=gave_up,
        brains=line.counts.brains,
        retries=caller.retries,
        log=tuple(line.log) if gave_up else (),
    )


class _Talk:
    """The caller at the line."""

    def __init__(self, line: Line, caller: Caller, mishaps: Mishaps, draw: random.Random) -> None:
        self.caller = caller
        self.hung_up = False
        self._line = line
        self._mishaps = mishaps
        self._draw = draw
        self._confirmed = False
        self._twice = mishaps.asks_twice
        self._timers: list[asyncio.TimerHandle] = []
        if mishaps.from_start and mishaps.give_up_brain_s is not None:
            self._later(mishaps.give_up_brain_s, line.give_up_brain)

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()

    async def until_over(self, heard: "asyncio.Queue[str]") -> None:
        over = asyncio.create_task(self._line.over.wait())
        try:
            while not over.done():
                hears = asyncio.create_task(heard.get())
                await asyncio.wait({hears, over}, timeout=CALLER_WAITS_S, return_when=asyncio.FIRST_COMPLETED)
                if hears.done():
                    await self._take(hears.result())
                else:
                    hears.cancel()
                    if not over.done():
                        self._wait_no_longer()
        finally:
            over.cancel()

    async def _take(self, text: str) -> None:
        answer = self.caller.hears(text)
        if answer is None:
            return
        if answer == GOODBYE and self._twice:
            self._twice = False
            answer = self.caller.wish.request()
        await asyncio.sleep(self._draw.uniform(0.02, 0.2))
        self._says(answer)
        if not self._confirmed and "that's right" in answer:
            self._confirmed = True
            self._now_it_happens()

    def _wait_no_longer(self) -> None:
        if self.caller.told:
            self._line.hang_up()
        else:
            self._says(self.caller.waits())

    def _says(self, text: str) -> None:
        # From too early for a decision, so that answers are begun on speculation, to an end of turn that is certain.
        self._line.says(text, self._draw.uniform(0.2, 1.5))

    def _now_it_happens(self) -> None:
        mishaps = self._mishaps
        if mishaps.interrupt_s is not None:
            words = self._draw.choice(IMPATIENT)
            self._later(mishaps.interrupt_s, lambda: self._says(words))
        if mishaps.give_up_brain_s is not None and not mishaps.from_start:
            self._later(mishaps.give_up_brain_s, self._line.give_up_brain)
        if mishaps.hang_up_s is not None:
            self._later(mishaps.hang_up_s, self._hang_up)

    def _hang_up(self) -> None:
        self.hung_up = not self.caller.told
        self._line.hang_up()

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, what))
