"""All bookings, side by side, over brains that are killed and frozen meanwhile."""

import asyncio
import contextlib
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue

from evals.tools import processes
from evals.tools.booking import World, book
from evals.tools.caller import wishes
from evals.tools.mishaps import counted, draw_mishaps
from evals.tools.neighbours import Neighbours
from evals.tools.verdict import Ended, Verdict, judge
from services.brain.journal import BUCKET, KEPT_S
from services.common.bus import connect_control, open_bucket
from tandem.businessapi import duplicates, go_wrong, ledger
from tandem.plan import REPOSITORY
from tandem.v1.call_pb2 import CallJournal

AGENT = REPOSITORY / "agents" / "front_desk"
# The clock of the booking system stands, and so does the calls' day.
TODAY = datetime(2026, 11, 23, 9, 0, tzinfo=ZoneInfo("Europe/London"))
# What a booking takes the system: long enough to be caught in the middle of it.
API_P50_MS, API_P95_MS = 150.0, 800.0
FROZEN_S = 3.0
FREEZES = 0.4
RESULTS_WITHIN_S = 12.0
SAY_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """`kill_every_s` 0 kills no brain."""

    bookings: int = 1000
    at_once: int = 40
    brains: int = 3
    seed: int = 1
    kill_every_s: float = 8.0


@dataclass(slots=True)
class Reaped:
    """What was done to the brains."""

    killed: int = 0
    frozen: int = 0


@dataclass(slots=True)
class Measured:
    wanted: Wanted
    verdict: Verdict
    calls: list[Ended]
    befell: dict[str, int]
    happened: dict[str, Any]
    reaped: Reaped
    seconds: float
    repeats: int
    """Writes that the booking system was asked for again under the same key"""
    errors: list[str] = field(default_factory=list)
    """Bookings that the evaluation itself could not carry out"""

    def document(self) -> dict[str, Any]:
        verdict, calls = self.verdict, self.calls
        return {
            "bookings": len(calls),
            "duplicates": len(verdict.duplicates),
            "lost": len(verdict.lost),
            "booked": verdict.booked,
            "told": verdict.told,
            "befell": self.befell,
            "faults": self.happened,
            "brains": {"killed": self.reaped.killed, "frozen": self.reaped.frozen, "processes": self.wanted.brains},
            "taken_over": sum(call.brains > 1 for call in calls),
            "retried": sum(call.retries > 0 for call in calls),
            "repeats": self.repeats,
            "unlearnt_after_hang_up": len(verdict.unlearnt_after_hang_up),
            "other_time": verdict.other_time,
            "gave_up": verdict.gave_up,
            "which": {
                "duplicates": verdict.duplicates[:20],
                "lost": verdict.lost[:20],
                "unlearnt_after_hang_up": verdict.unlearnt_after_hang_up[:20],
                "errors": self.errors[:20],
                "gave_up": [list(call.log[-30:]) for call in calls if call.gave_up][:5],
            },
            "errors": len(self.errors),
            "seconds": round(self.seconds, 1),
            "seed": self.wanted.seed,
            "at_once": self.wanted.at_once,
        }


async def measure(wanted: Wanted, say: Callable[[str], None]) -> Measured:
    """Brings up what is needed, makes the bookings, ends everything. Raises NotReady."""
    # In one task: what is opened here is closed when it is cancelled, too.
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tandem-evals-")))
        say("starting …")
        nats, nats_url = await processes.nats(folder)
        stack.push_async_callback(nats.stop)
        api, api_url = await processes.business_api(folder, TODAY.replace(tzinfo=None).isoformat())
        stack.push_async_callback(api.stop)
        neighbours = Neighbours()
        await neighbours.start()
        stack.push_async_callback(neighbours.stop)
        brains = await _brains(stack, wanted, folder, nats_url, neighbours.address, api_url)
        control = await connect_control(nats_url, "evals")
        stack.push_async_callback(control.close)
        journals = await open_bucket(control, BUCKET, KEPT_S)
        await go_wrong(api_url, {}, API_P50_MS, API_P95_MS, wanted.seed)
        answered = round(TODAY.astimezone(UTC).timestamp() * 1e6)
        world = World(neighbours, [brain.channel for brain in brains], api_url, answered)
        return await _bookings(wanted, world, brains, journals, say)


