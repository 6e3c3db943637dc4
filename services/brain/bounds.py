"""When a call has gone on long enough, or goes round in circles: who answers then. Pure."""

from dataclasses import dataclass

from services.brain.guardrails.call_guard import CallGuard
from services.brain.guardrails.limits import Step, Use
from services.brain.guardrails.loops import SAY_OTHERWISE, SentenceLoop
from services.brain.impatience import Level
from services.brain.patience import Answer

_BE_BRIEF = "The caller is losing patience: answer in one short sentence, without pleasantries."
_IMPATIENT = "The caller lost patience and asked for a person."


@dataclass(frozen=True, slots=True)
class Decision:
    """Who answers a turn. `first` is said before the answer; `reason` is for the person who gets the call."""

    answer: Answer
    first: str = ""
    reason: str = _IMPATIENT


class Bounds:
    """Of one call."""

    def __init__(self, guard: CallGuard, say_near: str, scripted: bool) -> None:
        """`scripted`: the agent speaks by its script, which says the same thing again with good reason."""
        self._guard = guard
        self._say_near = say_near
        self._scripted = scripted
        self._circling = False
        self._note = ""

    def decide(self, wanted: Answer, use: Use) -> Decision:
        """`wanted`: what the caller's patience asks for."""
        self._guard.loops.turn_begins()
        verdict = self._guard.limits.check(use)
        circling, self._circling = self._circling, False
        match verdict.step:
            case Step.HAND_OVER:
                return Decision(Answer.HAND_OVER, reason=f"The call reached its limit: {verdict.what}.")
            case Step.GOODBYE:
                return Decision(Answer.GOODBYE)
        if circling and wanted is Answer.MODEL:
            wanted = Answer.OFFER_PERSON
        return Decision(wanted, self._say_near if verdict.step is Step.SAY_NEAR else "")

    def notes(self, level: Level) -> list[str]:
        """For the model, with this turn. `level`: how the caller's patience is."""
        return [one for one in (self._note, "" if level is Level.CALM else _BE_BRIEF) if one]

    def agent_said(self, text: str) -> None:
        """All of a turn, as far as it was heard."""
        self._note = ""
        if self._scripted:
            return
        match self._guard.loops.agent_said(text):
            case SentenceLoop.TELL:
                self._note = SAY_OTHERWISE
            case SentenceLoop.HAND_OVER:
                self._circling = True
