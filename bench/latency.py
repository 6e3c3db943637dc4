"""`python -m bench.latency --json`: what the caller's ear waits for, and its parts, for 1, 2, 4 … calls at a time.

Rings a stack of its own over real SIP and RTP. The first caller of a round books an appointment and, in the next round,
cancels it; those beside it ask for the opening hours, for two callers can't have the same appointment. Progress goes to
stderr; stdout gets one JSON object. Numbers hold for the machine they name: another load on it falsifies them.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tandem import callreport, modelcheck, refusal
from tandem import settings as stack_settings
from tandem.caller import CallerFailed, Ring, ring
from tandem.callreport import ReportTurn
from tandem.interrupt import Interrupted, stop_event, unless
from tandem.journal import journal_of
from tandem.percentile import percentile
from tandem.plan import REPOSITORY
from tandem.stack import Stack

SCRIPTS = REPOSITORY / "evals" / "scripts"
EXIT_INTERRUPTED = 130


@dataclass(slots=True)
class Level:
    """What was measured at one number of calls at a time."""

    calls: int
    turns: list[ReportTurn] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    """CPU time of the five services."""
    call_s: float = 0.0
    """Length of all calls together."""


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


async def measure(stack: Stack, counts: list[int], repeat: int) -> list[Level]:
    """`repeat` rounds at each number of calls at a time, two rounds each (book, cancel)."""
    levels = []
    for count in counts:
        level = Level(count)
        levels.append(level)
        for number in range(2 * repeat):
            first = "book" if number % 2 == 0 else "cancel"
            scripts = [first, *["hours"] * (count - 1)]
            say(f"{count} call{'s' if count > 1 else ''} at a time, round {number + 1} of {2 * repeat}: {first}")
            calls = [_one(stack, script, index) for index, script in enumerate(scripts)]
            used = stack.services_cpu_s()
            for turns, why, length_s in await asyncio.gather(*calls):
                level.turns += turns
                level.failed += [why] if why else []
                level.call_s += length_s
            level.cpu_s += stack.services_cpu_s() - used
        measured = callreport.latencies(level.turns)
        say(f"  p50 {measured['p50']} ms, p95 {measured['p95']} ms, {len(level.failed)} calls failed")
    return levels


async def _one(stack: Stack, script: str, index: int) -> tuple[list[ReportTurn], str, float]:
    # People don't ring in the same millisecond.
    await asyncio.sleep(0.37 * index)
    began = asyncio.get_running_loop().time()
    call = Ring(f"sip:front_desk@{stack.sip_address}", SCRIPTS / f"{script}.yaml", number=f"+1555010{index:02}")
    try:
        caller = await ring(call, quiet=True)
    except CallerFailed as error:
        return [], str(error), 0.0
    journal = await journal_of(stack.nats_url, caller["sip"]["call_id"])
    why = "" if caller["outcome"] == "completed" else f"{script}: {caller['why']}"
    return callreport.join(caller, journal), why, asyncio.get_running_loop().time() - began


def result(levels: list[Level], ready_s: float, rss_mb: dict[str, float]) -> dict[str, Any]:
    """The JSON object. `ear_latency_ms` and `parts_ms` are for the fewest calls at a time; `unexplained_ms` for all."""
    alone = levels[0].turns
    everything = [turn for level in levels for turn in level.turns]
    return {
        "ear_latency_ms": callreport.latencies(alone),
        "parts_ms": _parts(alone),
        "unexplained_ms": {"max": callreport.worst_unexplained_ms(everything)},
        "by_concurrency": [
            {
                "calls": level.calls,
                **callreport.latencies(level.turns),
                "turns": len([turn for turn in level.turns if turn.ear_latency_ms is not None]),
                "unexplained_max_ms": callreport.worst_unexplained_ms(level.turns),
                "cores_a_call": round(level.cpu_s / level.call_s, 3) if level.call_s else None,
                "failed": level.failed,
            }
            for level in levels
        ],
        "speculation": callreport.speculation(everything),
        "calls_per_core_p95_1500": _calls_a_core(levels),
        "machine": machine(),
        "ready_s": round(ready_s, 2),
        "rss_mb": {**{name: round(size, 1) for name, size in rss_mb.items()}, "services": _services(rss_mb)},
    }


def _calls_a_core(levels: list[Level]) -> float | None:
    """The most calls at a time that were held, p95 at most 1.5 s and none failed, by the cores of the machine."""
    held = [one.calls for one in levels if not one.failed and (callreport.latencies(one.turns)["p95"] or 1e9) <= 1500]
    return max(held) / machine()["cores"] if held else None


def _parts(turns: list[ReportTurn]) -> dict[str, float]:
    """Median of each part over the turns that have it."""
    names = sorted({name for turn in turns for name in turn.parts_ms})
    return {name: percentile([t.parts_ms[name] for t in turns if name in t.parts_ms], 50) for name in names}


def _services(rss_mb: dict[str, float]) -> float:
    return round(sum(size for name, size in rss_mb.items() if name in stack_settings.SERVICES), 1)


def machine() -> dict[str, Any]:
    """What the numbers hold for."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


async def _run(stack: Stack, counts: list[int], repeat: int) -> dict[str, Any] | None:
    stop = stop_event()
    try:
        say("starting …")
        await unless(stop, stack.start())
        levels = await unless(stop, measure(stack, counts, repeat))
        return result(levels, stack.ready_s or 0.0, stack.resident_mb())
    except Interrupted:
        return None
    finally:
        await stack.stop()


def main() -> int:
    """Exit code 0 when every call went through its script, 1 when not, 2 when it could not be tried."""
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one line instead of an indented object")
    parser.add_argument("--calls", default="1,2,4,8", help="numbers of calls at a time (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=2, help="rounds of book and cancel (default: %(default)s)")
    parser.add_argument("--settings", type=Path, help="settings file of the stack")
    arguments = parser.parse_args()
    try:
        counts = sorted({int(count) for count in arguments.calls.split(",")})
    except ValueError:
        parser.error(f"--calls {arguments.calls}: expected numbers such as 1,2,4")
    if not counts or counts[0] < 1 or arguments.repeat < 1:
        parser.error("--calls and --repeat: expected 1 or more")
    from rich.console import Console

    try:
        given = stack_settings.read(arguments.settings)
        modelcheck.provide(given, True, Console(stderr=True))
        told = asyncio.run(_run(Stack.on_free_ports(given=given, say=say), counts, arguments.repeat))
    except refusal.ENDS as error:
        code, lines = refusal.explain(error)
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        return code
    if told is None:
        return EXIT_INTERRUPTED
    sys.stdout.write(json.dumps(told, indent=None if arguments.json else 2) + "\n")
    return 1 if any(level["failed"] for level in told["by_concurrency"]) else 0


if __name__ == "__main__":
    sys.exit(main())
