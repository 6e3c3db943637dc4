"""All that one call's models are told, from an agent's folder."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.brain.agent import load_agent
from services.brain.context.model_context import ModelContext
from services.brain.guardrails.hygiene import STANDING_RULE
from services.brain.history import Message
from tandem.v1.call_pb2 import CallFacts

AGENT = """
name: shop
greeting: Hello!
timezone: Europe/Berlin
language: de
model: openai/gpt-5-mini
prompts: {system: system.md}
guard: {topics: {avoid: [politics]}}
context: {messages: 6, keep: 2}
"""
ANSWERED = datetime(2026, 11, 23, 22, 30, tzinfo=UTC)


def context_of(tmp_path: Path) -> ModelContext:
    (tmp_path / "agent.yaml").write_text(AGENT)
    (tmp_path / "system.md").write_text("You sell shirts.")
    agent, facts = load_agent(tmp_path), CallFacts(caller_number="+4930123")
    return ModelContext(agent, facts, ANSWERED, agent.system_message(ANSWERED, facts), "Last call: a red shirt.")


def test_the_system_message_holds_all_that_stands_still(tmp_path: Path) -> None:
    told = context_of(tmp_path).system["content"]
    places = [
        told.index(part)
        for part in (
            STANDING_RULE,
            "You sell shirts.",
            "- Never talk about: politics",
            "- call began: Monday 23 November 2026, 23:30, time zone Europe/Berlin",
            "- caller's number: +4930123",
            "Last call: a red shirt.",
        )
    ]
    assert places == sorted(places)


def test_a_turn_of_a_long_call_over_midnight(tmp_path: Path) -> None:
    context = context_of(tmp_path)
    history: list[Message] = [{"role": "system", "content": "of the history, not sent"}]
    for turn in range(10):
        history += [{"role": "user", "content": f"das ist Satz {turn}"}, {"role": "assistant", "content": "Gut."}]
    history.append({"role": "user", "content": "und nun?"})
    told = context.messages(history, ANSWERED + timedelta(minutes=40), ["Be brief."], "de")
    assert told[0] == context.system
    assert [one["role"] for one in told].count("system") == 1
    assert told[1]["content"].startswith("[line: Das Gespräch bisher, in Kürze.")
    assert told[-1]["content"].startswith(
        "und nun?\n\n[line: It is past midnight: the call began on Monday 23 November"
    )
    assert told[-1]["content"].endswith("[line: Be brief.]")
    assert len(told) <= 1 + 6 + 1
