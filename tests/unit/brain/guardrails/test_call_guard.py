"""All guard rails of one call together, made from an agent's folder."""

from collections.abc import AsyncIterator
from pathlib import Path

from services.brain.agent import Agent, load_agent
from services.brain.guardrails.call_guard import AgentGuard, CallGuard
from services.brain.guardrails.limits import Step, Use
from services.brain.guardrails.loops import ToolLoop

AGENT = """
name: shop
greeting: Hello!
model: openai/gpt-5-mini
model_options: {api_key: sk-from-the-options}
prompts: {system: system.md}
tools: tools.yaml
guard:
  filter: guard.py:check
  say: Let's not.
  prompt_words: 6
  topics: {avoid: [politics]}
limits: {turns: 10}
"""
TOOLS = """
tools:
  - name: order
    description: Order a shirt.
    method: POST
    url: http://127.0.0.1:9/orders
    side_effect: true
    headers: {Authorization: "Bearer swordfish99", X-Tenant: riverside}
"""


def agent_in(tmp_path: Path) -> Agent:
    (tmp_path / "agent.yaml").write_text(AGENT)
    (tmp_path / "tools.yaml").write_text(TOOLS)
    (tmp_path / "system.md").write_text("You sell the finest shirts of the whole town. Be polite.")
    (tmp_path / "guard.py").write_text("def check(clause):\n    return None if 'refund' in clause else clause\n")
    return load_agent(tmp_path)


def guard_of(tmp_path: Path) -> CallGuard:
    agent = agent_in(tmp_path)
    return AgentGuard(agent, {"CRM_TOKEN": "hunter2secret", "LANG": "riverside"}).of_call(agent)


async def answer(guard: CallGuard, text: str) -> str:
    async def pieces() -> AsyncIterator[str]:
        for at in range(0, len(text), 3):
            yield text[at : at + 3]

    return "".join([piece async for piece in guard.answer(pieces(), "en")])


async def test_each_guard_rail_is_there(tmp_path: Path) -> None:
    guard = guard_of(tmp_path)
    assert await answer(guard, "Hello, this is Riverside.") == "Hello, this is Riverside."
    assert await answer(guard, "It is hunter two secret. Swordfish99!") == "It is …"
    assert await answer(guard, "Use sk-from-the-options now.") == "Use … now."
    assert await answer(guard, "Well, politics. So.") == "Well, Let's not."
    assert await answer(guard, "Well, a refund. So.") == "Well, Let's not."
    assert await answer(guard, "We sell the finest shirts of the whole town.") == "Let's not."
    guard.secrets.add("4711")
    assert await answer(guard, "You typed 4 7 1 1.") == "You typed …"
    assert guard.refused == {"topic": 1, "filter": 1, "prompt": 1}
    assert guard.hidden == 4
    assert guard.limits.check(Use(turns=10)).step is Step.GOODBYE
    assert guard.loops.tool_call("order", "{}") is ToolLoop.CALL


async def test_what_one_caller_entered_is_no_secret_of_another_call(tmp_path: Path) -> None:
    agent = agent_in(tmp_path)
    shared = AgentGuard(agent, {})
    one, other = shared.of_call(agent), shared.of_call(agent)
    one.secrets.add("4711")
    assert await answer(other, "Room 4711.") == "Room 4711."
