"""A turn's spans, and when in it the caller waited."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.common.telemetry import names
from services.common.telemetry.callsummary import answer_ms
from services.common.telemetry.storedspan import Attribute, Span


def number(value: Attribute) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def of_family(span: Span, family: str) -> bool:
    """Whether it is `chat gpt` of `chat`."""
    return span.name == family or span.name.startswith(f"{family} ")


def length_ms(span: Span) -> float:
    return (span.end_ns - span.start_ns) / 1e6


@dataclass(frozen=True, slots=True)
class TurnTree:
    """`below` are all spans under the turn, by start. `waited_from_ns`: the caller's last sample; `answered_ns`: the
    first sample of the answer; both None where the turn has no latency."""

    turn: Span
    below: tuple[Span, ...]
    waited_from_ns: int | None
    answered_ns: int | None

    @property
    def ear_ms(self) -> float | None:
        return number(self.turn.attributes.get(names.TURN_EAR_LATENCY_MS))

    @property
    def answer_ms(self) -> float | None:
        """To the answer itself, where a filler came first; otherwise the ear's latency."""
        return answer_ms(self.turn.attributes)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.below if of_family(span, name)]

    def during_wait(self, span: Span) -> bool:
        """Whether it overlaps the time in which the caller waited; true where that is not known."""
        if self.waited_from_ns is None or self.answered_ns is None:
            return True
        return span.start_ns < self.answered_ns and span.end_ns > self.waited_from_ns


def turns_of(spans: Iterable[Span]) -> list[Span]:
    return sorted((span for span in spans if span.name == names.TURN), key=lambda span: span.start_ns)


def index_of(turn: Span) -> int | None:
    index = turn.attributes.get(names.TURN_INDEX)
    return index if isinstance(index, int) else None


def latency_of(turn: Span) -> float:
    """By which turns are ranked: to the answer itself. 0 where there is none."""
    return answer_ms(turn.attributes) or 0.0


def tree_of(turn: Span, spans: Sequence[Span]) -> TurnTree:
    children: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        children[span.parent_id].append(span)
    below: dict[str, Span] = {}
    waiting = list(children[turn.span_id])
    while waiting:
        span = waiting.pop()
        # A turn within a turn is its own; and parent ids may go in a circle.
        if span.span_id in below or span.name == names.TURN:
            continue
        below[span.span_id] = span
        waiting += children[span.span_id]
    ordered = sorted(below.values(), key=lambda span: (span.start_ns, span.span_id))
    return TurnTree(turn, tuple(ordered), *_wait(turn, ordered))


def _wait(turn: Span, below: Sequence[Span]) -> tuple[int | None, int | None]:
    """Where the caller's last sample and the answer's first are not said, they follow from a span and the latency."""
    latency = latency_of(turn)
    if not latency:
        return None, None
    waiting = [span for span in below if span.name == names.ENDPOINTING]
    if waiting:
        from_ns = waiting[-1].start_ns
        return from_ns, from_ns + int(latency * 1e6)
    heard = [span for span in below if span.name == names.PLAYOUT]
    ear = number(turn.attributes.get(names.TURN_EAR_LATENCY_MS)) or latency
    if heard:
        from_ns = heard[0].start_ns - int(ear * 1e6)
        return from_ns, from_ns + int(latency * 1e6)
    return None, None
