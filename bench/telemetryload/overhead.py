"""What tracing costs: CPU of all five services at a number of calls, with every call traced and with none.

Real gateway, brain, tts and escalation, NATS, the front desk with its script and its booking system; the asr service
with its models replaced (asr.py). The callers' sound comes by RTP from bench.mediaload's generator. A run with tracing
follows one without, again and again, each with processes of its own; the receiver's CPU is told apart.
"""

import asyncio
import contextlib
import re
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench.latency import say
from bench.mediaload.stack import Child, HelperLost, log_events, piped
from bench.telemetryload import collector
from services.common.telemetry.schema.turn_metrics import TURNS
from services.common.telemetry.store import TraceReader
from tandem import settings as stack_settings
from tandem.plan import SETTINGS_FILE
from tandem.processes import cpu_s, on_leash
from tandem.stack import Stack

_TURNS = re.compile(rf"^{TURNS.name}{{.*}} (\S+)$", re.MULTILINE)
RATE = 10.0
"""Calls a second while they begin."""
SETTLES_S = 8.0
_GENERATOR_S = 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """CPU in seconds, over `seconds` of wall clock."""

    traced: bool
    seconds: float
    services_s: float
    by_service: dict[str, float]
    receiver_s: float
    calls: int
    failed: int
    turns: int
    """Of all calls, within `seconds`: the same work was done with and without tracing"""
    spans: int
    """That the store got, of the whole run"""

    def told(self) -> dict[str, Any]:
        return {
            "traced": self.traced,
            "cpu_pct": round(100 * self.services_s / self.seconds, 2),
            "by_service_pct": {
                name: round(100 * used / self.seconds, 2) for name, used in sorted(self.by_service.items())
            },
            "receiver_cpu_pct": round(100 * self.receiver_s / self.seconds, 2),
            "calls": self.calls,
            "failed": self.failed,
            "turns": self.turns,
            "spans": self.spans,
        }


async def run(folder: Path, calls: int, seconds: float, traced: bool) -> Run:
    """One run; its traces stay in `folder`/traces.db. Raises NotReady, HelperLost, what Stack.start raises."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # nothing else runs in this loop yet
    database = folder / "traces.db"
    async with contextlib.AsyncExitStack() as around:
        receiver = await around.enter_async_context(collector.receiver(folder, database))
        given = stack_settings.read(None)
        overrides: dict[str, dict[str, Any]] = {
            "gateway": {"max_messages_per_source_s": 1_000_000, "max_calls": 2 * calls + 10},
            "brain": {"metrics_address": "127.0.0.1:0"},
        }
        asr = (sys.executable, "-m", "bench.telemetryload.asr", "--settings", str(folder / "stack" / SETTINGS_FILE))
        stack = Stack.on_free_ports(
            folder / "stack",
            given,
            overrides,
            otlp_endpoint=receiver.otlp,
            commands={"asr": (*asr, "--end-with-parent")},
        )
        if not traced:
            stack.plan = replace(
                stack.plan,
                programs=tuple(
                    replace(one, environment={**one.environment, "OTEL_EXPORTER_OTLP_ENDPOINT": ""})
                    for one in stack.plan.programs
                ),
            )
        await around.enter_async_context(stack)
        with _generator(stack.sip_address, folder) as callers:
            await asyncio.to_thread(callers.answer, _GENERATOR_S)
            risen = await asyncio.to_thread(callers.ask, {"calls": calls, "rate": RATE}, _GENERATOR_S + calls / RATE)
            await asyncio.sleep(SETTLES_S)
            turns_before = await _turns(stack)
            before, receiver_before = stack.supervisor.cpu_s(), cpu_s(receiver.process.pid)
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(seconds)
            after, took = stack.supervisor.cpu_s(), asyncio.get_running_loop().time() - began
            receiver_s = cpu_s(receiver.process.pid) - receiver_before
            turns = await _turns(stack) - turns_before
            counts = await asyncio.to_thread(callers.ask, {"counts": True})
            await asyncio.to_thread(callers.ask, {"calls": 0, "rate": 50.0}, _GENERATOR_S)
        by_service = {name: after[name] - before.get(name, 0.0) for name in stack_settings.SERVICES}
    return Run(
        traced,
        took,
        sum(by_service.values()),
        by_service,
        receiver_s,
        counts["calls"],
        len(risen["failed"]) + len(counts["failed"]),
        turns,
        _spans(database),
    )


def _generator(gateway: str, folder: Path) -> AbstractContextManager[Child]:
    command = [sys.executable, "-m", "bench.mediaload.generator", "--gateway", gateway, "--called", "front_desk"]
    return piped("the generator", on_leash(command), folder / "generator.log")


async def _turns(stack: Stack) -> int:
    """That the brain has concluded so far, as its metrics say."""
    (served,) = log_events(stack.children["brain"].log, "metrics_served")
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        page = (await client.get(f"http://127.0.0.1:{served['port']}/metrics")).text
    return int(sum(float(one) for one in _TURNS.findall(page)))


def _spans(database: Path) -> int:
    with TraceReader(database) as reader:
        return sum(one.spans for one in reader.recent_calls(limit=100_000))


async def compare(folder: Path, calls: int, seconds: float, pairs: int) -> tuple[list[Run], dict[str, Any]]:
    """All runs, and what they say. Every other pair begins with tracing: what warms up or slows down is nobody's."""
    runs: list[Run] = []
    for pair in range(pairs):
        for traced in ((False, True), (True, False))[pair % 2]:
            say(f"{calls} calls, {'traced' if traced else 'not traced'}, pair {pair + 1} of {pairs} …")
            runs.append(await run(folder / f"run{len(runs)}", calls, seconds, traced))
            say(f"  {runs[-1].told()}")
    return runs, summary(runs)


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """`cpu_overhead_pct` is the median over the pairs of how much more the traced run of each used, of the other's.

    A pair in which calls failed is left out, for less was done in it; where all are such, they are all there is.
    """
    pairs = _pairs(runs)
    whole = [pair for pair in pairs if not any(one.failed for one in pair)]
    overheads = [
        100 * (with_.services_s / with_.seconds / (without.services_s / without.seconds) - 1)
        for with_, without in whole or pairs
    ]
    traced = [one for one in runs if one.traced]
    return {
        "cpu_overhead_pct": round(median(overheads), 2),
        "cpu_overhead_pct_of_pairs": [round(one, 2) for one in sorted(overheads)],
        "pairs_with_failed_calls": len(pairs) - len(whole),
        "cpu_pct_of_a_core": {
            "traced": round(median(100 * one.services_s / one.seconds for one in traced), 1),
            "not_traced": round(median(100 * one.services_s / one.seconds for one in runs if not one.traced), 1),
            "receiver": round(median(100 * one.receiver_s / one.seconds for one in traced), 1),
        },
        "runs": [one.told() for one in runs],
    }


def _pairs(runs: Sequence[Run]) -> list[tuple[Run, Run]]:
    """(traced, not traced)."""
    return [(one, other) if one.traced else (other, one) for one, other in zip(runs[::2], runs[1::2], strict=True)]


__all__ = ["HelperLost", "Run", "compare", "run", "summary"]
