"""`python -m bench.signalling --json`: how many calls a second the gateway sets up on one core, and what one costs.

sipp calls the echo number of a gateway of its own over UDP on loopback: INVITE, 200, ACK, BYE at once, 200. A rate is
held when p95 of INVITE to 200 is at most 50 ms and no call failed and no message came twice. The gateway has a core to
itself; sipp, NATS and this program share another. Progress goes to stderr; stdout gets one JSON object. Numbers hold
for the machine they name: another load on it falsifies them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.gatewayprocess import Cores, GatewayProcess, NotStarted, running_gateway
from bench.latency import EXIT_INTERRUPTED, machine, say
from bench.profiled import profile
from bench.sippcalls import Calls, Sipp, SippMissing, place, sipp
from tandem.percentile import percentile
from tandem.plan import REPOSITORY

MAX_P95_MS = 50.0
MIN_CALLS_PER_S = 75
MAX_CPU_MS = 5.0
MAX_GROWTH_PCT = 5.0
# RFC 3261 §17.2: Timers H and J keep a transaction for 64*T1; then nothing of a call is left.
TIMERS_S = 35.0
_QUIET_S = 45.0
MAX_CALLS = 5000
_EXIT_NOT_TRIED = 2
_TRIES = 3
# Below this share of the rate that was asked for, sipp is what was measured.
_OFFERED = 0.97


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure."""

    rates: tuple[int, ...] = (25, 50, 75, 100, 150, 200, 300, 400)
    step_s: int = 10
    repeats: int = 3
    """Runs at the rate that was held."""
    standing: int = 500
    """Calls at once whose memory is weighed."""
    soak: int = 10_000
    """Calls after which memory must be back; 0 leaves that out."""
    soak_first: int = 1_000
    """After these it is measured first: by then the log of messages is full, which holds the latest 1000 calls."""


QUICK = Plan(rates=(50, 75, 100), step_s=5, repeats=2, standing=100, soak=0)


@dataclass(slots=True)
class Step:
    """Calls at one rate, and what they cost the gateway."""

    calls: Calls
    cpu_s: float
    wall_s: float
    waited_s: float
    """Its main thread had no core, for others had it: more than a few per cent, and the figures are theirs."""

    @property
    def held(self) -> bool:
        return not self.why()

    def why(self) -> str:
        """What kept the rate from being held; empty when it was."""
        calls = self.calls
        if calls.failed or calls.retransmitted:
            return f"{calls.failed} calls failed, {calls.retransmitted} messages came again"
        if calls.p(95) > MAX_P95_MS:
            return f"p95 is above {MAX_P95_MS:.0f} ms"
        if calls.offered_rate < _OFFERED * calls.rate:
            return f"sipp placed {calls.offered_rate:.0f} calls a second only"
        return ""

    def told(self) -> dict[str, Any]:
        calls = self.calls
        return {
            "calls_per_s": calls.rate,
            "calls": calls.placed,
            "p50": _ms(calls.p(50)),
            "p95": _ms(calls.p(95)),
            "max": _ms(calls.p(100)),
            "bye_200_p95": _ms(percentile(calls.bye_200_ms, 95)) if calls.bye_200_ms else None,
            "failed": calls.failed,
            "retransmitted": calls.retransmitted,
            "cpu_ms_per_call": round(1000 * self.cpu_s / max(1, calls.placed), 2),
            "core_pct": round(100 * self.cpu_s / self.wall_s, 1),
            "waited_pct": round(100 * self.waited_s / self.wall_s, 1),
            "held": self.held,
        }


@dataclass(slots=True)
class Standing:
    """Answered calls that nobody speaks in."""

    calls: int
    kib_per_call: float
    core_pct_per_call: float
    failed: int


@dataclass(slots=True)
class Soak:
    """Many calls, one after the other, and what is left of them once the timers have run out."""

    calls: Calls
    cpu_s: float
    first: int
    """Calls after which `rss_first_mb` was measured."""
    rss_first_mb: float
    rss_mb: float

    @property
    def growth_pct(self) -> float:
        return 100 * (self.rss_mb / self.rss_first_mb - 1)


def step(gateway: GatewayProcess, folder: Path, core: int, rate: int, seconds: float) -> Step:
    """One rate, with a warm gateway."""
    before, waited, began = gateway.cpu_s(), gateway.waited_s(), time.monotonic()
    calls = place(folder, gateway.port, core, int(rate * seconds), rate)
    done = Step(calls, gateway.cpu_s() - before, time.monotonic() - began, gateway.waited_s() - waited)
    told = done.told()
    say(
        f"  {rate:>3} calls/s: p50 {told['p50']} ms, p95 {told['p95']} ms, {told['cpu_ms_per_call']} ms of CPU a call, "
        + f"waited {told['waited_pct']} % of the time for its core"
        + ("" if done.held else f"; not held: {done.why()}")
    )
    gateway.until_quiet(_QUIET_S if not done.held else 3)
    return done


