"""Where spans go: the embedded store's receiver as a process of its own, or one that is down or frozen."""

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from evals.tools.processes import NotReady, Process

_READY_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Receiver:
    process: Process
    otlp: str
    """URL"""
    query: str
    """URL of Jaeger's query API"""


@contextlib.asynccontextmanager
async def receiver(folder: Path, database: Path) -> AsyncIterator[Receiver]:
    """Raises NotReady."""
    module = [sys.executable, "-m", "services.common.telemetry.receiver", "--address", "127.0.0.1:0"]
    process = Process("receiver", [*module, "--query-address", "127.0.0.1:0", "--database", str(database)], folder)
    process.start()
    try:
        log, until = folder / "receiver.log", time.monotonic() + _READY_WITHIN_S
        while not (said := [line for line in log.read_text().splitlines() if '"listening"' in line]):
            if not process.alive or time.monotonic() > until:
                raise process.fail("does not listen")
            await asyncio.sleep(0.05)
        told = json.loads(said[-1])
        yield Receiver(process, f"http://127.0.0.1:{told['port']}", f"http://127.0.0.1:{told['query_port']}")
    finally:
        await process.stop()


@contextlib.contextmanager
def frozen() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


__all__ = ["NotReady", "Receiver", "frozen", "receiver"]
