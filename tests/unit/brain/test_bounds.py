"""Who answers when a call has gone on for long, or goes round in circles."""

from pathlib import Path

import pytest

from services.brain.agent import Agent
from services.brain.bounds import Bounds, Decision
from services.brain.guardrails.call_guard import AgentGuard
from services.brain.guardrails.limits import Use
from services.brain.guardrails.loops import SAY_OTHERWISE
from services.brain.impatience import Level
from services.brain.patience import Answer

SENTENCE = "Please tell me your customer number so that I can help you."
PERSON = {"destination": "sip:person@example.com"}


def bounds(scripted: bool = False, **given: object) -> Bounds:
    agent = Agent.model_validate(
        {
            "folder": Path("."),
            "name": "test",
            "version": "1",
            "model": "openai/any",
            "greeting": "Hello.",
            "prompts": {"system": "Be brief."},
            "limits": {"turns": 10},
            **given,
        }
    )
    return Bounds(AgentGuard(agent, {}).of_call(agent), agent.limits.say_near, scripted)


def test_far_from_any_limit_the_caller_gets_what_was_wanted() -> None:
    assert bounds().decide(Answer.MODEL, Use(turns=1)) == Decision(Answer.MODEL)
    assert bounds().decide(Answer.OFFER_PERSON, Use(turns=1)).answer is Answer.OFFER_PERSON


def test_near_a_limit_the_caller_is_told_once() -> None:
    near = bounds()
    assert near.decide(Answer.MODEL, Use(turns=9)).first
    assert not near.decide(Answer.MODEL, Use(turns=9)).first


def test_past_a_limit_a_person_has_the_caller_or_the_call_ends() -> None:
    over = bounds(escalation=PERSON)
    first = over.decide(Answer.MODEL, Use(turns=10))
    assert (first.answer, "turns" in first.reason) == (Answer.HAND_OVER, True)
    assert over.decide(Answer.MODEL, Use(turns=11)).answer is Answer.GOODBYE, "nobody took it"
    assert bounds().decide(Answer.MODEL, Use(turns=10)).answer is Answer.GOODBYE


def test_who_says_the_same_again_and_again_is_told_and_then_offers_a_person() -> None:
    circling = bounds(escalation=PERSON)
    for _ in range(3):
        circling.agent_said(SENTENCE)
    assert circling.notes(Level.CALM) == [SAY_OTHERWISE]
    circling.agent_said(SENTENCE)
    assert circling.decide(Answer.MODEL, Use(turns=5)).answer is Answer.OFFER_PERSON
    assert circling.decide(Answer.MODEL, Use(turns=6)).answer is Answer.MODEL, "offered once"


def test_a_script_may_repeat_itself() -> None:
    scripted = bounds(scripted=True)
    for _ in range(5):
        scripted.agent_said(SENTENCE)
    assert scripted.decide(Answer.MODEL, Use(turns=5)).answer is Answer.MODEL


@pytest.mark.parametrize(("level", "notes"), [(Level.CALM, 0), (Level.OFFER_PERSON, 1)])
def test_impatience_makes_answers_brief(level: Level, notes: int) -> None:
    assert len(bounds().notes(level)) == notes