def ramp(gateway: GatewayProcess, folder: Path, core: int, plan: Plan) -> list[Step]:
    """Rates from low to high, until one is missed `_TRIES` times: another program may have had the core."""
    steps = []
    for rate in plan.rates:
        for _ in range(_TRIES):
            steps.append(step(gateway, folder, core, rate, plan.step_s))
            if steps[-1].held:
                break
        else:
            break
    return steps


def confirm(gateway: GatewayProcess, folder: Path, core: int, plan: Plan, steps: list[Step]) -> list[Step]:
    """Runs at the highest rate that is held each time; none when not even the lowest is. `steps` gets all of them."""
    held = sorted({one.calls.rate for one in steps if one.held}, reverse=True)
    for rate in held:
        again = [one for one in steps if one.held and one.calls.rate == rate][:1]
        while len(again) < plan.repeats and again[-1].held:
            again.append(step(gateway, folder, core, int(rate), plan.step_s))
            steps.append(again[-1])
        if again[-1].held:
            return again
    return []


def stand(gateway: GatewayProcess, folder: Path, core: int, count: int) -> Standing:
    """Sets up `count` calls, weighs them and lets them go."""
    rate, measured_s = 50, 5.0
    before = gateway.rss_mb()
    hold_s = count / rate + 2 + measured_s + 3
    with Sipp(folder, gateway.port, core, count, rate, int(1000 * hold_s)) as run:
        time.sleep(count / rate + 2)
        cpu_s, began = gateway.cpu_s(), time.monotonic()
        time.sleep(measured_s)
        share = (gateway.cpu_s() - cpu_s) / (time.monotonic() - began)
        grown_mb = gateway.rss_mb() - before
        calls = run.result()
    stood = Standing(count, 1024 * grown_mb / count, 100 * share / count, calls.failed)
    told = f"{stood.kib_per_call:.0f} KiB and {stood.core_pct_per_call:.3f} % of a core a call"
    say(f"  {told}, {stood.failed} calls failed")
    return stood


def soak(gateway: GatewayProcess, folder: Path, core: int, plan: Plan) -> Soak:
    """`plan.soak` calls at the rate to be reached, in a gateway that has had none before."""
    before = gateway.cpu_s()
    calls, rss = Calls(MIN_CALLS_PER_S), []
    for count in (plan.soak_first, plan.soak - plan.soak_first):
        part = place(folder, gateway.port, core, count, MIN_CALLS_PER_S)
        calls.placed += part.placed
        calls.failed += part.failed
        calls.retransmitted += part.retransmitted
        calls.invite_200_ms += part.invite_200_ms
        time.sleep(TIMERS_S)
        rss.append(gateway.rss_mb())
        say(f"  {rss[-1]:.1f} MiB after {calls.placed} calls, {calls.failed} of them failed")
    return Soak(calls, gateway.cpu_s() - before, plan.soak_first, rss[0], rss[1])


def measure(plan: Plan, cores: Cores, folder: Path) -> dict[str, Any]:
    """The JSON object."""
    load_before = os.getloadavg()
    say("starting a gateway …")
    with running_gateway(folder, cores, MAX_CALLS) as gateway:
        gateway.until_quiet(5)
        rss_start_mb = gateway.rss_mb()
        place(folder, gateway.port, cores.others, 100, 25)
        say(f"{plan.standing} calls that stand")
        standing = stand(gateway, folder, cores.others, plan.standing)
        gateway.until_quiet(5)
        say(f"calls a second, {plan.step_s} s each")
        steps = ramp(gateway, folder, cores.others, plan)
        again = confirm(gateway, folder, cores.others, plan, steps)
    soaked = None
    if plan.soak:
        say(f"{plan.soak} calls, {MIN_CALLS_PER_S} a second, in a new gateway; twice {TIMERS_S:.0f} s for timers")
        with running_gateway(folder, cores, MAX_CALLS) as gateway:
            soaked = soak(gateway, folder, cores.others, plan)
    return {
        **result(steps, again, soaked),
        "idle_call": {
            "kib": round(standing.kib_per_call, 1),
            "core_pct": round(standing.core_pct_per_call, 4),
            "calls": standing.calls,
            "failed": standing.failed,
        },
        "rss_start_mb": round(rss_start_mb, 1),
        "by_rate": [one.told() for one in steps],
        "limits": {
            "held": f"p95 of INVITE to 200 <= {MAX_P95_MS:.0f} ms, no call failed, no message came twice",
            "step_s": plan.step_s,
            "hold_ms": 0,
            "media": "none comes in; the gateway sends silence into a port that nobody reads",
            "gateway_cores": 1,
            "shared_core": cores.gateway == cores.others,
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
        },
        "machine": {**machine(), "load_before": round(load_before[0], 2)},
        "versions": {"sipp": _sipp_version(), "commit": _commit()},
    }


