"""What the telemetry of a run says: whether each turn's parts add up, and whether the planted fault is named."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.brain.turn_verdict import UNEXPLAINED_MS
from services.common.telemetry import names
from services.common.telemetry.store import Span

# Parts are told in thousandths of a millisecond, and there are seven of them.
_ROUNDING_MS = 0.01


@dataclass(frozen=True, slots=True)
class AddedUp:
    """`turns` are those with a latency at the ear; `worst_ms` the largest remainder, without its sign; `wrong` those
    turns whose remainder is above UNEXPLAINED_MS, or whose parts and remainder are not the whole."""

    turns: int
    worst_ms: float
    wrong: tuple[str, ...]


def added_up(spans: Iterable[Span]) -> AddedUp:
    """Of all turns among the spans."""
    turns, worst, wrong = 0, 0.0, []
    for span in spans:
        ear = span.attributes.get(names.TURN_EAR_LATENCY_MS)
        if span.name != names.TURN or not isinstance(ear, int | float):
            continue
        turns += 1
        parts = {
            key.removeprefix(f"{names.TURN_PART_MS}."): float(value)
            for key, value in span.attributes.items()
            if key.startswith(f"{names.TURN_PART_MS}.") and isinstance(value, int | float)
        }
        left = span.attributes.get(names.TURN_UNEXPLAINED_MS, 0.0)
        assert isinstance(left, int | float)
        worst = max(worst, abs(left))
        where = f"turn {span.attributes.get(names.TURN_INDEX)} of call {span.attributes.get(names.CALL_ID)}"
        if abs(left) > UNEXPLAINED_MS:
            wrong.append(f"{where}: {left:.1f} ms of {ear:.0f} ms unexplained; parts {parts}")
        if abs(sum(parts.values()) + left - ear) > _ROUNDING_MS:
            wrong.append(f"{where}: parts {parts} and {left:.1f} ms are not {ear:.1f} ms")
    return AddedUp(turns, worst, tuple(wrong))


def named(told: str, words: Iterable[str]) -> bool:
    """Whether what was told to the engineer names the fault."""
    return any(word in told for word in words)
