"""Where the time of a call goes in the gateway, by cProfile."""

from __future__ import annotations

import pstats
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.gatewayprocess import Cores, running_gateway
from bench.sippcalls import place
from tandem.plan import REPOSITORY


def profile(cores: Cores, folder: Path, timers_s: float, calls: int = 1000, rate: int = 50) -> list[str]:
    """Lines: own time by module, then the dearest functions. cProfile doubles the times and more.

    `timers_s`: how long transactions live on after the calls.
    """
    few, many = (_profiled(cores, folder, count, rate, timers_s) for count in (20, calls + 20))
    functions: dict[str, tuple[float, float, float]] = {}
    modules: dict[str, float] = defaultdict(float)
    for key, (count, own_s, whole_s) in many.items():
        began = few.get(key, (0, 0.0, 0.0))
        path, line, name = key
        if name == "_run" and path.endswith("service.py"):
            continue  # the event loop, waiting
        own_us = 1e6 * (own_s - began[1]) / calls
        modules[_module(path)] += own_us
        at = f"{_module(path)}:{line} {name}"
        functions[at] = (count - began[0]) / calls, own_us, 1e6 * (whole_s - began[2]) / calls
    lines = [f"{sum(modules.values()):.0f} µs a call under cProfile, in Python and what it calls; own time by module:"]
    lines += [f"  {own_us:8.1f}  {module}" for module, own_us in sorted(modules.items(), key=lambda e: -e[1])[:40]]
    lines.append("functions: times a call, own µs, µs with what they call")
    dearest = sorted(functions.items(), key=lambda entry: -entry[1][2])[:90]
    lines += [f"  {count:7.1f} {own:8.1f} {whole:9.1f}  {at}" for at, (count, own, whole) in dearest]
    return lines


def _profiled(
    cores: Cores, folder: Path, calls: int, rate: int, timers_s: float
) -> dict[Any, tuple[int, float, float]]:
    """By function: how often, own time and with what it calls, in seconds. The start is in it: to be taken off."""
    file = folder / f"{calls}.prof"
    with running_gateway(folder, cores, calls, file) as gateway:
        gateway.until_quiet(5)
        place(folder, gateway.port, cores.others, calls, rate)
        time.sleep(timers_s)
    stats = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
    return {key: (count, own_s, whole_s) for key, (_, count, own_s, whole_s, _) in stats.items()}


def _module(path: str) -> str:
    for root in (f"{REPOSITORY}/", "/site-packages/", f"/python{sys.version_info[0]}.{sys.version_info[1]}/"):
        if root in path:
            return path.partition(root)[2]
    return path
