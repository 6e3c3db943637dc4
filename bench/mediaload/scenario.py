"""Calls over a bad network, and what the gateway says of their quality."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench.gatewayprocess import Cores
from bench.latency import say
from bench.mediaload.capacity import AGENT, ECHO
from bench.mediaload.point import measure
from bench.mediaload.prediction import MOS_TOLERANCE, predict
from bench.mediaload.stack import Child, Stack, running
from evals.caller.impairment import Network
from services.gateway.reorder import WAIT_TICKS

_ABOUT_LOGS = {"event", "service", "level", "timestamp", "by_caller", "detail", "reason"}
_LOGGED_S = 2.0
_NEXT_LOOK_MS = 20.0 / 3
"""A wait is over with the tick or the packet that comes next: of two things each 20 ms, the first."""
_PRESSED = 3 * "1123455678900*#"
"""Digits that come twice: one that is doubled or dropped shows."""


def impaired(network: str, calls: int, seconds: float, cores: Cores) -> dict[str, Any]:
    """`calls` to the agent and as many to the echo number, one kind after the other; only what the callers send is
    impaired. Raises ValueError for a `network` that cannot be, NotStarted, HelperLost.

    `targets_met`: the MOS is what the E-model predicts, and no key was lost or doubled (None where bursts may take
    keys whole).
    """
    line = Network.parse(network)
    told: dict[str, Any] = {"network": network, "seconds": seconds, "targets_met": {}}
    met = told["targets_met"]
    for called in (AGENT, ECHO):
        with tempfile.TemporaryDirectory(prefix="bench-media-") as folder, running(Path(folder), cores) as stack:
            with stack.callers(called, impair=network) as callers:
                point = measure(stack, callers, calls, seconds, agent=called == AGENT)
                keys = digits(stack, callers) if called == AGENT else None
                done = callers.ask({"counts": True})["impaired"]
                callers.ask({"calls": 0}, 60)
            say(f"  {called}: {done['lost']} of {done['packets']} packets lost, {done['reordered']} reordered")
            # The echo gives back what comes; the agent's recogniser waits for what was overtaken, and not for long.
            wait_ms = None if called == ECHO else WAIT_TICKS * 20.0 + _NEXT_LOOK_MS
            predicted = predict(line, wait_ms, 100 * done["lost"] / max(done["packets"], 1))
            found = quality(stack, calls)
            met[f"mos_{called}"] = mos_as_predicted(found, predicted.mos)
            if keys is not None:
                met["keys"] = None if line.burst else keys["calls_right"] == calls and not keys["heard_instead"]
            told[called] = {
                "calls": point.calls,
                "network_did": done,
                "gateway_sends": {"late_frames_pct": round(point.frames.late_pct, 3), "rtp_lost": point.lost["rtp"]},
                "concealed_frames": point.lost.get("concealed"),
                "bus_lost": point.lost.get("bus"),
                "keys": keys,
                "predicted_mos": predicted.mos,
                "predicted": asdict(predicted),
                "quality": found,
            }
    return told


def mos_as_predicted(quality: dict[str, Any], predicted: float) -> bool:
    """Of the call in the middle: at the edges are those that had more or less luck than the network stands for."""
    return "mos" in quality and abs(float(quality["mos"]["median"]) - predicted) <= MOS_TOLERANCE


def digits(stack: Stack, callers: Child) -> dict[str, Any]:
    """Every call presses the same keys; what the brain heard otherwise."""
    pressed = callers.ask({"press": _PRESSED}, 60)["pressed"]
    heard = Counter(stack.brain.ask({"counts": True})["keys"])
    right = heard.pop(_PRESSED, 0)
    return {"pressed": f"{_PRESSED} in {pressed} calls", "calls_right": right, "heard_instead": dict(heard)}


def quality(stack: Stack, calls: int) -> dict[str, Any]:
    """Numbers that the gateway logs with `call_ended`, such as MOS: for each the least, the middle and the most of the
    calls; empty where it logs none."""
    deadline = time.monotonic() + _LOGGED_S
    while len(ends := stack.call_ends()) < calls and time.monotonic() < deadline:
        time.sleep(0.1)
    values: dict[str, list[float]] = {}
    for end in ends:
        for name, value in end.items():
            if name not in _ABOUT_LOGS and isinstance(value, int | float) and not isinstance(value, bool):
                values.setdefault(name, []).append(float(value))
    return {
        name: {"min": min(found), "median": float(np.median(found)), "max": max(found), "calls": len(found)}
        for name, found in values.items()
    }
