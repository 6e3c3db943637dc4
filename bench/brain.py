"""`python -m bench.brain --json`: what the brain itself costs a turn, how many conversations a core holds, dead air.

A brain process alone on one core, a real NATS with its journals, and on the other core all its neighbours without
sound: callers who ask a question every 8 s or so, a model provider and a tool of known delay. Everything is measured
at the neighbours' edges. Progress goes to stderr; stdout gets one JSON object. Numbers hold for the machine they name.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from bench.brainload import figures
from bench.brainload.agent import write_agent
from bench.brainload.callers import Callers
from bench.brainload.provider import FIRST_TOKEN_S, STALL_S, Provider
from bench.latency import machine
from evals.tools import processes
from evals.tools.neighbours import Neighbours
from tandem.plan import REPOSITORY
from tandem.processes import cpu_s

LEVELS = (10, 50, 100, 200, 400)
# A turn of each conversation takes some 8 s: two of each at least.
MEASURED_S, SETTLES_S = 25.0, 8.0
JOIN_S = 8.0
STALL_RATE, STALL_CALLS, STALLED_FOR_S = 0.1, 40, 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """`deployments` are the models of the agent whose first one stalls. `scripted`: the levels' agent has its script in
    place of a model."""

    levels: tuple[int, ...] = LEVELS
    seconds: float = MEASURED_S
    deployments: int = 2
    stall_seconds: float = STALLED_FOR_S
    stall_calls: int = STALL_CALLS
    scripted: bool = False


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


# All that this process may run on, before it leaves one to the brain.
_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


async def measure(wanted: Wanted) -> dict[str, Any]:
    """The JSON object. Raises NotReady."""
    levels, rss_mb = await _levels(wanted) if wanted.levels else ([], 0.0)
    stalls = await _stalls(wanted) if wanted.stall_seconds else {}
    first = levels[0].document()["overhead_ms"] if levels else {"p50": None, "p95": None}
    return {
        "overhead_ms": {name: first[name] for name in ("p50", "p95")},
        "dead_air_ms": stalls.pop("dead_air_ms", {"p95": None}),
        "conversations_per_core": figures.conversations_per_core(levels),
        "limit": {"overhead_p95_ms": figures.P95_AT_MOST_MS},
        "levels": [one.document() for one in levels],
        "stalls": {**stalls, "rate": STALL_RATE, "stall_s": STALL_S, "deployments": wanted.deployments},
        "model": "tandem/script" if wanted.scripted else "openai/primary",
        "model_first_token_ms": round(1000 * FIRST_TOKEN_S),
        "brain_rss_mb": rss_mb,
        "machine": {**machine(), "cores": len(_CORES)},
        "versions": {"commit": _commit()},
    }


class _Bench:
    """A brain alone on its core, and what it speaks to."""

    def __init__(self, deployments: int, stall_rate: float) -> None:
        self.neighbours = Neighbours()
        self.provider = Provider(stall_rate)
        self.brain: processes.Brain
        self._deployments = deployments

    async def start(self, stack: contextlib.AsyncExitStack) -> Callers:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tandem-bench-")))
        ours, theirs = _cores()
        if ours:
            os.sched_setaffinity(0, ours)
        nats, nats_url = await processes.nats(folder)
        stack.push_async_callback(nats.stop)
        for part in (self.neighbours, self.provider):
            await part.start()
            stack.push_async_callback(part.stop)
        write_agent(folder / "agents", self.provider.url, self._deployments)
        around = self.neighbours.address
        self.brain = processes.Brain(0, folder, nats_url, around, folder / "agents", {}, theirs or None)
        stack.push_async_callback(self.brain.stop)
        await self.brain.start()
        callers = Callers(self.neighbours, self.brain.channel, self.provider)
        stack.push_async_callback(callers.stop)
        return callers

    async def during(self, callers: Callers, seconds: float) -> tuple[float, int, float]:
        """CPU time of the brain, streams lost, and seconds, over the turns that begin within `seconds`."""
        callers.turns.clear()
        self.provider.turns.clear()
        lost, before_s, began = callers.lost, cpu_s(self.brain.process.pid), time.monotonic()
        await asyncio.sleep(seconds)
        used, took = cpu_s(self.brain.process.pid) - before_s, time.monotonic() - began
        return used, callers.lost - lost, took


async def _levels(wanted: Wanted) -> tuple[list[figures.Level], float]:
    levels = []
    async with contextlib.AsyncExitStack() as stack:
        say("starting …")
        bench = _Bench(0 if wanted.scripted else 1, 0.0)
        callers = await bench.start(stack)
        for conversations in wanted.levels:
            await callers.grow(conversations, JOIN_S)
            await asyncio.sleep(SETTLES_S)
            used_s, lost, seconds = await bench.during(callers, wanted.seconds)
            turns = list(callers.turns)
            await _answered(callers)
            level = figures.level(
                conversations, turns, bench.provider.turns, lost, used_s, seconds, scripted=wanted.scripted
            )
            levels.append(level)
            say(f"  {json.dumps(level.document())}")
        return levels, _rss_mb(bench.brain.process.pid)


async def _stalls(wanted: Wanted) -> dict[str, Any]:
    async with contextlib.AsyncExitStack() as stack:
        say(f"{STALL_RATE:.0%} of turns with a model that stalls for {STALL_S:g} s …")
        bench = _Bench(wanted.deployments, STALL_RATE)
        callers = await bench.start(stack)
        await callers.grow(wanted.stall_calls, JOIN_S)
        await asyncio.sleep(SETTLES_S)
        await bench.during(callers, wanted.stall_seconds)
        turns = list(callers.turns)
        await _answered(callers, STALL_S + 8)
        told = figures.dead_air(turns, bench.provider.turns)
        say(f"  {json.dumps(told)}")
        return told


async def _answered(callers: Callers, within_s: float = 8.0) -> None:
    """The last turns that began have their answers, or their time is over."""
    begun, until = list(callers.turns), time.monotonic() + within_s
    while time.monotonic() < until and not all(turn.answer_s for turn in begun):
        await asyncio.sleep(0.1)


def _cores() -> tuple[set[int], set[int]]:
    """(ours, the brain's). On a machine of one core both are that one."""
    return set(_CORES[1:] or _CORES), set(_CORES[:1])


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _commit() -> str:
    """The commit; with a plus where the services are not what was committed."""

    def git(*words: str) -> str:
        run = subprocess.run(("git", *words), cwd=REPOSITORY, capture_output=True, text=True, check=False)
        return run.stdout.strip()

    changed = git("status", "--porcelain", "--", "services", "tandem")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def main() -> int:
    """Exit code 0 when it was measured, 2 when it could not be tried."""
    parser = argparse.ArgumentParser(prog="python -m bench.brain", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one line instead of an indented object")
    parser.add_argument("--levels", default=",".join(map(str, LEVELS)), help="conversations (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=MEASURED_S, help="a level (default: %(default)s)")
    parser.add_argument(
        "--stall-seconds", type=float, default=STALLED_FOR_S, help="0: no stalls (default: %(default)s)"
    )
    parser.add_argument(
        "--deployments", type=int, choices=(1, 2), default=2, help="models of the stalling agent (default: %(default)s)"
    )
    parser.add_argument("--script", action="store_true", help="the levels with the script in place of a model")
    told = parser.parse_args()
    try:
        levels = tuple(sorted({int(one) for one in told.levels.split(",") if one}))
    except ValueError:
        parser.error(f"--levels {told.levels}: expected numbers such as 10,50,100")
    try:
        result = uvloop.run(
            measure(Wanted(levels, told.seconds, told.deployments, told.stall_seconds, scripted=told.script))
        )
    except processes.NotReady as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(json.dumps(result, indent=None if told.json else 2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
