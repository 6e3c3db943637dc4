"""How patient the agent is with a caller, and the caller with the agent: one call's profiles, fillers and offers."""

from enum import Enum, auto

from services.brain.agent import Agent
from services.brain.fillers import Fillers
from services.brain.impatience import Impatience, Level
from services.brain.question import Expected
from services.brain.script.yesno import read_yes_no
from services.brain.turn_events import Respond, Say
from services.brain.turn_profile import PROFILES, Profiles, Situation, with_changes


class Answer(Enum):
    """Who answers a turn."""

    MODEL = auto()
    OFFER_PERSON = auto()
    HAND_OVER = auto()  # a person was offered, and the caller wants one
    GOODBYE = auto()  # the call has gone on long enough


class Patience:
    """One a call. Pure: times are call times in microseconds."""

    def __init__(self, agent: Agent, call_id: str) -> None:
        self._agent = agent
        self.fillers = Fillers(agent.filler_sentences, call_id)
        self.impatience = Impatience(
            agent.language,
            can_offer=agent.escalation is not None,
            offer_after=agent.impatience.offer_after,
            enabled=agent.impatience.enabled,
        )
        self._offered = False
        self._quiet_since_us = 0

    @property
    def level(self) -> Level:
        return self.impatience.level

    def offers_a_person(self) -> None:
        """The agent does, for another reason: "yes" is the answer to that."""
        self._offered = True

    def offered_nobody(self) -> None:
        """What `answer` asked for was not done: "yes" answers something else."""
        self._offered = False

    def agent_fell_silent(self, at_us: int) -> None:
        """Nothing of the agent is heard from here on."""
        self._quiet_since_us = at_us

    def sentence(self, what: Say, prompts_said: int) -> str:
        """The agent's own words for it; `prompts_said` counts how often in a row the caller was asked for a sign."""
        agent = self._agent
        match what:
            case Say.MISSED:
                self._offered = self.impatience.missed() is Level.OFFER_PERSON
                offer = agent.escalation.offer if self._offered and agent.escalation is not None else ""
                return f"{agent.sorry_missed} {offer}".rstrip()
            case Say.STILL_THERE:
                prompts = agent.silence.prompts
                return prompts[max(prompts_said - 1, 0) % len(prompts)]
            case Say.GOODBYE:
                return agent.silence.goodbye
            case Say.TROUBLE:
                return agent.trouble
            case Say.FILLER:
                raise ValueError("fillers are chosen by what the caller waits for")

    def answer(self, turn: Respond, expected: Expected, now_us: int) -> Answer:
        """What the caller's turn asks for."""
        self.impatience.waited(max(turn.started_us - self._quiet_since_us, 0) // 1000)
        self._quiet_since_us = turn.stopped_us
        offered, self._offered = self._offered, False
        level = self.impatience.caller_said(turn.added, expected, now_us)
        if offered and read_yes_no(turn.added) == "yes":
            return Answer.HAND_OVER
        self._offered = level is Level.OFFER_PERSON
        return Answer.OFFER_PERSON if self._offered else Answer.MODEL


def profiles_of(agent: Agent) -> Profiles:
    """The turn machine's patience in this agent's calls."""
    after_ms = round(agent.silence.prompt_after_s * 1000)
    asked = {"silence_prompt_ms": after_ms, "silence_prompts": agent.silence.hang_up_after - 1}
    changes: dict[str, dict[str, int]] = dict.fromkeys(Situation, asked)
    # Between keys people look at their card.
    changes[Situation.COLLECTING_DIGITS] = asked | {"silence_prompt_ms": after_ms * 3 // 2}
    return with_changes(with_changes(PROFILES, changes), agent.turn)
