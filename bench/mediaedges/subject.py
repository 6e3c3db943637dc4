"""The process that is measured: one edge with its calls on one core.

Its first line on stdout has the ports. A line on stdin, whatever it is, gets the counts and the CPU time so far (user
and system, all threads). It ends with its stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from bench.mediaedges.edges import Edge, PolledEdge, ReaderEdge, ThreadEdge, Work
from bench.mediaedges.native import NativeEdge

ASYNCIO, UVLOOP, WATCHED, DRAINED, THREAD, NATIVE = "asyncio", "uvloop", "uvloop_epoll", "uvloop_drain", "thread", "c"
EDGES = (ASYNCIO, UVLOOP, WATCHED, DRAINED, THREAD, NATIVE)


def turning(turns: int) -> Work:
    """Python that takes time and the interpreter's lock."""

    def work() -> None:
        for _ in range(turns):
            pass

    return work


def nothing() -> None:
    """No other work."""


def _edge(name: str, count: int, work: Work, native: Path) -> Edge:
    made: dict[str, Callable[[], Edge]] = {
        WATCHED: lambda: PolledEdge(count, work, watched=True),
        DRAINED: lambda: PolledEdge(count, work, watched=False),
        THREAD: lambda: ThreadEdge(count, work),
        NATIVE: lambda: NativeEdge(count, work, native),
    }
    return made.get(name, lambda: ReaderEdge(count, work))()


async def serve(edge: Edge) -> None:
    """Until stdin ends."""
    over = asyncio.Event()

    def asked() -> None:
        if not os.read(0, 65536):
            asyncio.get_running_loop().remove_reader(0)
            over.set()
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        received, sent, sending_s = edge.counts()
        _tell(received=received, sent=sent, sending_s=sending_s, cpu_s=used.ru_utime + used.ru_stime)

    edge.start()
    # As the gateway does once it stands.
    gc.collect()
    gc.freeze()
    asyncio.get_running_loop().add_reader(0, asked)
    _tell(ports=edge.ports)
    await over.wait()


def _tell(**told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.mediaedges.subject")
    parser.add_argument("--edge", choices=EDGES, default=UVLOOP)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--turns", type=int, default=0, help="of work for each frame heard")
    parser.add_argument("--native", type=Path, default=Path(), help="the compiled module")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work = turning(arguments.turns) if arguments.turns else nothing
    edge = _edge(arguments.edge, arguments.calls, work, arguments.native)
    (asyncio.run if arguments.edge == ASYNCIO else uvloop.run)(serve(edge))
    # The thread of an edge waits for nobody.
    os._exit(0)


if __name__ == "__main__":
    main()
