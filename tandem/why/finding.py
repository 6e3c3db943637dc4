"""What is found out about a turn or a call, and the paragraph that it becomes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    HEARD = "heard"
    """What the caller heard, and when."""
    CAUSE = "cause"
    """What made it late or go wrong; the gravest first."""
    NORMAL = "normal"
    """What was as it should be, and so need not be looked into."""
    UNKNOWN = "unknown"
    """What the trace can't tell."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`part` is a part of the turn's latency, or setup, line, transfer, recovery, hang-up. `text` is one sentence or
    more, with the full stop; of a NORMAL one, some words for a list. `ms` is what it took, where it took time."""

    kind: Kind
    part: str
    text: str
    ms: float | None = None


def paragraph(findings: Iterable[Finding]) -> str:
    """One paragraph: what was heard, why, what was normal, what is not known."""
    found = list(findings)
    said = [one.text for one in found if one.kind in (Kind.HEARD, Kind.CAUSE)]
    normal = [one.text for one in found if one.kind is Kind.NORMAL]
    if normal:
        said.append(f"Normal: {', '.join(normal)}.")
    unknown = [one.text for one in found if one.kind is Kind.UNKNOWN]
    if unknown:
        said.append(f"Not in the trace: {'; '.join(unknown)}.")
    return " ".join(said)


def duration(ms: float) -> str:
    """3.1 s, 412 ms, 8 ms."""
    return f"{ms / 1000:.1f} s" if ms >= 999.5 else f"{ms:.0f} ms"


def times(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
