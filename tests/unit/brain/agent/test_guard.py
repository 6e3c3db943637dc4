"""A mistake in `guard`, `limits` or `context` is told with file, line, key and what is expected."""

from pathlib import Path

import pytest

# ruff: noqa: E501 -- the mistakes are a table
from services.brain.agent import AgentInvalid, load_agent

AGENT = (
    "name: shop\ngreeting: Hello!\nmodel: openai/gpt-5-mini\nprompts: {system: system.md}\n"  # the next line is line 5
)


def folder(tmp_path: Path, more: str, guard: str = "def check(clause):\n    return clause\n") -> Path:
    (tmp_path / "agent.yaml").write_text(AGENT + more)
    (tmp_path / "system.md").write_text("You sell things.\n")
    (tmp_path / "tools").mkdir(exist_ok=True)
    (tmp_path / "tools" / "guard.py").write_text(guard)
    return tmp_path


def mistakes(tmp_path: Path, more: str, guard: str = "def check(clause):\n    return clause\n") -> list[str]:
    with pytest.raises(AgentInvalid) as refused:
        load_agent(folder(tmp_path, more, guard))
    return [str(one) for one in refused.value.mistakes]


def test_all_of_it_together(tmp_path: Path) -> None:
    agent = load_agent(
        folder(
            tmp_path,
            "guard:\n  filter: tools/guard.py:check\n  say: Sorry, no.\n  secrets: [CRM_PIN]\n"
            "  topics: {only: shirts, avoid: [politics, medicine]}\n"
            "limits: {turns: 50, minutes: 10, cost: 0.5, tool_calls: 30}\ncontext: {messages: 40, keep: 10}\n",
        )
    )
    assert agent.guard.topics.avoid == {"politics": [], "medicine": []}
    assert agent.limits.cost == 0.5
    assert agent.context.keep == 10


def test_nothing_of_it_is_needed(tmp_path: Path) -> None:
    agent = load_agent(folder(tmp_path, ""))
    assert (agent.limits.turns, agent.limits.minutes, agent.context.messages) == (200, 60, 60)
    assert not agent.guard.filter


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("guard:\n  flter: x.py:check\n", "agent.yaml:6: guard.flter: unknown key; did you mean 'filter'?"),
        ("guard:\n  filter: tools/guard.py\n", "agent.yaml:6: guard.filter: string should match"),
        ("guard:\n  filter: tools/other.py:check\n", "agent.yaml:6: guard.filter: the file tools/other.py does not exist"),
        ("guard:\n  filter: tools/guard.py:chek\n", "agent.yaml:6: guard.filter: tools/guard.py has no function chek; it has: check"),
        ("guard:\n  filter: a/../../x.py:check\n", "agent.yaml:6: guard.filter: expected a file inside the agent folder"),
        ("guard:\n  filter: /x.py:check\n", "agent.yaml:6: guard.filter: string should match"),
        ("guard:\n  filter_deadline_ms: 9000\n", "agent.yaml:6: guard.filter_deadline_ms: input should be less than"),
        ("guard:\n  say: ''\n", "agent.yaml:6: guard.say: string should have at least 1 character"),
        ("guard:\n  secrets:\n    - CRM TOKEN\n", "agent.yaml:7: guard.secrets[0]: string should match"),
        ("guard:\n  secrets: CRM_TOKEN\n", "agent.yaml:6: guard.secrets: input should be a valid list"),
        ("guard:\n  topics:\n    avoid:\n      politics:\n        - '**'\n", "agent.yaml:9: guard.topics.avoid.politics[0]: expected a word or a phrase"),
        ("guard:\n  topics:\n    avoid: politics\n", "agent.yaml:7: guard.topics.avoid: input should be a valid dictionary"),
        ("guard:\n  topics:\n    never: [x]\n", "agent.yaml:7: guard.topics.never: unknown key; known: avoid, only"),
        ("limits:\n  turn: 3\n", "agent.yaml:6: limits.turn: unknown key; did you mean 'turns'?"),
        ("limits:\n  turns: 0\n", "agent.yaml:6: limits.turns: input should be greater than or equal to 1"),
        ("limits:\n  minutes: 5m\n", "agent.yaml:6: limits.minutes: input should be a valid number"),
        ("limits:\n  cost: -1\n", "agent.yaml:6: limits.cost: input should be greater than or equal to 0"),
        ("limits:\n  near: 90\n", "agent.yaml:6: limits.near: input should be less than or equal to 1"),
        ("context:\n  messages: 20\n  keep: 15\n", "agent.yaml:7: context.keep: expected at most half of `messages` (10), not 15"),
        ("context:\n  tokens: many\n", "agent.yaml:6: context.tokens: input should be a valid integer"),
        ("context:\n  message: 20\n", "agent.yaml:6: context.message: unknown key; did you mean 'messages'?"),
        ("guard: yes\n", "agent.yaml:5: guard: "),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(tmp_path: Path, more: str, expected: str) -> None:
    told = mistakes(tmp_path, more)
    assert any(one.startswith(expected) for one in told), told


@pytest.mark.parametrize(
    ("guard", "expected"),
    [
        ("def check(:\n", "cannot read tools/guard.py"),
        ("check = 7\n", "tools/guard.py has no function check; it has: none"),
        ("def check():\n    return ''\n", "check in tools/guard.py must take one argument: the clause"),
        ("def check(a, b):\n    return a\n", "check in tools/guard.py must take one argument: the clause"),
    ],
)
def test_a_check_that_cannot_be_one(tmp_path: Path, guard: str, expected: str) -> None:
    told = mistakes(tmp_path, "guard:\n  filter: tools/guard.py:check\n", guard)
    assert told[0].startswith(f"agent.yaml:6: guard.filter: {expected}")


def test_another_check_is_another_version(tmp_path: Path) -> None:
    before = load_agent(folder(tmp_path, "guard: {filter: 'tools/guard.py:check'}\n")).version
    (tmp_path / "tools" / "guard.py").write_text("def check(clause):\n    return None\n")
    assert load_agent(tmp_path).version != before
