"""The caller is silent: is the turn over, and if not yet, when? Pure; what follows is the turn machine's."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from services.brain.caller_turn import CallerTurn
from services.brain.completeness import Completeness, completeness
from services.brain.endpoint import Evidence
from services.brain.pauses import Pauses
from services.brain.question import Expected
from services.brain.turn_events import Respond
from services.brain.turn_profile import TurnProfile

_LEAST_FORESIGHT_US = 20_000
# Values of voice.endpointing.why.
NO_TRANSCRIPT = "no transcript"
NOISE = "noise over the answer"
SAID_OVER = "said over the agent"
_WORTH = {
    Completeness.ANSWERED: "full answer",
    Completeness.FINISHED: "finished sentence",
    Completeness.MAY_GO_ON: "may go on",
    Completeness.NEARLY: "nearly whole",
    Completeness.HALF: "half a sentence",
    Completeness.OPEN: "open sentence",
}


@dataclass(frozen=True, slots=True)
class NotYet:
    """Look again at `at_us`. `turn` is what the caller has said: the turn, if they say no more; None where that is too
    near for an answer to be begun before."""

    at_us: int
    turn: Respond | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """The turn is over. None: there were no words in it, and the caller is asked to say it again."""

    turn: Respond | None


@dataclass(frozen=True, slots=True)
class NoTurn:
    """Nothing of it was meant for the agent."""


@dataclass(frozen=True, slots=True)
class Situated:
    """What the caller's words answer. `answered`: the turn of whose answer nothing was heard yet."""

    expected: Expected
    pauses: Pauses
    language: str
    digits: str
    answered: Respond | None

    def turn(self, caller: CallerTurn, text: str) -> Respond:
        """What the caller said as one turn."""
        return amending(self.answered, caller.respond(text))


def amending(before: Respond | None, turn: Respond) -> Respond:
    """Nothing of the answer to `before` was heard: to the caller it is still one turn."""
    if before is None:
        return turn
    text = f"{before.text} {turn.text}"
    return Respond(text, turn.text, before.started_us, turn.stopped_us, amends=True, why=turn.why)


def consider(
    caller: CallerTurn, at: Situated, profile: TurnProfile, silence_needed: Callable[[Evidence], int], now_us: int
) -> NotYet | Over | NoTurn:
    """Every utterance of `caller` has its transcript, or will have none."""
    text = caller.text
    if not text:
        return _without_words(caller, at, profile, now_us)
    evidence = Evidence(text, at.expected, caller.end_probability, at.pauses, at.language, at.digits, caller.confidence)
    end_us = caller.stopped_us + silence_needed(evidence) * 1000
    turn = at.turn(caller, f"{text} {at.digits}".rstrip())
    if now_us < end_us:
        return NotYet(end_us, turn if end_us - now_us >= _LEAST_FORESIGHT_US else None)
    why = NO_TRANSCRIPT if caller.overdue else _WORTH[completeness(text, at.expected, at.language, at.digits)]
    return Over(replace(turn, why=why))


def _without_words(caller: CallerTurn, at: Situated, profile: TurnProfile, now_us: int) -> NotYet | Over | NoTurn:
    """Speech without words (pipecat#5240): never a stall."""
    missed = caller.speech_us >= profile.missed_speech_ms * 1000 and not at.digits
    if not missed:
        return NoTurn()
    if (before := at.answered) is not None:
        # Noise broke into the making of an answer: what was asked is answered all the same.
        return Over(Respond(before.text, "", before.started_us, before.stopped_us, amends=True, why=NOISE))
    say_us = caller.stopped_us + profile.missed_after_ms * 1000
    return NotYet(say_us) if now_us < say_us else Over(None)
