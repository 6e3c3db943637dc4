"""`tandem/script` through LiteLLM: it streams and calls tools as any provider does, and keeps no state of a call."""

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import litellm
import pytest

from services.brain.agent import Agent
from services.brain.script.provider import MODEL, ScriptedAgent, arguments, set_up
from services.brain.tools.toolbox import ToolBox

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=ZoneInfo("Europe/London"))
Messages = list[dict[str, Any]]


def said(*texts: str) -> Messages:
    """Messages of a conversation: caller and agent in turn."""
    roles = ("user", "assistant")
    return [{"role": "system", "content": "You are ..."}] + [
        {"role": roles[n % 2], "content": text} for n, text in enumerate(texts)
    ]


async def stream(agent: Agent, messages: Messages) -> tuple[list[str], list[Any], str]:
    """The pieces of text, the tool calls and the reason to finish."""
    tools = ToolBox(agent.tools).openai_tools()
    pieces, calls, finish = [], [], ""
    answer = await litellm.acompletion(
        model=MODEL, messages=messages, tools=tools, stream=True, **arguments(agent, NOW)
    )
    async for chunk in answer:
        choice = chunk.choices[0]
        if choice.delta.content:
            pieces.append(choice.delta.content)
        calls += choice.delta.tool_calls or []
        finish = choice.finish_reason or finish
    return pieces, calls, finish


async def test_text_comes_clause_by_clause(front_desk: Agent, scripted: ScriptedAgent) -> None:
    pieces, calls, finish = await stream(front_desk, said("book me in for Tuesday at ten", "What name?", "Maria Lopez"))
    assert (pieces, calls, finish) == (["And what's your phone number?"], [], "stop")
    pieces, _, _ = await stream(
        front_desk, said("book me in for Tuesday at ten", "What name?", "Maria Lopez", "And", "555 0142 789")
    )
    assert pieces[0] == "Let me read that back: "
    assert len(pieces) == 7


async def test_a_tool_is_called_and_its_answer_told(front_desk: Agent, scripted: ScriptedAgent) -> None:
    messages = said("are you open on Saturday?")
    pieces, calls, finish = await stream(front_desk, messages)
    assert (pieces, finish) == ([], "tool_calls")
    assert calls[0].function.name == "get_hours"
    assert json.loads(calls[0].function.arguments) == {"date": "2026-11-28"}
    function = {"name": calls[0].function.name, "arguments": calls[0].function.arguments}
    messages += [
        {"role": "assistant", "tool_calls": [{"id": calls[0].id, "type": "function", "function": function}]},
        {
            "role": "tool",
            "tool_call_id": calls[0].id,
            "content": json.dumps({"ok": True, "value": {"asked": {"date": "2026-11-28", "open": False}}}),
        },
    ]
    pieces, calls, finish = await stream(front_desk, messages)
    assert "".join(pieces) == "No, we're closed Saturday the twenty-eighth of November. Is there anything else?"
    assert (calls, finish) == ([], "stop")


async def test_goodbye_and_end_call_come_together(front_desk: Agent, scripted: ScriptedAgent) -> None:
    pieces, calls, finish = await stream(front_desk, said("goodbye"))
    assert "".join(pieces) == "Thank you for calling. Goodbye!"
    assert (calls[0].function.name, finish) == ("end_call", "tool_calls")


async def test_without_streaming(front_desk: Agent, scripted: ScriptedAgent) -> None:
    answer = await litellm.acompletion(model=MODEL, messages=said("where are you"), **arguments(front_desk, NOW))
    assert answer.choices[0].message.content.startswith("We're at twelve Riverside Walk")


def test_blocking_calls_work_too(front_desk: Agent, scripted: ScriptedAgent) -> None:
    answer = litellm.completion(model=MODEL, messages=said("bye"), **arguments(front_desk, NOW))
    assert answer.choices[0].message.tool_calls[0].function.name == "end_call"
    chunks = litellm.completion(model=MODEL, messages=said("bye"), stream=True, **arguments(front_desk, NOW))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Thank you for calling. Goodbye!"


async def test_an_unknown_agent_is_refused() -> None:
    set_up()
    with pytest.raises(litellm.BadRequestError, match="registered"):
        await litellm.acompletion(model=MODEL, messages=said("hi"), metadata={"tandem": {"agent": "nobody@1"}})


def test_two_messages_in_a_row_are_one_utterance(scripted: ScriptedAgent) -> None:
    went_on = [{"role": "user", "content": "I'd like an appointment"}, {"role": "user", "content": "on Tuesday at ten"}]
    answer, dialogue = scripted.answer(went_on, NOW)
    assert answer.text == "What name shall I put it under?"
    assert dialogue.memory.known() == {"start": "2026-11-24T10:00:00"}


def test_a_tool_that_never_ran_leaves_the_question_open(scripted: ScriptedAgent) -> None:
    messages = said(
        "book me in for Tuesday at ten for Maria Lopez, 5550142789", "Is that right?", "yes", "Wait", "no, at eleven"
    )
    answer, _ = scripted.answer(messages, NOW)
    assert answer.call is None
    assert "eleven in the morning" in answer.text


def test_results_of_another_model_are_passed_over(scripted: ScriptedAgent) -> None:
    function = {"name": "get_hours", "arguments": "{}"}
    messages = [
        *said("I'd like to book an appointment"),
        {"role": "assistant", "tool_calls": [{"id": "x", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "x", "content": "not json"},
        {"role": "user", "content": [{"type": "text", "text": "Tuesday at ten"}]},
    ]
    assert scripted.answer(messages, NOW)[0].text == "What name shall I put it under?"


def test_every_brain_answers_the_same(front_desk: Agent, scripted: ScriptedAgent) -> None:
    messages = said("book me in for Tuesday at ten", "", "no idea", "", "Maria Lopez", "", "555 0142")
    assert ScriptedAgent(front_desk).answer(messages, NOW)[0] == scripted.answer(messages, NOW)[0]
