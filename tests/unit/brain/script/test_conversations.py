"""Whole conversations with the front desk, as text (conversations.txt): no sound, no network, no clock."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from services.brain.script.answer import Lines
from services.brain.script.flow import Dialogue
from services.brain.script.hearing import Ear
from services.brain.script.provider import ScriptedAgent
from services.brain.script.script import Script

NOW = datetime(2026, 11, 23, 9, 0)

WRITTEN = Path(__file__).with_name("conversations.txt").read_text(encoding="utf-8")
CONVERSATIONS = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in WRITTEN.split("\n## ")[1:]}


def result_of(line: str) -> dict[str, object]:
    if line.startswith(("{", "[")):
        return {"ok": True, "value": json.loads(line)}
    code, _, value = line.partition(" ")
    return {"ok": False, "code": code, "error": code, "value": json.loads(value)}


def run(dialogue: Dialogue, conversation: str) -> list[str]:
    """The conversation as it went, in the form in which it is written above."""
    went: list[str] = []
    called = ""
    for line in conversation.splitlines():
        mark, said = line[:1], line[2:]
        if mark not in (">", "="):
            continue
        went.append(line)
        answer = dialogue.hear(said) if mark == ">" else dialogue.tool_finished(called, result_of(said))
        if answer.text or mark == "=":
            went.append(f"< {answer.text}".strip())
        if answer.call:
            called = answer.call.name
            went.append(f"! {called} {json.dumps(answer.call.arguments)}")
    return went


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation(name: str, scripted: ScriptedAgent) -> None:
    expected = CONVERSATIONS[name].splitlines()
    assert run(scripted.dialogue(NOW), CONVERSATIONS[name]) == expected


def test_first_clauses_are_short(scripted: ScriptedAgent) -> None:
    """Speech begins with the first clause: eight words at most."""
    for conversation in CONVERSATIONS.values():
        for line in run(scripted.dialogue(NOW), conversation):
            if line.startswith("< "):
                clause = line[2:].replace(":", ",").replace(".", ",").replace("?", ",").split(",")[0]
                assert len(clause.split()) <= 8, line


def test_the_calling_number_can_be_used(scripted: ScriptedAgent) -> None:
    dialogue = scripted.dialogue(NOW, caller_number="5550100200")
    dialogue.hear("book me in for Tuesday at ten for Maria Lopez")
    assert "five five five, zero one zero, zero two zero zero" in dialogue.hear("the number I'm calling from").text


def test_what_is_known_can_be_told(scripted: ScriptedAgent) -> None:
    dialogue = scripted.dialogue(NOW)
    dialogue.hear("I'd like an appointment on Tuesday, my name is Maria Lopez")
    assert dialogue.memory.known() == {"name": "Maria Lopez", "start": "2026-11-24"}


def test_another_agent_is_data_alone() -> None:
    """A shop with two slots and a single intent: nothing of the clinic is in the code."""
    script = Script.model_validate(
        {
            "slots": {
                "colour": {"type": "choice", "ask": "Which colour?", "choices": {"red": [], "blue": ["navy"]}},
                "wish": {"type": "text", "ask": "What shall I print on it?"},
            },
            "intents": {
                "buy": {
                    "examples": ["I want to buy a shirt"],
                    "needs": ["colour", "wish"],
                    "confirm": "A {{ colour }} shirt that says {{ wish }}. All right?",
                    "tool": "order",
                    "arguments": {"colour": "colour", "text": "wish"},
                    "say": "Ordered, number {{ result.number }}.",
                }
            },
        }
    )
    lines = Lines(goodbye="Bye.", transfer="", transfer_failed="", say_failed={})
    dialogue = Dialogue(Ear(script), lines, NOW)
    went = run(dialogue, '> I\'d like to buy a shirt\n> navy please\n> Hello world\n> yes\n= {"number": 7}\n> no')
    assert [line for line in went if line[0] not in ">="] == [
        "< Which colour?",
        "< What shall I print on it?",
        "< A blue shirt that says Hello world. All right?",
        '! order {"colour": "blue", "text": "Hello world"}',
        "< Ordered, number 7. Is there anything else?",
        "< Bye.",
        "! end_call {}",
    ]
