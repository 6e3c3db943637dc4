"""What the turns of a level say. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.brainload.callers import Asking
from bench.brainload.provider import TOOL_S, Asked
from tandem.percentile import percentile

# Past this the brain itself is a part of what the caller waits for.
P95_AT_MOST_MS = 50.0


@dataclass(frozen=True, slots=True)
class Level:
    """What was measured at one number of conversations."""

    conversations: int
    overhead_ms: tuple[float, ...]
    overhead_with_tool_ms: tuple[float, ...]
    """Of the turns in which a tool was asked: two model calls and a tool"""
    unanswered: int
    lost: int
    """Streams of the gateway that broke, for the brain said nothing for 2 s"""
    cpu_share: float
    """Of one core"""
    seconds: float

    @property
    def held(self) -> bool:
        whole = (*self.overhead_ms, *self.overhead_with_tool_ms)
        late = bool(self.unanswered or self.lost)
        return bool(whole) and not late and percentile(list(whole), 95) <= P95_AT_MOST_MS

    def document(self) -> dict[str, Any]:
        return {
            "conversations": self.conversations,
            "overhead_ms": spread((*self.overhead_ms, *self.overhead_with_tool_ms)),
            "without_tool_ms": spread(self.overhead_ms),
            "with_tool_ms": spread(self.overhead_with_tool_ms),
            "turns": len(self.overhead_ms) + len(self.overhead_with_tool_ms),
            "unanswered": self.unanswered,
            "streams_lost": self.lost,
            "cpu_share": round(self.cpu_share, 3),
            "cpu_ms_a_turn": round(1000 * self.cpu_share * self.seconds / max(1, self._turns()), 1),
        }

    def _turns(self) -> int:
        return len(self.overhead_ms) + len(self.overhead_with_tool_ms)


def level(
    conversations: int,
    turns: Sequence[Asking],
    asked: Mapping[str, Asked],
    lost: int,
    cpu_s: float,
    seconds: float,
    scripted: bool = False,
) -> Level:
    """Overhead: from the transcript that ends the turn to the answer's first text at tts, both at the neighbours' edge,
    less the time in which a model or a tool had it. A script's answer is the brain's own work."""
    plain: list[float] = []
    with_tool: list[float] = []
    unanswered = 0
    for turn in turns:
        if not turn.text_s or (turn.key not in asked and not scripted):
            unanswered += 1
            continue
        away_s = TOOL_S * turn.with_tool if scripted else asked[turn.key].away_s
        overhead = 1000 * (turn.text_s - turn.said_s - away_s)
        (with_tool if turn.with_tool else plain).append(overhead)
    return Level(conversations, tuple(plain), tuple(with_tool), unanswered, lost, cpu_s / seconds, seconds)


def dead_air(turns: Sequence[Asking], asked: Mapping[str, Asked]) -> dict[str, Any]:
    """From the transcript that ends the turn to what the caller hears first: anything, and the answer itself."""
    heard = [1000 * (turn.audio_s - turn.said_s) for turn in turns if turn.audio_s]
    answers = [1000 * (turn.answer_s - turn.said_s) for turn in turns if turn.answer_s]
    stalled = [turn for turn in turns if turn.key in asked and asked[turn.key].stalled]
    of_stalled = [1000 * (turn.answer_s - turn.said_s) for turn in stalled if turn.answer_s]
    return {
        "dead_air_ms": spread(heard),
        "without_fillers_ms": spread(answers),
        "without_fillers_stalled_ms": spread(of_stalled),
        "turns": len(turns),
        "stalled": len(stalled),
        "unanswered": sum(not turn.answer_s for turn in turns),
    }


def conversations_per_core(levels: Sequence[Level]) -> int:
    """The most that were held, all fewer ones held too."""
    most = 0
    for one in sorted(levels, key=lambda one: one.conversations):
        if not one.held:
            break
        most = one.conversations
    return most


def spread(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p95": None, "max": None}
    told = list(values)
    return {
        "p50": round(percentile(told, 50), 1),
        "p95": round(percentile(told, 95), 1),
        "max": round(max(told), 1),
    }
