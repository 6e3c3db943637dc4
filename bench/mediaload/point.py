"""One number of calls: how punctual their frames were, and what they cost."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.mediaload import proc
from bench.mediaload.punctuality import Punctuality, judge
from bench.mediaload.speech import FRAMES
from bench.mediaload.stack import RTP_PORTS, Child, Stack

MAX_LATE_PCT = 0.1
SATURATED_PCT = 97.0
"""Of a core: what is left is the kernel's accounting."""
_BUSY_PCT = 90.0
_BEHIND_MS = 20.0
_FOREIGN_PCT = 5.0
_MARGIN_S = 0.5
_SETTLE_S = 3.0
_SLOW_START_S = 2.0


@dataclass(slots=True)
class Point:
    """What was measured. CPU in per cent of one core."""

    calls: int
    wanted: int
    failures: int
    why: list[str]
    frames: Punctuality
    lost: dict[str, int]
    """By where: `rtp` between gateway and callers, `gateway_socket` on their way in, `bus` on the way to the far end,
    `concealed` made up by the gateway, `agent` never played."""
    cpu_pct: float
    waited_pct: float
    """Of the time the gateway's main thread was ready and had no core."""
    others_pct: dict[str, float]
    generator: dict[str, float]
    """How well the callers kept their own time."""
    far_end_behind_ms: int
    pss_kb: float
    first_audio_ms: list[float]
    load: float

    @property
    def other_core_pct(self) -> float:
        """All of them together."""
        return sum(self.others_pct.values())

    @property
    def lost_frames(self) -> int:
        return sum(self.lost.values())

    @property
    def held(self) -> bool:
        return not self.fails()

    def fails(self) -> str:
        """Why the number of calls is too many; empty when it is not."""
        if self.calls < self.wanted or self.failures:
            return f"{self.wanted - self.calls + self.failures} calls failed: {'; '.join(self.why)[:200]}"
        if self.lost_frames:
            told = ", ".join(f"{count} {where}" for where, count in self.lost.items() if count)
            return f"{self.lost_frames} frames lost ({told})"
        if self.frames.late_pct > MAX_LATE_PCT:
            return f"{self.frames.late_pct:.2f} % of the frames late"
        if self.cpu_pct >= SATURATED_PCT:
            return "the gateway's core is full"
        return ""

    def limited_by(self) -> str:
        """Whose limit it is that the number does not hold, as far as the cores tell; empty when it does."""
        if self.held:
            return ""
        generator = self.generator
        if generator["drops"] or generator["refused"] or generator["skipped_ms"]:
            return "generator"
        if self.far_end_behind_ms > 200:
            return "far end"
        if self.cpu_pct >= _BUSY_PCT:
            return "gateway core"
        if self.waited_pct > _FOREIGN_PCT:
            return "other programs on the gateway's core"
        if self.other_core_pct >= SATURATED_PCT:
            return "the other core"
        return "gateway"

    def told(self) -> dict[str, Any]:
        """For the curve."""
        frames = self.frames
        return {
            "calls": self.calls,
            "cpu_pct": round(self.cpu_pct, 1),
            "late_frames_pct": round(frames.late_pct, 4),
            "lost_frames": self.lost_frames,
            "held": self.held,
            "why": self.fails(),
            "limited_by": self.limited_by(),
            "late": {"late": frames.late, "skipped": frames.skipped, "unplayed": frames.unplayed},
            "lost": {where: count for where, count in self.lost.items() if count},
            "unmarked_pct": round(100 * frames.unmarked / frames.frames, 3) if frames.frames else None,
            "lateness_ms": {"p50": frames.p50_ms, "p99": frames.p99_ms, "max": frames.worst_ms},
            "pss_kb": round(self.pss_kb),
            "waited_pct": round(self.waited_pct, 1),
            "other_core_pct": round(self.other_core_pct, 1),
            "others_pct": {name: round(share, 1) for name, share in self.others_pct.items()},
            "generator": self.generator,
            "far_end_behind_ms": self.far_end_behind_ms,
            "load_1min": round(self.load, 2),
        }


def ramp(callers: Child, calls: int, rate: float = 50.0) -> dict[str, Any]:
    """Has as many calls; what the generator tells of it."""
    return callers.ask({"calls": calls, "rate": rate}, 60.0 + calls / rate)


def measure(stack: Stack, callers: Child, calls: int, seconds: float, *, agent: bool, marked: bool = True) -> Point:
    """Ramps to `calls`, lets them settle and looks for `seconds`. `marked`: the packets' speech can be read (no SRTP).

    Raises HelperLost.
    """
    risen = ramp(callers, calls)
    time.sleep(_SETTLE_S + (_SLOW_START_S if agent else 0))
    children = (stack.gateway, callers, *stack.others)
    far_before = stack.far_end.ask({"counts": True})
    drops = proc.udp_drops(*RTP_PORTS)
    cpu = [proc.cpu_s(child.pid) for child in children]
    waited = proc.waited_s(stack.gateway.pid)
    began = time.monotonic()
    file = stack.folder / "packets.npy"
    # All else is read while the callers still speak: to write their packets down takes them longer than a frame.
    callers.begin({"measure": seconds + _MARGIN_S, "file": str(file)})
    time.sleep(seconds)
    far = stack.far_end.ask({"counts": True})
    wall = time.monotonic() - began
    spent = [100 * (proc.cpu_s(child.pid) - before) / wall for child, before in zip(children, cpu, strict=True)]
    waited = 100 * (proc.waited_s(stack.gateway.pid) - waited) / wall
    drops = proc.udp_drops(*RTP_PORTS) - drops
    kept = callers.answer(60)
    frames = judge(np.load(file), FRAMES if agent and marked else None)
    lost = {"rtp": frames.lost - kept["drops"], "gateway_socket": drops}
    if agent:
        lost |= {"bus": far["lost"] - far_before["lost"], "concealed": far["concealed"] - far_before["concealed"]}
        lost["agent"] = frames.unheard
    return Point(
        calls=kept["calls"],
        wanted=calls,
        failures=risen["failures"] + kept["failures"],
        why=risen["failed"] + kept["failed"],
        frames=frames,
        lost={where: max(0, count) for where, count in lost.items()},
        cpu_pct=spent[0],
        waited_pct=waited,
        others_pct={child.name: share for child, share in zip(children[1:], spent[1:], strict=True)},
        generator={name: kept[name] for name in ("behind_ms", "skipped_ms", "drops", "refused")},
        far_end_behind_ms=20 * far["behind_frames"] if agent else 0,
        pss_kb=proc.pss_kb(stack.gateway.pid),
        first_audio_ms=kept["first_audio_ms"],
        load=os.getloadavg()[0],
    )
