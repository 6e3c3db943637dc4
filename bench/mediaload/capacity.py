"""How many calls a core holds, what they cost, and how that grows."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.gatewayprocess import Cores
from bench.latency import say
from bench.mediaload.point import Point, measure
from bench.mediaload.search import Search
from bench.mediaload.stack import running
from tandem.percentile import percentile

AGENT, ECHO = "front_desk", "echo"
_MOST_POINTS = 40


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure. `levels` are numbers of calls, upwards; `fine`: the answer is this exact."""

    agent_levels: Sequence[int] = (10, *range(50, 1001, 50))
    echo_levels: Sequence[int] = (10, *range(100, 2001, 100))
    seconds: float = 20.0
    fine: int = 15
    refine: bool = True
    srtp_calls: int = 100


QUICK = Plan(agent_levels=(10, 50, 100), echo_levels=(10, 100, 200), seconds=8.0, refine=False, srtp_calls=50)


@dataclass(slots=True)
class Climb:
    """All points of one kind of call, in the order they were measured."""

    called: str
    held: int = 0
    exhausted: bool = False
    """The highest level was held: there is more in it."""
    points: list[Point] = field(default_factory=list)

    @property
    def agent(self) -> bool:
        return self.called == AGENT

    @property
    def best(self) -> Point | None:
        """The latest that held the most calls."""
        return next((one for one in reversed(self.points) if one.held and one.calls == self.held), None)

    @property
    def way_up(self) -> list[Point]:
        """Those that held, until the first overload: memory that it took does not come back."""
        over = (at for at, one in enumerate(self.points) if not one.held and one.wanted > self.held)
        return [one for one in self.points[: next(over, len(self.points))] if one.held]

    def curve(self) -> list[dict[str, Any]]:
        return [one.told() for one in sorted(self.points, key=lambda one: one.calls)]

    def kb_per_call(self) -> float | None:
        """The slope of memory over calls. The newest calls have not filled their buffers at any level alike, so that
        the slope has them full."""
        points = [one for one in self.way_up if one.calls]
        if len({one.calls for one in points}) < 2:
            return None
        return float(np.polyfit([one.calls for one in points], [one.pss_kb for one in points], 1)[0])

    def limited_by(self) -> str:
        """Of the fewest calls that did not hold."""
        missed = [one for one in self.points if not one.held and one.wanted > self.held]
        return min(missed, key=lambda one: one.wanted).limited_by() if missed else "levels"


def climb(called: str, plan: Plan, cores: Cores) -> Climb:
    """Finds the most calls that hold, in a gateway of its own. Raises NotStarted, HelperLost."""
    told = Climb(called)
    levels = plan.agent_levels if told.agent else plan.echo_levels
    search = Search(levels, plan.fine if plan.refine else max(levels), 2 if plan.refine else 1)
    with (
        tempfile.TemporaryDirectory(prefix="bench-media-") as folder,
        running(Path(folder), cores) as stack,
        stack.callers(called) as callers,
    ):
        for _ in range(_MOST_POINTS):
            calls = search.next()
            if calls is None:
                break
            point = measure(stack, callers, calls, plan.seconds, agent=told.agent)
            told.points.append(point)
            search.tried(calls, point.held)
            say(_line(point))
    told.held, told.exhausted = search.held, search.missed is None
    return told


def _line(point: Point) -> str:
    frames, why = point.frames, point.fails()
    told = f"  {point.calls:>4} calls: gateway {point.cpu_pct:.0f} % of its core, {frames.late_pct:.3f} % late, "
    told += f"{point.lost_frames} lost, lateness p99 {frames.p99_ms} ms; waited {point.waited_pct:.1f} % for its core; "
    told += f"the others {point.other_core_pct:.0f} %"
    return told + (f"; not held: {why} (limit: {point.limited_by()})" if why else "")


def srtp_cost(plan: Plan, cores: Cores) -> dict[str, Any]:
    """CPU of the same number of calls with SRTP, by that without, for both kinds of call.

    Without, with and without again, in one gateway: what drifts shows as a difference of the outer two.
    """
    told: dict[str, Any] = {"calls": plan.srtp_calls}
    for called in (AGENT, ECHO):
        shares = []
        with tempfile.TemporaryDirectory(prefix="bench-media-") as folder, running(Path(folder), cores) as stack:
            for srtp in (False, True, False):
                with stack.callers(called, srtp=srtp) as callers:
                    point = measure(
                        stack, callers, plan.srtp_calls, plan.seconds, agent=called == AGENT, marked=not srtp
                    )
                    callers.ask({"calls": 0, "rate": 200}, 60)
                say(_line(point) + (" (SRTP)" if srtp else ""))
                shares.append(point.cpu_pct)
        plain = (shares[0] + shares[2]) / 2
        told[called] = {
            "ratio": round(shares[1] / plain, 3) if plain else None,
            "cpu_pct": {"srtp": round(shares[1], 1), "plain": [round(shares[0], 1), round(shares[2], 1)]},
        }
    return told


def first_audio(points: Sequence[Point]) -> dict[str, float | None]:
    """From the 200 to the first RTP packet, for the calls set up at levels that hold."""
    times = [ms for one in points for ms in one.first_audio_ms]
    return {name: round(percentile(times, of), 2) if times else None for name, of in (("p50", 50), ("p95", 95))}
