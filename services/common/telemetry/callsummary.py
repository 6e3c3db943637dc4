"""What the spans of a trace tell of its call, in one row: enough to list calls and to find the slow and failed ones.

Spans come in any order and in several batches, so summaries are merged; merging is associative, and which batch came
first does not matter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from services.common.telemetry import names
from services.common.telemetry.storedspan import Attribute, Span

_PART = names.TURN_PART_MS + "."
UNEXPLAINED = "unexplained"
# An error of one of these is the call's; a tool that failed may have been talked around.
_OF_THE_CALL = (names.CALL_SETUP, names.TURN, names.TRANSFER, names.CALL_HANGUP)


@dataclass(frozen=True, slots=True)
class CallSummary:
    """Of one trace, or of a batch of its spans. Times in ns since 1970; None: nothing was said of it.

    `call_id` is of the span that began first among those with one (a leg that the call opened has an id of its own).
    `worst_ms` is the longest that an answer took (behind a filler too), `worst_turn` its turn's index and `worst_part`
    the part that took most of it. `failed` tells what failed, for people: the call's setup, a turn, a hand-over, a lost
    brain. `transferred` is the result of the last hand-over. `mos` is the worse of listening and conversational.
    """

    first_ns: int
    last_ns: int
    spans: int = 0
    errors: int = 0
    turns: int = 0
    call_id: str | None = None
    call_ns: int | None = None
    agent: str | None = None
    trunk: str | None = None
    worst_ms: float | None = None
    worst_turn: int | None = None
    worst_part: str | None = None
    failed: str | None = None
    transferred: str | None = None
    hangup: str | None = None
    mos: float | None = None
    loss_pct: float | None = None
    jitter_ms: float | None = None

    def merged(self, new: Self) -> "CallSummary":
        """Both together; `new` wins where each has a word."""
        old_call = self.call_ns is not None and (new.call_ns is None or self.call_ns <= new.call_ns)
        old_worst = self.worst_ms is not None and (new.worst_ms is None or self.worst_ms >= new.worst_ms)
        call, worst = self if old_call else new, self if old_worst else new
        return CallSummary(
            min(self.first_ns, new.first_ns),
            max(self.last_ns, new.last_ns),
            self.spans + new.spans,
            self.errors + new.errors,
            self.turns + new.turns,
            call.call_id,
            call.call_ns,
            self.agent or new.agent,
            self.trunk or new.trunk,
            worst.worst_ms,
            worst.worst_turn,
            worst.worst_part,
            self.failed or new.failed,
            new.transferred or self.transferred,
            new.hangup or self.hangup,
            _less(self.mos, new.mos),
            _more(self.loss_pct, new.loss_pct),
            _more(self.jitter_ms, new.jitter_ms),
        )


def summary_of(spans: Iterable[Span]) -> CallSummary | None:
    """Of spans of one trace, each of them seen for the first time; None for none."""
    found: CallSummary | None = None
    for span in spans:
        one = _of(span)
        found = one if found is None else found.merged(one)
    return found


def _of(span: Span) -> CallSummary:
    about = span.attributes
    call_id = about.get(names.CALL_ID)
    is_turn = span.name == names.TURN
    worst = answer_ms(about) if is_turn else None
    index = about.get(names.TURN_INDEX)
    return CallSummary(
        first_ns=span.start_ns,
        last_ns=span.end_ns,
        spans=1,
        errors=int(span.status == "error"),
        turns=int(is_turn),
        call_id=str(call_id) if call_id else None,
        call_ns=span.start_ns if call_id else None,
        agent=_text(about.get(names.AGENT)),
        trunk=_text(about.get(names.TRUNK)),
        worst_ms=worst,
        worst_turn=index if worst is not None and isinstance(index, int) else None,
        worst_part=worst_part(about) if worst is not None else None,
        failed=_failed(span),
        transferred=_text(about.get(names.TRANSFER_RESULT)) if span.name == names.TRANSFER else None,
        hangup=_text(about.get(names.HANGUP_REASON)),
        mos=_less(_number(about.get(names.RTP_MOS_LISTENING)), _number(about.get(names.RTP_MOS_CONVERSATIONAL))),
        loss_pct=_number(about.get(names.RTP_LOSS_PCT)),
        jitter_ms=_number(about.get(names.RTP_JITTER_MAX_MS)),
    )


def answer_ms(attributes: dict[str, Attribute]) -> float | None:
    """A turn's latency to the answer itself: the ear's, or more where a filler was heard before; None where neither
    is told."""
    ear, answer = (_number(attributes.get(name)) for name in (names.TURN_EAR_LATENCY_MS, names.TURN_ANSWER_MS))
    return _more(ear, answer)


def parts_of(attributes: dict[str, Attribute]) -> dict[str, float]:
    """The parts of a turn's latency at the ear, ms, and `unexplained`; only those that are set."""
    parts = {
        key.removeprefix(_PART): float(value)
        for key, value in attributes.items()
        if key.startswith(_PART) and isinstance(value, int | float)
    }
    left = _number(attributes.get(names.TURN_UNEXPLAINED_MS))
    return parts if left is None else parts | {UNEXPLAINED: left}


def worst_part(attributes: dict[str, Attribute]) -> str | None:
    """The part that took most."""
    parts = parts_of(attributes)
    return max(parts, key=lambda part: parts[part]) if parts else None


def _failed(span: Span) -> str | None:
    if span.name == names.CALL_RECOVERY:
        result = _text(span.attributes.get(names.RECOVERY_RESULT))
        return f"brain lost: {result}" if result else "brain lost"
    if span.status == "error" and span.name in _OF_THE_CALL:
        if span.name == names.CALL_SETUP and (status := span.attributes.get(names.SIP_STATUS)):
            return f"{span.name}: {status}"
        why = span.status_message or span.attributes.get(names.ERROR_TYPE)
        return f"{span.name}: {why}" if why else span.name
    if span.name == names.TURN and span.attributes.get(names.TURN_OUTCOME) == "failed":
        return names.TURN
    return None


def _text(value: Attribute) -> str | None:
    return str(value) if value not in (None, "") else None


def _number(value: Attribute) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _less(one: float | None, other: float | None) -> float | None:
    return min((each for each in (one, other) if each is not None), default=None)


def _more(one: float | None, other: float | None) -> float | None:
    return max((each for each in (one, other) if each is not None), default=None)
