"""The same load for a long time: does memory grow?"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.gatewayprocess import Cores
from bench.latency import say
from bench.mediaload import proc
from bench.mediaload.capacity import AGENT
from bench.mediaload.point import ramp
from bench.mediaload.slope import slope
from bench.mediaload.stack import RTP_PORTS, running

SAMPLE_S = 10.0
CALL_S = (30, 90)
"""How long calls last."""
_WARM_SHARE, _WARM_MIN = 0.2, 4.0
_SHORTEST_MIN = 2.0
_SAY_EVERY = 6


def warm_minutes(minutes: float) -> float:
    """How much of a run is left out: buffers fill, the first calls leave, the allocator finds its size. Of a short run
    half, though that is too little."""
    return max(_WARM_SHARE * minutes, min(_WARM_MIN, minutes / 2))


def soak(calls: int, minutes: float, cores: Cores) -> dict[str, Any]:
    """`calls` at once, each 30 to 90 s, for so long. Raises NotStarted, HelperLost, ValueError for too short a run."""
    if minutes < _SHORTEST_MIN:
        raise ValueError(f"{minutes:g} minutes are too short for a slope: give {_SHORTEST_MIN:g} at least")
    at, sizes = [], []
    failures, why = 0, []
    with (
        tempfile.TemporaryDirectory(prefix="bench-media-") as folder,
        running(Path(folder), cores) as stack,
        stack.callers(AGENT) as callers,
    ):
        ramp(callers, calls)
        callers.ask({"churn": CALL_S})
        before, began = stack.far_end.ask({"counts": True}), time.monotonic()
        cpu_s, drops = proc.cpu_s(stack.gateway.pid), proc.udp_drops(*RTP_PORTS)
        number = 0
        while (minute := (time.monotonic() - began) / 60) < minutes:
            number += 1
            time.sleep(max(0.0, began + number * SAMPLE_S - time.monotonic()))
            at.append((time.monotonic() - began) / 60)
            sizes.append(proc.pss_kb(stack.gateway.pid))
            counts = callers.ask({"counts": True})
            failures += counts["failures"]
            why += counts["failed"]
            if number % _SAY_EVERY == 0:
                say(f"  {minute:5.1f} min: {sizes[-1] / 1024:.1f} MiB, {counts['calls']} calls, {counts['ended']} over")
        after = stack.far_end.ask({"counts": True})
        wall = time.monotonic() - began
        cpu_pct = 100 * (proc.cpu_s(stack.gateway.pid) - cpu_s) / wall
        drops = proc.udp_drops(*RTP_PORTS) - drops
    warm = next(index for index, one in enumerate(at) if one >= warm_minutes(minutes))
    grows = slope(at[warm:], sizes[warm:])
    return {
        "verdict": "flat" if grows.flat else "grows",
        "slope_kib_per_min": round(grows.per_minute, 2),
        "spread_kib_per_min": round(grows.spread, 2),
        "growth_pct": round(grows.growth_pct, 3),
        "minutes": round(wall / 60, 1),
        "warm_minutes": round(at[warm], 1),
        "calls": calls,
        "calls_over": counts["ended"],
        "failed": failures,
        "why": why[:10],
        "cpu_pct": round(cpu_pct, 1),
        "bus_frames": after["frames"] - before["frames"],
        "bus_lost": after["lost"] - before["lost"],
        "concealed": after["concealed"] - before["concealed"],
        "gateway_socket_drops": drops,
        "pss_kib": {"first": round(sizes[0]), "warm": round(sizes[warm]), "last": round(sizes[-1])},
        "samples": [[round(minute, 2), round(size)] for minute, size in zip(at, sizes, strict=True)],
    }
