"""`python -m bench.media --json`: how many calls one core of gateway holds, and what a call costs.

Callers with recorded speech ring a gateway of their own over SIP and RTP on loopback, G.711 both ways, a packet each
20 ms. Every frame of theirs is published to a NATS server and read there; every frame they hear came from there. A
number of calls is held when at most 0.1 % of the frames are more than 20 ms late and none is lost. The gateway has a
core to itself; NATS, the brain, the far end of the bus and the callers share another. The echo number is measured
alike, without NATS. Progress goes to stderr; stdout gets one JSON object. Numbers hold for the machine they name:
another load on it falsifies them.

`python -m bench.media soak --minutes 30 --calls 100`: does memory grow under constant load?
`python -m bench.media --impair loss=5,jitter=40,reorder=2`: calls over such a network; is their MOS what the E-model
predicts, and is every key heard once?
"""

from __future__ import annotations

import argparse
import json
import os
import pstats
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.gatewayprocess import Cores, NotStarted
from bench.latency import EXIT_INTERRUPTED, machine, say
from bench.mediaload import speech
from bench.mediaload.capacity import AGENT, ECHO, QUICK, Climb, Plan, climb, first_audio, srtp_cost
from bench.mediaload.point import MAX_LATE_PCT, measure
from bench.mediaload.scenario import impaired
from bench.mediaload.soak import soak
from bench.mediaload.stack import HelperLost, running
from tandem.plan import REPOSITORY, nats_server

MIN_CALLS, MIN_ECHO_CALLS = 250, 400
MAX_FIRST_AUDIO_MS = 20.0
MAX_KB_PER_CALL = 512.0
MAX_SRTP_RATIO = 1.15
_EXIT_NOT_TRIED = 2
_DEAREST = 60
_PRIORITY = 10


def measured(plan: Plan, cores: Cores, kinds: tuple[str, ...]) -> dict[str, Any]:
    """The figures, and how they came about. What was not measured is None."""
    climbs: dict[str, Climb] = {}
    for called in kinds:
        say(f"calls to {called}, {plan.seconds:g} s each")
        climbs[called] = climb(called, plan, cores)
    srtp = None
    if len(kinds) > 1:
        say(f"what SRTP costs, {plan.srtp_calls} calls")
        srtp = srtp_cost(plan, cores)
    figures = result(climbs.get(AGENT), climbs.get(ECHO), srtp)
    return {
        **figures,
        "targets_met": targets(figures),
        "limited_by": {called: one.limited_by() for called, one in climbs.items()},
        "levels_exhausted": {called: one.exhausted for called, one in climbs.items()},
        "echo_curve": climbs[ECHO].curve() if ECHO in climbs else [],
        "srtp": srtp,
        "limits": {
            "held": f"<= {MAX_LATE_PCT} % of the frames more than 20 ms late, none lost, no call failed",
            "late": "behind the least delayed packet of the stream, by RTP timestamp; a skipped slot and a slot of "
            "silence in the agent's speech are late frames",
            "seconds": plan.seconds,
            "speech": [one.name for one in (speech.CALLER, speech.AGENT)],
            "codec": "PCMU, 20 ms",
            "gateway_cores": 1,
            "shared_core": cores.gateway == cores.others,
            # With one, the kernel leaves 5 % of the core to other programs: the limit is reached that much earlier.
            "real_time_priority": os.sched_getparam(0).sched_priority,
        },
    }


def result(agent: Climb | None, echo: Climb | None, srtp: dict[str, Any] | None) -> dict[str, Any]:
    """The figures that have a target, and the curve; `late_frames_pct` and `lost_frames` at `calls_per_core`."""
    best = agent.best if agent else None
    kb = agent.kb_per_call() if agent else None
    return {
        "calls_per_core": agent.held if agent else None,
        "echo_calls_per_core": echo.held if echo else None,
        "late_frames_pct": round(best.frames.late_pct, 4) if best else None,
        "lost_frames": best.lost_frames if best else None,
        "first_audio_ms": first_audio([one for one in agent.points if one.held] if agent else []),
        "rss_kb_per_call": round(kb, 1) if kb is not None else None,
        "srtp_cost_ratio": srtp[AGENT]["ratio"] if srtp else None,
        "curve": agent.curve() if agent else [],
    }


def targets(figures: dict[str, Any]) -> dict[str, bool | None]:
    """None for what was not measured."""

    def met(value: float | None, least: float | None = None, most: float | None = None) -> bool | None:
        if value is None:
            return None
        return (least is None or value >= least) and (most is None or value <= most)

    return {
        "calls_per_core": met(figures["calls_per_core"], least=MIN_CALLS),
        "echo_calls_per_core": met(figures["echo_calls_per_core"], least=MIN_ECHO_CALLS),
        "first_audio_ms": met(figures["first_audio_ms"]["p95"], most=MAX_FIRST_AUDIO_MS),
        "rss_kb_per_call": met(figures["rss_kb_per_call"], most=MAX_KB_PER_CALL),
        "srtp_cost_ratio": met(figures["srtp_cost_ratio"], most=MAX_SRTP_RATIO),
    }


