"""What a collector that is down or frozen does to a turn: a real brain among neighbours without sound (bench.brain).

The brain makes most of a turn's spans. A turn's time is from the transcript to the first text of the answer at tts,
with all that the model's provider takes left out. One brain after another: with a collector, without one, with one that
is down, with one that is frozen; and all over again.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.brainload import figures
from bench.brainload.agent import write_agent
from bench.brainload.callers import Callers
from bench.brainload.provider import Provider
from bench.latency import say
from bench.telemetryload import collector
from evals.tools import processes
from evals.tools.neighbours import Neighbours
from services.common.rpc import free_port
from tandem.percentile import percentile
from tandem.processes import cpu_s

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
JOIN_S, SETTLES_S = 5.0, 5.0
# For the answers to the last questions.
ANSWERED_S = 4.0
KINDS = ("off", "up", "down", "frozen")


async def measure(conversations: int, seconds: float, rounds: int) -> dict[str, Any]:
    """By kind of collector. Raises NotReady."""
    found: dict[str, dict[str, list[float]]] = {kind: {"overhead_ms": [], "cpu_pct": []} for kind in KINDS}
    for number in range(rounds):
        # Each time in another order: a machine that warms up or is busy for a while is nobody's.
        for kind in KINDS[number % 4 :] + KINDS[: number % 4]:
            say(f"{conversations} conversations, collector {kind}, round {number + 1} of {rounds} …")
            turns, cpu_pct = await _one(kind, conversations, seconds)
            found[kind]["overhead_ms"] += turns
            found[kind]["cpu_pct"].append(cpu_pct)
    return {
        kind: {
            "turn_ms": {name: round(percentile(of["overhead_ms"], at), 2) for name, at in (("p50", 50), ("p95", 95))}
            if of["overhead_ms"]
            else None,
            "turns": len(of["overhead_ms"]),
            "brain_cpu_pct": round(percentile(of["cpu_pct"], 50), 1),
        }
        for kind, of in found.items()
    }


async def _one(kind: str, conversations: int, seconds: float) -> tuple[list[float], float]:
    """What the brain took of each turn, ms, and its CPU in per cent of a core."""
    async with contextlib.AsyncExitStack() as around:
        folder = Path(around.enter_context(tempfile.TemporaryDirectory(prefix="tandem-bench-")))
        neighbours, provider = Neighbours(), Provider(0.0)
        nats, nats_url = await processes.nats(folder)
        around.push_async_callback(nats.stop)
        for part in (neighbours, provider):
            await part.start()
            around.push_async_callback(part.stop)
        match kind:
            case "up":
                endpoint = (await around.enter_async_context(collector.receiver(folder, folder / "traces.db"))).otlp
            case "down":
                endpoint = f"http://127.0.0.1:{free_port()}"
            case "frozen":
                endpoint = around.enter_context(collector.frozen())
            case _:
                endpoint = ""
        write_agent(folder / "agents", provider.url, 1)
        brain = processes.Brain(0, folder, nats_url, neighbours.address, folder / "agents", {})
        around.push_async_callback(brain.stop)
        with _environment(endpoint):
            await brain.start()
        callers = Callers(neighbours, brain.channel, provider)
        around.push_async_callback(callers.stop)
        await callers.grow(conversations, JOIN_S)
        await asyncio.sleep(SETTLES_S)
        callers.turns.clear()
        provider.turns.clear()
        before, began = cpu_s(brain.process.pid), asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        used_s, took = cpu_s(brain.process.pid) - before, asyncio.get_running_loop().time() - began
        turns = list(callers.turns)
        await asyncio.sleep(ANSWERED_S)
        level = figures.level(conversations, turns, provider.turns, callers.lost, used_s, took)
        return [*level.overhead_ms, *level.overhead_with_tool_ms], 100 * level.cpu_share


@contextlib.contextmanager
def _environment(endpoint: str) -> Iterator[None]:
    """Of the processes that are started within."""
    before = os.environ.get(ENDPOINT)
    os.environ[ENDPOINT] = endpoint
    try:
        yield
    finally:
        if before is None:
            del os.environ[ENDPOINT]
        else:
            os.environ[ENDPOINT] = before
