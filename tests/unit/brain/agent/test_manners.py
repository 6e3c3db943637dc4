"""agent.yaml on how an agent behaves with its callers: fillers, patience, pronunciation, turns."""

from pathlib import Path

import pytest

# ruff: noqa: E501 -- the mistakes are a table
from services.brain.agent import Agent, AgentInvalid, load_agent
from services.brain.turn_profile import PROFILES, Situation, with_changes

FRONT_DESK = Path(__file__).parents[4] / "agents" / "front_desk"
VARIABLES = {"BUSINESS_API_URL": "http://127.0.0.1:9", "ESCALATION_DESTINATION": "sip:desk@127.0.0.1"}
HEAD = "name: shop\nmodel: openai/none\ngreeting: Hello!\nprompts: {system: system.md}\n"


def load(tmp_path: Path, more: str) -> Agent:
    """What `more`, from line 5 on, makes of a small agent."""
    (tmp_path / "agent.yaml").write_text(HEAD + more)
    (tmp_path / "system.md").write_text("You sell things.\n")
    return load_agent(tmp_path)


def test_defaults(tmp_path: Path) -> None:
    agent = load(tmp_path, "escalation: {destination: 'tel:+49301'}\n")
    assert agent.filler_sentences.thinking
    assert agent.filler_sentences.again
    assert agent.impatience.enabled
    assert agent.impatience.offer_after == 3
    assert agent.escalation is not None
    assert agent.escalation.offer == "Would you like to speak to a person?"
    assert (agent.lexicon, agent.turn) == ({}, {})


@pytest.mark.parametrize(
    ("written", "thinking", "again"),
    [
        ("fillers: Moment.\n", ["Moment."], []),
        ("fillers: [Moment., Ja.]\n", ["Moment.", "Ja."], []),
        ("fillers: {thinking: [Moment.], again: [Gleich.]}\n", ["Moment."], ["Gleich."]),
    ],
)
def test_fillers_are_a_list_or_by_kind(tmp_path: Path, written: str, thinking: list[str], again: list[str]) -> None:
    sentences = load(tmp_path, written).filler_sentences
    assert (sentences.thinking, sentences.again) == (thinking, again)


def test_all_that_can_be_set(tmp_path: Path) -> None:
    agent = load(
        tmp_path,
        "language: auto\n"
        "lexicon: {Kowalski: koh-VAL-skee}\n"
        "impatience: {offer_after: 5, enabled: false}\n"
        "turn:\n  speaking: {barge_in_after_ms: 1000, pause_at_speech: 0}\n  legal_text: {late_answer_ms: 9000}\n",
    )
    assert agent.language == "auto"
    assert agent.lexicon == {"Kowalski": "koh-VAL-skee"}
    assert (agent.impatience.offer_after, agent.impatience.enabled) == (5, False)
    profiles = with_changes(PROFILES, agent.turn)
    assert profiles[Situation.SPEAKING].barge_in_after_ms == 1000
    assert profiles[Situation.LEGAL_TEXT].late_answer_ms == 9000


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("fillers: []\n", "agent.yaml:5: fillers: list should have at least 1 item"),
        ("fillers:\n  - Moment.\n  - ''\n", "agent.yaml:7: fillers[1]: string should have at least 1 character"),
        ("fillers:\n  thinking: []\n", "agent.yaml:6: fillers.thinking: list should have at least 1 item"),
        ("fillers:\n  tool: [Moment.]\n  agian: [Gleich.]\n", "agent.yaml:7: fillers.agian: unknown key; did you mean 'again'?"),
        ("filler: [Moment.]\n", "agent.yaml:5: filler: unknown key; did you mean 'fillers'?"),
        ("impatience:\n  offer_after: 0\n", "agent.yaml:6: impatience.offer_after: input should be greater than or equal to 1"),
        ("impatience:\n  ofer_after: 2\n", "agent.yaml:6: impatience.ofer_after: unknown key; did you mean 'offer_after'?"),
        ("escalation:\n  destination: tel:1\n  ofer: Hm?\n", "agent.yaml:7: escalation.ofer: unknown key; did you mean 'offer'?"),
        ("lexicon:\n  SQL: sequel\n  GIF: ''\n", "agent.yaml:7: lexicon.GIF: string should have at least 1 character"),
        ("lexicon:\n  7: seven\n", "agent.yaml:6: lexicon.7: input should be a valid string, not 7"),
        ("turn:\n  speeking: {}\n", "agent.yaml:6: turn.speeking: unknown key; did you mean 'speaking'?"),
        ("turn:\n  home: {}\n", "agent.yaml:6: turn.home: unknown key; known: collecting_digits, greeting, legal_text"),
        ("turn:\n  speaking:\n    digits_ms: 100\n    barge_in_ms: 1\n", "agent.yaml:8: turn.speaking.barge_in_ms: unknown key; did you mean 'barge_in_"),
        ("turn:\n  speaking:\n    digits_ms: 0\n", "agent.yaml:7: turn.speaking.digits_ms: expected a whole number from 1 on, not 0"),
        ("turn:\n  speaking:\n    speculations: -1\n", "agent.yaml:7: turn.speaking.speculations: expected a whole number from 0 on"),
        ("turn:\n  speaking:\n    digits_ms: 1.5\n", "agent.yaml:7: turn.speaking.digits_ms: input should be a valid integer, not 1.5"),
        ("turn:\n  speaking:\n    digits_ms: true\n", "agent.yaml:7: turn.speaking.digits_ms: input should be a valid integer"),
        ("language: automatic\n", "agent.yaml:5: language: string should match"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(tmp_path: Path, written: str, expected: str) -> None:
    with pytest.raises(AgentInvalid) as refused:
        load(tmp_path, written)
    told = [str(mistake) for mistake in refused.value.mistakes]
    assert len(told) == 1
    assert told[0].startswith(expected), told


def test_the_front_desk_uses_them() -> None:
    agent = load_agent(FRONT_DESK, VARIABLES)
    assert agent.filler_sentences.tool
    assert agent.filler_sentences.again
    assert agent.escalation is not None
    assert agent.escalation.offer.endswith("?")