def profiled(called: str, calls: int, seconds: float, cores: Cores) -> list[str]:
    """Lines: the gateway's dearest functions by own time while `calls` stand. cProfile doubles the times and more."""
    with tempfile.TemporaryDirectory(prefix="bench-media-") as folder:
        file = Path(folder) / "gateway.prof"
        with running(Path(folder), cores, profile=file) as stack, stack.callers(called) as callers:
            point = measure(stack, callers, calls, seconds, agent=called == AGENT)
        stats = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
    lines = [
        f"{called}: {calls} calls, {point.cpu_pct:.0f} % of the core under cProfile; since the start of the gateway:",
        "times, own ms, ms with what it calls, function",
    ]
    dearest = sorted(stats.items(), key=lambda entry: -entry[1][2])[:_DEAREST]
    for (path, line, name), (_, count, own_s, whole_s, _) in dearest:
        where = path.replace(f"{REPOSITORY}/", "").rpartition("site-packages/")[2]
        lines.append(f"{count:>9} {1000 * own_s:>9.1f} {1000 * whole_s:>9.1f}  {where}:{line} {name}")
    return lines


def _commit() -> str:
    """The commit; with a plus where the tree is not what was committed."""

    def git(*words: str) -> str:
        run = subprocess.run(("git", *words), cwd=REPOSITORY, capture_output=True, text=True, check=False)
        return run.stdout.strip()

    changed = git("status", "--porcelain", "--", "services", "tandem")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def _nats_version() -> str:
    said = subprocess.run((str(nats_server()), "--version"), capture_output=True, text=True, check=False).stdout
    return said.strip().rpartition(" ")[2] or "unknown"


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(sorted({int(one) for one in text.split(",")}))
    if numbers[0] < 1:
        raise ValueError
    return numbers


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.media", description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=("measure", "soak"), default="measure")
    parser.add_argument("--json", action="store_true", help="one line instead of an indented object")
    parser.add_argument("--quick", action="store_true", help="three levels each, and short: two to three minutes")
    parser.add_argument("--agent-only", action="store_true", help="no echo number, and no SRTP")
    parser.add_argument("--echo-only", action="store_true", help="the echo number only, and no SRTP")
    parser.add_argument("--calls", type=_numbers, help="numbers of calls to try: 10,50,100; soak takes the first")
    parser.add_argument("--seconds", type=float, help="of each measurement")
    parser.add_argument("--minutes", type=float, default=30.0, help="of soak (default: %(default)s)")
    parser.add_argument("--impair", metavar="NETWORK", help="one run over: loss=5,jitter=40,reorder=2 (per cent, ms)")
    parser.add_argument(
        "--first",
        action="store_true",
        help="the bench goes ahead of other programs (SCHED_RR, wants root): for a machine that is not quiet",
    )
    parser.add_argument("--profile", action="store_true", help="where the time goes, in text, and nothing else")
    arguments = parser.parse_args()
    if arguments.agent_only and arguments.echo_only:
        parser.error("--agent-only and --echo-only: one of them")
    if arguments.seconds is not None and arguments.seconds < 1:
        parser.error("--seconds: expected 1 or more")
    return arguments


def _run(arguments: argparse.Namespace, cores: Cores) -> dict[str, Any] | list[str]:
    first = arguments.calls[0] if arguments.calls else None
    if arguments.what == "soak":
        say(f"{first or 100} calls for {arguments.minutes:g} minutes")
        return soak(first or 100, arguments.minutes, cores)
    if arguments.impair is not None:
        return impaired(arguments.impair, first or 10, arguments.seconds or 30.0, cores)
    kinds = (AGENT,) if arguments.agent_only else (ECHO,) if arguments.echo_only else (AGENT, ECHO)
    if arguments.profile:
        return profiled(kinds[0], first or 50, arguments.seconds or 10.0, cores)
    plan = QUICK if arguments.quick else Plan()
    if arguments.seconds is not None:
        plan = replace(plan, seconds=arguments.seconds)
    if arguments.calls:
        plan = replace(plan, agent_levels=arguments.calls, echo_levels=arguments.calls)
    return measured(plan, cores, kinds)


def main() -> int:
    """Exit code 0 when the targets are reached, 1 when not, 2 when it could not be tried."""
    arguments = _arguments()
    if not hasattr(os, "sched_setaffinity"):
        say("cores are given out as Linux does it: run it there")
        return _EXIT_NOT_TRIED
    if arguments.first:
        try:
            # A nice value would not do: a program that computes keeps its core for some ms all the same.
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_PRIORITY))
        except PermissionError:
            say("--first wants root")
            return _EXIT_NOT_TRIED
    # As Ctrl-C: the processes end and the folder goes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cores, load = Cores.chosen(), os.getloadavg()[0]
    about = {
        "machine": {**machine(), "load_before": round(load, 2)},
        "versions": {"commit": _commit(), "nats": _nats_version()},
    }
    # What this process works out must not take the gateway's core.
    os.sched_setaffinity(0, {cores.others})
    began = time.monotonic()
    try:
        told = _run(arguments, cores)
    except ValueError as error:
        say(str(error))
        return _EXIT_NOT_TRIED
    except (HelperLost, NotStarted) as error:
        say(str(error))
        return _EXIT_NOT_TRIED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    if isinstance(told, list):
        sys.stdout.write("\n".join(told) + "\n")
        return 0
    about["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    told |= {**about, "took_s": round(time.monotonic() - began)}
    sys.stdout.write(json.dumps(told, indent=None if arguments.json else 2) + "\n")
    return 1 if False in told.get("targets_met", {}).values() or told.get("verdict") == "grows" else 0


if __name__ == "__main__":
    sys.exit(main())
