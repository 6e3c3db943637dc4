"""What the agent is saying: a reply in the making, utterances that are ready, and those that are heard. Pure."""

from dataclasses import dataclass, field

from services.brain.question import Expected
from services.brain.turn_profile import Situation
from services.brain.turn_state import State

_ASKS_FOR_DIGITS = frozenset({Expected.DIGITS, Expected.PHONE, Expected.DATE_OF_BIRTH})


@dataclass(slots=True)
class AgentTurn:
    """`situation`: what kind of speech it is."""

    situation: Situation = Situation.SPEAKING
    replying: bool = False
    """More may come."""
    closing: bool = False
    """It is the call's last."""
    paused: bool = False
    ready: list[int] = field(default_factory=list)
    """Held back while in doubt."""
    playing: set[int] = field(default_factory=set)

    def begin(self, situation: Situation = Situation.SPEAKING) -> None:
        """A reply is in the making."""
        self.situation, self.replying = situation, True

    def release(self) -> list[int]:
        """What is ready is heard from now on."""
        released, self.ready = self.ready, []
        self.playing.update(released)
        return released

    def fall_silent(self) -> None:
        self.ready.clear()
        self.playing.clear()
        self.replying = self.closing = self.paused = False

    @property
    def over(self) -> bool:
        """All was said, and heard."""
        return not (self.replying or self.playing or self.ready)

    @property
    def doing(self) -> Situation | None:
        """None when it neither speaks nor thinks."""
        if self.playing:
            return self.situation
        return Situation.THINKING if self.replying else None


def situation_of(state: State, agent: AgentTurn, expected: Expected, digits: str) -> Situation:
    """What the agent is doing; where it does nothing, what it asked for. `digits`: keys pressed so far."""
    if state is State.TRANSFERRING:
        return Situation.TRANSFERRING
    if doing := agent.doing:
        return doing
    return Situation.COLLECTING_DIGITS if digits or expected in _ASKS_FOR_DIGITS else Situation.SPEAKING
