"""Flows in a real conversation: asked for by the model, walked turn by turn, their outcome told to the model."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from services.brain.agent import Agent, load_agent
from services.brain.tools.result import ToolResult
from services.brain.tools.toolbox import ToolBox
from tandem.textcall.call import TextCall
from tandem.textcall.journals import Journals
from tests.integration.brain.test_trouble import calls, says

AGENT = """
name: test
greeting: "Hello, power company."
model: openai/test
model_options: {{api_base: "{url}", api_key: none}}
prompts: {{system: system.md}}
tools: tools.yaml
flows: flows.yaml
"""
TOOLS = """
tools:
  - {name: check_customer, description: "Who is it.", url: "http://127.0.0.1:9/check", method: POST, side_effect: false,
     parameters: {type: object, properties: {customer: {type: string}, pin: {type: string}}}}
"""
FLOWS = """
flows:
  identify:
    description: Find out who is calling.
    steps:
      - collect: {slot: customer, kind: digits, length: 6, ask: "What is your customer number?", confirm: always,
                  confirm_say: "{{ value }}. Is that right?"}
      - collect: {slot: pin, kind: digits, length: 4, secret: true, ask: "And your PIN?"}
      - authenticate: {tool: check_customer, arguments: {customer: customer, pin: pin}, save_as: account}
      - say: "Thank you."
"""


class BrainDied(Exception):
    pass


@pytest.fixture
def agent(tmp_path: Path, openai_server: Any, warm_model: None) -> Agent:
    for name, text in (
        ("agent.yaml", AGENT.format(url=openai_server.url)),
        ("tools.yaml", TOOLS),
        ("flows.yaml", FLOWS),
        ("system.md", "Be brief."),
    ):
        (tmp_path / name).write_text(text)
    return load_agent(tmp_path, {})


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Arguments that came to `check_customer`."""
    asked: list[dict[str, Any]] = []

    async def call(self: Any, name: str, arguments: dict[str, Any], key: str) -> ToolResult:
        asked.append(arguments)
        return ToolResult(ok=True, value={"name": "Ada", "echo": arguments})

    monkeypatch.setattr(ToolBox, "call", call)
    return asked


async def test_a_flow_asks_confirms_and_tells_the_model(
    agent: Agent, openai_server: Any, checked: list[dict[str, Any]]
) -> None:
    openai_server.answers += [calls("flow_identify"), says("Hello Ada. What can I do?")]
    async with TextCall(agent, ToolBox(agent.tools)) as call:
        assert "customer number" in (await call.say("It's about my bill.")).agent_text
        assert "Is that right?" in (await call.say("One two three four five six.")).agent_text
        assert "PIN" in (await call.say("Yes.")).agent_text
        last = await call.press("4711")
        assert last.agent_text == "Thank you. Hello Ada. What can I do?"
        journal = str(call.journal)
    assert [(one["customer"], one["pin"]) for one in checked] == [("123456", "4711")]
    told = [one for one in openai_server.requests[-1]["messages"] if one["role"] == "tool"]
    result = json.loads(told[0]["content"])
    assert result["ok"]
    assert result["value"]["customer"] == "123456"
    assert "4711" not in json.dumps(openai_server.requests[-1])
    assert "4711" not in journal


async def test_a_question_in_between_is_answered_and_the_flow_goes_on(
    agent: Agent, openai_server: Any, checked: list[dict[str, Any]]
) -> None:
    openai_server.answers += [calls("flow_identify"), says("It stands on your bill.")]
    async with TextCall(agent, ToolBox(agent.tools)) as call:
        await call.say("It's about my bill.")
        aside = await call.say("Where do I find my customer number?")
        assert aside.agent_text.startswith("It stands on your bill.")
        assert "Is that right?" in (await call.say("One two three four five six.")).agent_text
    offered = [one["function"]["name"] for one in openai_server.requests[-1]["tools"]]
    assert "flow_identify" not in offered


async def test_another_brain_goes_on_at_the_same_question(
    agent: Agent, openai_server: Any, checked: list[dict[str, Any]]
) -> None:
    openai_server.answers += [calls("flow_identify")]
    journals = Journals()
    with contextlib.suppress(BrainDied):
        async with TextCall(agent, ToolBox(agent.tools), call_id="f3", journals=journals) as first:
            await first.say("It's about my bill.")
            assert "Is that right?" in (await first.say("One two three four five six.")).agent_text
            raise BrainDied
    async with TextCall(agent, ToolBox(agent.tools), call_id="f3", journals=journals) as second:
        assert "Is that right?" in second.greeting.agent_text
        assert "PIN" in (await second.say("Yes.")).agent_text


async def test_never_mind_ends_it(agent: Agent, openai_server: Any, checked: list[dict[str, Any]]) -> None:
    openai_server.answers += [calls("flow_identify"), says("All right.")]
    async with TextCall(agent, ToolBox(agent.tools)) as call:
        await call.say("It's about my bill.")
        assert (await call.say("Never mind.")).agent_text == "All right."
    told = [one for one in openai_server.requests[-1]["messages"] if one["role"] == "tool"]
    assert json.loads(told[0]["content"])["code"] == "cancelled"


async def test_the_model_reads_a_flow_in_the_order_in_which_it_was_spoken(
    agent: Agent, openai_server: Any, checked: list[dict[str, Any]]
) -> None:
    """The flow's result comes last: the model goes on from there."""
    openai_server.answers += [calls("flow_identify"), says("Hello Ada. What can I do?")]
    async with TextCall(agent, ToolBox(agent.tools)) as call:
        for said in ("It's about my bill.", "One two three four five six.", "Yes."):
            await call.say(said)
        await call.press("4711")
    roles = [one["role"] for one in openai_server.requests[-1]["messages"][1:]]
    assert roles == ["assistant", "user"] * 4 + ["assistant", "tool"]


async def test_a_yes_after_a_flow_answers_no_offer_that_was_never_made(
    agent: Agent, openai_server: Any, checked: list[dict[str, Any]]
) -> None:
    """The caller swore at the flow, which goes on: nobody offered them a person."""
    with (agent.folder / "agent.yaml").open("a") as file:
        file.write('escalation: {destination: "sip:p@127.0.0.1"}\nimpatience: {offer_after: 1}\n')
    sworn_at = load_agent(agent.folder, {})
    openai_server.answers += [calls("flow_identify"), says("Is there anything else?"), says("What is it?")]
    async with TextCall(sworn_at, ToolBox(sworn_at.tools)) as call:
        for said in ("It's about my bill.", "One two three four five six.", "Yes."):
            await call.say(said)
        await call.say("Fuck you, I told you already, four seven one one.")
        assert (await call.say("Yes.")).agent_text == "What is it?"
        assert not call.transferred