def result(steps: Sequence[Step], again: Sequence[Step], soaked: Soak | None) -> dict[str, Any]:
    """The figures that have a target. `cpu_ms_per_call` is the soak's, with its timers; the held rate's without one."""
    pooled = [ms for one in again for ms in one.calls.invite_200_ms]
    told = [one.told() for one in again]
    cpu_ms = [one["cpu_ms_per_call"] for one in told]
    growth = None if soaked is None else round(soaked.growth_pct, 2)
    rate = again[0].calls.rate if again else 0
    cpu = round(percentile(cpu_ms, 50), 2) if cpu_ms else None
    if soaked is not None:
        cpu = round(1000 * soaked.cpu_s / soaked.calls.placed, 2)
    return {
        "calls_per_s": rate,
        "invite_200_ms": {name: _ms(percentile(pooled, p)) if pooled else None for name, p in _PERCENTILES.items()},
        "cpu_ms_per_call": cpu,
        "rss_growth_pct": growth,
        "targets_met": {
            "calls_per_s": rate >= MIN_CALLS_PER_S,
            "cpu_ms_per_call": cpu is not None and cpu <= MAX_CPU_MS,
            "rss_growth_pct": None if growth is None else growth <= MAX_GROWTH_PCT,
        },
        "spread": {
            "runs": len(again),
            "invite_200_p50_ms": _spread([one["p50"] for one in told]),
            "invite_200_p95_ms": _spread([one["p95"] for one in told]),
            "cpu_ms_per_call": _spread(cpu_ms),
        },
        "ramp_exhausted": bool(again) and rate == max(one.calls.rate for one in steps),
        "soak": None
        if soaked is None
        else {
            "calls": soaked.calls.placed,
            "calls_per_s": soaked.calls.rate,
            "failed": soaked.calls.failed,
            "retransmitted": soaked.calls.retransmitted,
            "p50": _ms(soaked.calls.p(50)),
            "p95": _ms(soaked.calls.p(95)),
            f"rss_after_{soaked.first}_mb": round(soaked.rss_first_mb, 1),
            "rss_after_all_mb": round(soaked.rss_mb, 1),
        },
    }


_PERCENTILES = {"p50": 50, "p95": 95, "p99": 99}


def _spread(values: list[float]) -> list[float] | None:
    """The least and the most of the runs."""
    return [min(values), max(values)] if values else None


def _ms(value: float) -> float | None:
    return round(value, 2) if value != float("inf") else None


def _commit() -> str:
    """The commit; with a plus where the tree is not what was committed."""

    def git(*words: str) -> str:
        run = subprocess.run(("git", *words), cwd=REPOSITORY, capture_output=True, text=True, check=False)
        return run.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "services", "tandem")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def _sipp_version() -> str:
    said = subprocess.run((sipp(), "-v"), capture_output=True, text=True, check=False, env={"TERM": "dumb"}).stdout
    return next((word.rstrip(".") for word in said.split() if word.startswith("v3")), "unknown")


def main() -> int:
    """Exit code 0 when the targets are reached, 1 when not, 2 when it could not be tried."""
    parser = argparse.ArgumentParser(prog="python -m bench.signalling", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one line instead of an indented object")
    parser.add_argument("--quick", action="store_true", help="a minute: fewer rates, and no memory after 10,000 calls")
    parser.add_argument("--rates", help="calls a second to try, such as 50,100,200")
    parser.add_argument(
        "--first",
        action="store_true",
        help="gateway and sipp go ahead of other programs (nice -15, wants root): for a machine that is not quiet",
    )
    parser.add_argument("--profile", action="store_true", help="where the time goes, in text, and nothing else")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else Plan()
    if arguments.rates:
        try:
            rates = tuple(sorted({int(rate) for rate in arguments.rates.split(",")}))
        except ValueError:
            parser.error(f"--rates {arguments.rates}: expected numbers such as 50,100")
        if rates[0] < 1:
            parser.error("--rates: expected 1 or more")
        plan = Plan(rates, plan.step_s, plan.repeats, plan.standing, plan.soak, plan.soak_first)
    if not hasattr(os, "sched_setaffinity"):
        say("cores are given out as Linux does it: run it there")
        return _EXIT_NOT_TRIED
    if arguments.first:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -15)
        except PermissionError:
            say("--first wants root")
            return _EXIT_NOT_TRIED
    # As Ctrl-C: the processes end and the folder goes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sipp()
        with tempfile.TemporaryDirectory(prefix="bench-signalling-") as folder:
            if arguments.profile:
                sys.stdout.write("\n".join(profile(Cores.chosen(), Path(folder), TIMERS_S)) + "\n")
                return 0
            told = measure(plan, Cores.chosen(), Path(folder))
    except (SippMissing, NotStarted) as error:
        say(str(error))
        return _EXIT_NOT_TRIED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    sys.stdout.write(json.dumps(told, indent=None if arguments.json else 2) + "\n")
    return 1 if False in told["targets_met"].values() else 0


if __name__ == "__main__":
    sys.exit(main())