async def _brains(
    stack: contextlib.AsyncExitStack, wanted: Wanted, folder: Path, nats_url: str, neighbours: str, api_url: str
) -> list[processes.Brain]:
    agents = folder / "agents"
    agents.mkdir()
    (agents / AGENT.name).symlink_to(AGENT)
    variables = {"BUSINESS_API_URL": api_url, "ESCALATION_DESTINATION": "sip:desk@127.0.0.1"}
    brains = [
        processes.Brain(number, folder, nats_url, neighbours, agents, variables) for number in range(wanted.brains)
    ]
    for brain in brains:
        stack.push_async_callback(brain.stop)
    await asyncio.gather(*(brain.start() for brain in brains))
    return brains


async def _bookings(
    wanted: Wanted, world: World, brains: list[processes.Brain], journals: KeyValue, say: Callable[[str], None]
) -> Measured:
    draw = random.Random(wanted.seed)
    wished = wishes(wanted.bookings, TODAY.date(), draw)
    befalling = [draw_mishaps(draw) for _ in wished]
    ended: list[Ended] = []
    errors: list[str] = []
    numbers = iter(range(wanted.bookings))
    began = time.monotonic()

    async def side_by_side() -> None:
        for number in numbers:
            own = random.Random(f"{wanted.seed}/{number}")
            try:
                ended.append(await book(world, number, wished[number], befalling[number], own))
            except Exception as error:  # of the evaluation, told in its result
                errors.append(f"booking-{number}: {error!r}")

    reaped = Reaped()
    around = [asyncio.create_task(_reap(brains, wanted, draw, reaped)), asyncio.create_task(_progress(ended, say))]
    try:
        await asyncio.gather(*(side_by_side() for _ in range(min(wanted.at_once, wanted.bookings))))
    finally:
        for task in around:
            task.cancel()
        for failed in await asyncio.gather(*around, return_exceptions=True):
            if isinstance(failed, Exception):
                errors.append(str(failed))  # such as a brain that did not come back
        for brain in brains:
            brain.process.signal(signal.SIGCONT)
    seconds = time.monotonic() - began
    verdict, rows = await _judged(ended, world.api_url, journals)
    happened = Counter(fault for one in befalling for fault in one.faults)
    repeats = sum(len(row["repeats"]) for row in rows)
    return Measured(wanted, verdict, ended, counted(befalling), dict(happened), reaped, seconds, repeats, errors)


async def _judged(ended: list[Ended], api_url: str, journals: KeyValue) -> tuple[Verdict, list[dict[str, Any]]]:
    """The verdict once every result had its time to come in."""
    until = time.monotonic() + RESULTS_WITHIN_S
    while True:
        rows, twice = await ledger(api_url), await duplicates(api_url)
        told = {call.call_id: await _journal(journals, call.call_id) for call in ended}
        verdict = judge(ended, told, rows, twice)
        if time.monotonic() > until or not (verdict.lost or verdict.unlearnt_after_hang_up):
            return verdict, rows
        await asyncio.sleep(1.0)


async def _journal(journals: KeyValue, call_id: str) -> CallJournal:
    try:
        return CallJournal.FromString((await journals.get(call_id)).value or b"")
    except KeyNotFoundError:
        return CallJournal()


async def _reap(brains: list[processes.Brain], wanted: Wanted, draw: random.Random, reaped: Reaped) -> None:
    """Kills a brain or freezes it, one at a time, and never the last."""
    while wanted.kill_every_s and len(brains) > 1:
        await asyncio.sleep(draw.uniform(0.5, 1.5) * wanted.kill_every_s)
        brain = draw.choice(brains)
        if draw.random() < FREEZES:
            reaped.frozen += 1
            brain.process.signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(FROZEN_S)
            finally:
                brain.process.signal(signal.SIGCONT)
        else:
            reaped.killed += 1
            brain.process.signal(signal.SIGKILL)
            await brain.process.ended()
            await brain.start()


async def _progress(ended: list[Ended], say: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(SAY_EVERY_S)
        told, over = sum(call.told for call in ended), sum(call.brains > 1 for call in ended)
        say(f"  {len(ended)} calls ended, {told} told that it is booked, {over} taken over")
