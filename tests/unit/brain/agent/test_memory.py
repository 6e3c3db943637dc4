"""agent.yaml's `memory`."""

from pathlib import Path

import pytest

from services.brain.agent import Agent, AgentInvalid, load_agent
from services.brain.agent.memory import Memory


def load(tmp_path: Path, more: str) -> Agent:
    (tmp_path / "system.md").write_text("Be brief.")
    text = f"name: a\ngreeting: Hello\nmodel: openai/x\nprompts: {{system: system.md}}\n{more}"
    (tmp_path / "agent.yaml").write_text(text)
    return load_agent(tmp_path)


def test_it_is_off_unless_written(tmp_path: Path) -> None:
    assert load(tmp_path, "").memory is None
    assert load(tmp_path, "memory: {}").memory == Memory(calls=3, days=90)
    assert load(tmp_path, "memory: {calls: 1, days: 7}").memory == Memory(calls=1, days=7)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("memory: {days: 0}", "agent.yaml:5: memory.days: input should be greater than or equal to 1, not 0"),
        ("memory: {calls: 99}", "agent.yaml:5: memory.calls: input should be less than or equal to 20, not 99"),
        ("memory: {day: 1}", "agent.yaml:5: memory.day: unknown key; did you mean 'days'?"),
        ("memory: yes", "agent.yaml:5: memory: input should be a valid dictionary or instance of Memory, not True"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, more: str, expected: str) -> None:
    with pytest.raises(AgentInvalid) as error:
        load(tmp_path, more)
    assert [str(one) for one in error.value.mistakes] == [expected]
