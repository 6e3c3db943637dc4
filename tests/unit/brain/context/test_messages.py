"""The order of what the model is told: what stands still comes first, what changes by turn comes last."""

import pytest

from services.brain.context.messages import caching_options, ordered, system_prompt
from services.brain.guardrails.hygiene import STANDING_RULE, strip_notes
from services.brain.history import Message

SYSTEM: Message = {"role": "system", "content": "S"}
CALL: Message = {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}
RESULT: Message = {"role": "tool", "tool_call_id": "1", "content": "{}"}


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def agent(text: str) -> Message:
    return {"role": "assistant", "content": text}


@pytest.mark.parametrize(
    ("messages", "notes", "expected"),
    [
        ([SYSTEM, user("a")], [], [SYSTEM, user("a")]),
        ([SYSTEM, user("a")], [""], [SYSTEM, user("a")]),
        ([SYSTEM, user("a")], ["Be brief."], [SYSTEM, user("a\n\n[line: Be brief.]")]),
        ([SYSTEM, user("a")], ["x", "", "y"], [SYSTEM, user("a\n\n[line: x]\n[line: y]")]),
        ([SYSTEM, agent("hi")], ["x"], [SYSTEM, agent("hi"), user("[line: x]")]),
        (
            [SYSTEM, user("a"), agent("b"), user("c"), CALL, RESULT],
            ["x"],
            [SYSTEM, user("a"), agent("b"), user("c\n\n[line: x]"), CALL, RESULT],
        ),
    ],
)
def test_notes_go_to_the_callers_latest_message(
    messages: list[Message], notes: list[str], expected: list[Message]
) -> None:
    given = [dict(one) for one in messages]
    assert ordered(messages, notes) == expected
    assert messages == given


def test_the_first_message_is_the_same_whatever_the_turn_brings() -> None:
    """A note must not undo the prompt cache: all before the caller's latest message stays as it was."""
    turns = [SYSTEM, user("a"), agent("b")]
    first = ordered([*turns, user("c")], ["Be brief."])
    second = ordered([*turns, user("c"), agent("d"), user("e")], ["It is past midnight."])
    assert first[:3] == second[:3] == turns
    assert [one["role"] for one in second].count("system") == 1


def test_the_system_message_begins_with_what_all_calls_share() -> None:
    told = system_prompt("You are the front desk.", "Facts of this call", "- Never talk about: politics")
    assert told.startswith(f"{STANDING_RULE}\n\nYou are the front desk.\n\n- Never")
    assert told.endswith("Facts of this call")
    assert "\n\n\n" not in system_prompt("a", "b")


def test_notes_can_be_taken_out_again_for_the_script() -> None:
    message = ordered([SYSTEM, user("Thursday at ten")], ["Be brief.", "Now it is 10:00."])[1]
    assert strip_notes(message["content"]) == "Thursday at ten"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("anthropic/claude-sonnet-4-5", {"cache_control_injection_points"}),
        ("claude-haiku-4-5", {"cache_control_injection_points"}),
        ("bedrock/anthropic.claude-sonnet-4-5", {"cache_control_injection_points"}),
        ("vertex_ai/claude-sonnet-4-5", {"cache_control_injection_points"}),
        ("openai/gpt-5-mini", {"prompt_cache_key"}),
        ("gpt-5-mini", {"prompt_cache_key"}),
        ("gemini/gemini-2.5-flash", set()),
        ("ollama/qwen3", set()),
        ("tandem/script", set()),
    ],
)
def test_what_a_provider_needs_to_cache(model: str, expected: set[str]) -> None:
    assert set(caching_options(model, "front_desk 7")) == expected
    assert caching_options("openai/gpt-5-mini") == {}
