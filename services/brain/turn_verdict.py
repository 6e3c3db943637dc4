"""What became of a turn, and whether its trace must be kept. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from tandem.v1.call_pb2 import TurnLatency

UNEXPLAINED_MS = 20.0
"""More of a turn's latency than this that no part admits is a defect (DESIGN §3)."""
REACTION_US = 250_000
"""Who speaks within this of the answer's first sample has not heard it: people need as long to react to a sound."""


class Outcome(StrEnum):
    """Values of the metric's label `outcome`."""

    ANSWERED = "answered"
    INTERRUPTED = "interrupted"
    IGNORED = "ignored"
    """It was no turn: a cough, an "mm-hm"."""
    AMENDED = "amended"
    """The caller went on before anything of the answer was heard: it is a part of the turn that follows."""
    FAILED = "failed"
    UNASKED = "unasked"
    """The agent spoke by itself, and was heard."""
    UNANSWERED = "unanswered"
    """The call ended first."""


ON_SPANS = frozenset({Outcome.IGNORED, Outcome.AMENDED, Outcome.FAILED, Outcome.UNANSWERED})
"""What spans tell of it: the others are seen from what stands on them anyway."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A turn that is over. `latency` is None where it was not answered, or did not begin with speech."""

    agent: str
    outcome: Outcome
    latency: TurnLatency | None = None
    answer_ms: float = 0.0
    """To the first sample of the answer proper, where a filler was heard first."""
    dead_air_ms: float = 0.0
    """The longest time in which nothing was heard; 0 where it was not dead air."""
    error: str = ""
    after_take_over: bool = False
    traceparent: str = ""


def outcome_of(*, asked: bool, interrupted: bool, answer_heard: bool, error: str, gave_up: bool) -> Outcome:
    """`gave_up`: the caller heard an apology at best."""
    if gave_up or (error and not answer_heard and not interrupted):
        return Outcome.FAILED
    if not asked:
        return Outcome.UNASKED
    if interrupted:
        return Outcome.INTERRUPTED
    return Outcome.ANSWERED if answer_heard else Outcome.UNANSWERED


def spoke_too_early(spoke_us: int, answer_us: int) -> bool:
    """The caller spoke before they could have heard the answer, of which the first sample went out at `answer_us` (0:
    none did yet)."""
    return not answer_us or spoke_us < answer_us + REACTION_US


def why_kept(turn: Conclusion, slow_turn_ms: int) -> str:
    """Why the trace of this turn's call is worth keeping, for people; empty when it is like any other."""
    if turn.outcome is Outcome.FAILED:
        return "failed turn"
    if turn.error:
        return "error"
    latency = turn.latency
    if latency is not None and max(latency.ear_latency_ms, turn.answer_ms) > slow_turn_ms:
        return "slow turn"
    if turn.dead_air_ms:
        return "dead air"
    if latency is not None and abs(latency.unexplained_ms) > UNEXPLAINED_MS:
        return "unexplained latency"
    return "take-over" if turn.after_take_over else ""
