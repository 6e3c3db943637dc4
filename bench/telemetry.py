"""`python -m bench.telemetry --json`: what tracing costs, how fast the embedded store answers, and what an outage does.

Three parts, one after the other: CPU of all services at 50 calls with every call traced against none (overhead.py);
10,000 calls in the embedded store, asked for by id over Jaeger's API (query.py); a brain's turns with a collector that
is down or frozen (outage.py). Progress goes to stderr; stdout gets one JSON object. Numbers hold for the machine that
they name: another load on it falsifies them.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.latency import machine, say
from bench.mediaload.stack import HelperLost
from bench.telemetryload import outage, overhead, query
from evals.tools.processes import NotReady
from tandem import refusal
from tandem.plan import REPOSITORY

PARTS = ("overhead", "query", "outage")
LIMITS = {"cpu_overhead_pct": 3.0, "trace_query_p95_ms": 50.0, "calls_stored": 10_000}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured; seconds of each run."""

    calls: int = 50
    seconds: float = 45.0
    pairs: int = 5
    stored: int = 10_000
    queries: int = 1000
    conversations: int = 20
    outage_seconds: float = 30.0
    outage_rounds: int = 2


QUICK = Plan(
    calls=10, seconds=12.0, pairs=1, stored=500, queries=100, conversations=5, outage_seconds=10.0, outage_rounds=1
)


async def measure(plan: Plan, parts: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """The JSON object; a part that is left out has no keys. Raises what the parts raise."""
    told: dict[str, Any] = {}
    runs: list[overhead.Run] = []
    if "overhead" in parts:
        runs, told["overhead"] = await overhead.compare(folder, plan.calls, plan.seconds, plan.pairs)
        told["cpu_overhead_pct"] = told["overhead"].pop("cpu_overhead_pct")
        told["calls"] = plan.calls
    if "query" in parts:
        if not runs:
            say("a call to copy …")
            runs = [await overhead.run(folder / "run0", 2, 20.0, traced=True)]
        traced = next(number for number, one in enumerate(runs) if one.traced)
        found = await query.measure(folder, folder / f"run{traced}" / "traces.db", plan.stored, plan.queries)
        for key in ("calls_stored", "trace_query_ms"):
            told[key] = found.pop(key)
        told["store"] = found
    if "outage" in parts:
        told["outage"] = await outage.measure(plan.conversations, plan.outage_seconds, plan.outage_rounds)
        told["outage"]["conversations"] = plan.conversations
    met = {}
    if "cpu_overhead_pct" in told:
        met["cpu_overhead_pct"] = told["cpu_overhead_pct"] <= LIMITS["cpu_overhead_pct"]
    if "trace_query_ms" in told:
        met["trace_query_p95_ms"] = told["trace_query_ms"]["p95"] <= LIMITS["trace_query_p95_ms"]
        met["calls_stored"] = told["calls_stored"] >= LIMITS["calls_stored"]
    return {**told, "limits": LIMITS, "targets_met": met, "machine": machine(), "versions": {"commit": _commit()}}


def _commit() -> str:
    run = subprocess.run(
        ("git", "rev-parse", "--short", "HEAD"), cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return run.stdout.strip()


def main() -> int:
    """Exit code 0 when it was measured, 2 when it could not be tried."""
    default = Plan()
    parser = argparse.ArgumentParser(prog="python -m bench.telemetry", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one line instead of an indented object")
    parser.add_argument(
        "--quick", action="store_true", help="some three minutes: does it run, and about how much is it"
    )
    parser.add_argument("--only", choices=PARTS, help="one of the three parts")
    parser.add_argument("--calls", type=int, help=f"at a time (default: {default.calls})")
    parser.add_argument("--seconds", type=float, help=f"of each run (default: {default.seconds:g})")
    parser.add_argument("--pairs", type=int, help=f"of runs with and without tracing (default: {default.pairs})")
    told = parser.parse_args()
    plan = QUICK if told.quick else default
    plan = Plan(
        told.calls or plan.calls,
        told.seconds or plan.seconds,
        told.pairs or plan.pairs,
        plan.stored,
        plan.queries,
        plan.conversations,
        plan.outage_seconds,
        plan.outage_rounds,
    )
    try:
        with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
            result = asyncio.run(measure(plan, (told.only,) if told.only else PARTS, Path(folder)))
    except (NotReady, HelperLost) as error:
        say(str(error))
        return 2
    except refusal.ENDS as error:
        code, lines = refusal.explain(error)
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        return code
    except KeyboardInterrupt:
        return 130
    sys.stdout.write(json.dumps(result, indent=None if told.json else 2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
