"""One edge with one number of calls, for some seconds."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.gatewayprocess import Cores
from bench.mediaedges.load import Load
from bench.mediaload import proc
from bench.mediaload.point import MAX_LATE_PCT
from bench.mediaload.punctuality import Punctuality
from services.common import lifetime
from tandem.plan import REPOSITORY

_SETTLE_S = 0.5
_BEHIND_MS = 10.0


@dataclass(frozen=True, slots=True)
class Run:
    """CPU is that of the edge's process, system calls counted; µs are of each packet."""

    edge: str
    calls: int
    cpu_pct: float
    hear_us: float
    """All that is not sending: a share of the timers' and the event loop's cost is in it."""
    send_us: float
    frames: Punctuality
    unheard: int
    """Packets of the callers' that the edge never took."""
    waited_pct: float
    """Of the time the process was ready and had no core."""
    behind_ms: float
    lost_here: int

    @property
    def fails(self) -> str:
        """Why the number of calls is too many; empty when it is not."""
        if self.lost_here or self.behind_ms > _BEHIND_MS:
            return f"the callers fell {self.behind_ms:.0f} ms behind and lost {self.lost_here} packets"
        if self.frames.lost or self.unheard:
            return f"{self.frames.lost + self.unheard} packets lost"
        if self.frames.late_pct > MAX_LATE_PCT:
            return f"{self.frames.late_pct:.2f} % late"
        return ""


def run(edge: str, calls: int, seconds: float, cores: Cores, turns: int = 0, native: Path | None = None) -> Run:
    """`turns` of other work a frame; `native` is what native.build gave."""
    command = [sys.executable, "-m", "bench.mediaedges.subject", "--edge", edge, "--calls", str(calls)]
    command += ["--turns", str(turns), "--native", str(native or "")]

    def before() -> None:
        lifetime.end_with_parent()
        os.sched_setaffinity(0, {cores.gateway})
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY, preexec_fn=before
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def counts() -> dict[str, Any]:
            process.stdin.write(b"\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            told: dict[str, Any] = json.loads(process.stdout.readline())  # type: ignore[union-attr]
            return told

        ports = json.loads(process.stdout.readline())["ports"]
        load = Load(ports)
        # A collection of ours would be heard as lateness of theirs.
        gc.collect()
        gc.disable()
        try:
            load.rest()
            load.speak(_SETTLE_S)
            dropped, waited = _drops(ports), proc.waited_s(process.pid)
            before_counts, began = counts(), time.monotonic()
            load.rest()
            frames = load.speak(seconds)
            after, wall = counts(), time.monotonic() - began
            waited = proc.waited_s(process.pid) - waited
            dropped = _drops(ports) - dropped
        finally:
            gc.enable()
            load.close()
            process.stdin.close()
    spent = {name: after[name] - before_counts[name] for name in after}
    return Run(
        edge=edge,
        calls=calls,
        cpu_pct=100 * spent["cpu_s"] / wall,
        hear_us=1e6 * (spent["cpu_s"] - spent["sending_s"]) / max(spent["received"], 1),
        send_us=1e6 * spent["sending_s"] / max(spent["sent"], 1),
        frames=frames,
        unheard=dropped,
        waited_pct=100 * waited / wall,
        behind_ms=load.behind_ms,
        lost_here=load.lost_here,
    )


def _drops(ports: list[int]) -> int:
    """Datagrams that came for these ports and that nobody took in time."""
    wanted = set(ports)
    dropped = 0
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) in wanted:
            dropped += int(fields[-1])
    return dropped
