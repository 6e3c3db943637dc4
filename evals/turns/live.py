"""Stops measured at the ear: callers interrupt a running stack over SIP and RTP. The check on the simulated figure."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from evals.turns.scoring import percentiles
from tandem.caller import CallerFailed, Ring, ring
from tandem.interrupt import stop_event, unless
from tandem.plan import REPOSITORY
from tandem.settings import StackSettings
from tandem.stack import Stack

SCRIPT = REPOSITORY / "evals" / "scripts" / "interrupt.yaml"
VOICES = ("am_michael", "bf_emma", "af_bella", "bm_george")
AT_ONCE = 2
"""Two at a time are done in half the time; a stop needs no pass of recognition."""


@dataclass(slots=True)
class Heard:
    """What the callers measured. `stops_ms`: onset of the caller's speech to the last sample heard of the agent."""

    calls: int
    stops_ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(self, report: dict[str, Any]) -> None:
        """One caller's report (evals/caller/report.py)."""
        if report["outcome"] != "completed":
            self.failed.append(str(report["why"]))
        self.stops_ms += [turn["interrupted"]["after_ms"] for turn in report["turns"] if "interrupted" in turn]

    def figures(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "stop_ms": percentiles(self.stops_ms),
            "interruptions": len(self.stops_ms),
            "failed": self.failed,
        }


async def measure(given: StackSettings, calls: int, say: Callable[[str], None]) -> Heard:
    """Brings a stack up, rings it, ends it. Raises Interrupted, and what a stack raises that cannot start."""
    stack = Stack.on_free_ports(given=given, say=say)
    stop = stop_event()
    try:
        await unless(stop, stack.start())
        return await unless(stop, _ring(stack, calls, say))
    finally:
        await stack.stop()


async def _ring(stack: Stack, calls: int, say: Callable[[str], None]) -> Heard:
    heard = Heard(calls)
    lines = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with lines:
            call = Ring(
                f"sip:front_desk@{stack.sip_address}",
                SCRIPT,
                voice=VOICES[number % len(VOICES)],
                number=f"+1555020{number:02}",
            )
            try:
                heard.add(await ring(call, quiet=True))
            except CallerFailed as error:
                heard.failed.append(str(error))
            say(f"live call {number + 1} of {calls}: {len(heard.stops_ms)} interruptions, {len(heard.failed)} failed")

    await asyncio.gather(*(one(number) for number in range(calls)))
    return heard
