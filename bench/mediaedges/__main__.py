"""`python -m bench.mediaedges --json`: which media edge is worth having.

The same small echo (receive a packet of G.711, parse, latch, decode, keep; each 20 ms encode, pack, send) on six edges
in a process with a core to itself: a reader a socket on asyncio's event loop and on uvloop's; one epoll of all sockets
that uvloop watches; the same emptied each 5 ms; a thread with epoll; a C file by cffi, each 5 ms. Callers with kernel
time stamps share the other core with everything else. Measured are CPU a packet and lateness at fixed numbers of calls,
and the most calls with at most 0.1 % of the frames more than 20 ms late and none lost: alone, and beside other Python
that takes `--beside` µs of a call in 20 ms, as the rest of a gateway does. Edges take turns, so that all meet the same
load; medians of the runs, the least and the most. Progress goes to stderr. Numbers hold for the machine they name.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.gatewayprocess import Cores
from bench.latency import EXIT_INTERRUPTED, machine, say
from bench.mediaedges.load import MOST_CALLS
from bench.mediaedges.native import NotBuilt, build
from bench.mediaedges.run import Run, run
from bench.mediaedges.subject import EDGES, NATIVE, turning
from bench.mediaload.search import Search

LEVELS = (100, 300, 600)
_ALONE = (200, 400, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000, 2250, MOST_CALLS)
_BESIDE = tuple(range(100, 801, 50))
_PRIORITY = 10
_EXIT_NOT_TRIED = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure."""

    edges: tuple[str, ...]
    levels: tuple[int, ...]
    seconds: float
    runs: int
    beside_us: float
    search: bool
    native: Path | None


def turns_of(us: float) -> int:
    """How many turns of subject.turning take so long here."""
    work, best = turning(200_000), float("inf")
    for _ in range(5):
        began = time.thread_time()
        work()
        best = min(best, time.thread_time() - began)
    return round(us * 200_000 / (best * 1e6))


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, least and most."""
    every = list(values)
    return {"median": round(statistics.median(every), 2), "min": round(min(every), 2), "max": round(max(every), 2)}


def told(runs: list[Run]) -> dict[str, Any]:
    """Runs of one edge with one number of calls."""
    return {
        "calls": runs[0].calls,
        "hear_us": spread(one.hear_us for one in runs),
        "send_us": spread(one.send_us for one in runs),
        "both_us": spread(one.hear_us + one.send_us for one in runs),
        "cpu_pct": spread(one.cpu_pct for one in runs),
        "late_ms": {
            "p99": spread(one.frames.p99_ms for one in runs),
            "max": spread(one.frames.worst_ms for one in runs),
        },
        "late_frames_pct": spread(one.frames.late_pct for one in runs),
        "waited_pct": spread(one.waited_pct for one in runs),
    }


def at_levels(plan: Plan, cores: Cores, turns: int) -> dict[str, list[dict[str, Any]]]:
    """By edge, for each of the levels."""
    found: dict[tuple[str, int], list[Run]] = {}
    for number in range(plan.runs):
        for calls in plan.levels:
            for edge in plan.edges:
                one = run(edge, calls, plan.seconds, cores, turns, plan.native)
                found.setdefault((edge, calls), []).append(one)
                say(f"run {number + 1} of {plan.runs}: {_line(one)}")
    return {edge: [told(found[edge, calls]) for calls in plan.levels] for edge in plan.edges}


def held(edge: str, plan: Plan, cores: Cores, turns: int) -> dict[str, Any]:
    """The most calls that hold, and why not more."""
    search = Search(_BESIDE if turns else _ALONE, 25 if turns else 100)
    missed, cpu_pct = "", None
    while (calls := search.next()) is not None:
        one = run(edge, calls, plan.seconds, cores, turns, plan.native)
        fails = one.fails or ("the core is full" if one.cpu_pct >= 97 else "")
        say(f"  {_line(one)}" + (f"; not held: {fails}" if fails else ""))
        search.tried(calls, not fails)
        missed = fails or missed
        if not fails:
            cpu_pct = round(one.cpu_pct, 1)
    return {"calls": search.held, "cpu_pct": cpu_pct, "limit": missed or "levels"}


def measured(plan: Plan, cores: Cores) -> dict[str, Any]:
    """All of it."""
    turns = turns_of(plan.beside_us)
    points = at_levels(plan, cores, 0)
    figures: dict[str, Any] = {edge: {"points": points[edge]} for edge in plan.edges}
    if plan.search:
        for beside in (turns, 0):
            say(f"most calls beside {plan.beside_us:g} µs of Python a frame" if beside else "most calls")
            for edge in plan.edges:
                figures[edge]["held_beside" if beside else "held"] = held(edge, plan, cores, beside)
    return figures


def _line(one: Run) -> str:
    line = f"{one.edge} {one.calls} calls: {one.cpu_pct:.1f} % of the core, {one.hear_us:.2f} µs in, "
    line += f"{one.send_us:.2f} µs out, late p99 {one.frames.p99_ms} ms, max {one.frames.worst_ms} ms"
    return line + f"; waited {one.waited_pct:.1f} %, callers {one.behind_ms:.1f} ms behind"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.mediaedges", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one line instead of an indented object")
    parser.add_argument("--calls", default=",".join(map(str, LEVELS)), help="default: %(default)s")
    parser.add_argument("--edges", default=",".join(EDGES), help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--beside", type=float, default=40.0, help="µs a frame of other Python (default: %(default)s)")
    parser.add_argument("--no-search", action="store_true", help="not the most calls, only the fixed numbers")
    parser.add_argument("--first", action="store_true", help="ahead of other programs (SCHED_RR, wants root)")
    return parser.parse_args()


def main() -> int:
    """Exit code 0; 2 when it could not be tried."""
    arguments = _arguments()
    if not hasattr(os, "sched_setaffinity"):
        say("cores are given out as Linux does it: run it there")
        return _EXIT_NOT_TRIED
    edges = tuple(arguments.edges.split(","))
    levels = tuple(int(one) for one in arguments.calls.split(","))
    if not set(edges) <= set(EDGES) or not 0 < min(levels) <= max(levels) <= MOST_CALLS:
        say(f"--edges: of {', '.join(EDGES)}; --calls: 1 to {MOST_CALLS}")
        return _EXIT_NOT_TRIED
    cores, about = Cores.chosen(), machine()
    if arguments.first:
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_PRIORITY))
        except PermissionError:
            say("--first wants root")
            return _EXIT_NOT_TRIED
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.sched_setaffinity(0, {cores.others})
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-mediaedges-") as folder:
        native, why = None, ""
        if NATIVE in edges:
            try:
                native = build(Path(folder))
            except NotBuilt as error:
                why = f"skipped: {error}"
                say(f"{NATIVE}: {why}")
                edges = tuple(one for one in edges if one != NATIVE)
        plan = Plan(edges, levels, arguments.seconds, arguments.runs, arguments.beside, not arguments.no_search, native)
        try:
            figures = measured(plan, cores)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
    result = {
        "edges": figures | ({NATIVE: why} if why else {}),
        "seconds": plan.seconds,
        "runs": plan.runs,
        "beside_us": plan.beside_us,
        "real_time_priority": os.sched_getparam(0).sched_priority,
        "shared_core": cores.gateway == cores.others,
        "machine": about,
        "took_s": round(time.monotonic() - began),
    }
    sys.stdout.write(json.dumps(result, indent=None if arguments.json else 2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
