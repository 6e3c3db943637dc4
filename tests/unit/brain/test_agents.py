"""The agents of a brain: versions, leases, folders that change under a live call."""

from pathlib import Path

import pytest
import structlog

from services.brain.agent import Agent, AgentInvalid
from services.brain.agents import Agents
from services.brain.tools.toolbox import ToolBox

AGENT = """
name: {name}
greeting: "{greeting}"
prompts: {{system: system.md}}
script: script.yaml
{more}
"""
SCRIPT = "slots: {}\nintents:\n  hours: {examples: [when are you open], say: From nine.}\n"


class Box(ToolBox):
    """Tools that note when they are closed."""

    def __init__(self, agent: Agent) -> None:
        super().__init__([])
        self.greeting = agent.greeting
        self.started = self.closed = 0

    async def start(self) -> None:
        self.started += 1

    async def aclose(self) -> None:
        self.closed += 1
        await super().aclose()


class Ready:
    """Models that need no warming up."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    async def warm_up(self) -> None:
        if self.agent.model == "nonsense":
            raise ValueError("no provider has the model nonsense")


class Shelf:
    """A folder of agents under the test's hands, and the brain's view of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.boxes: list[Box] = []

    def write(self, name: str = "desk", greeting: str = "Hello.", more: str = "") -> None:
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        (folder / "agent.yaml").write_text(AGENT.format(name=name, greeting=greeting, more=more))
        (folder / "system.md").write_text("Be brief.")
        (folder / "script.yaml").write_text(SCRIPT)

    def remove(self, name: str = "desk") -> None:
        for file in (self.path / name).iterdir():
            file.unlink()
        (self.path / name).rmdir()

    def agents(self) -> Agents:
        return Agents(self.path, {}, self._box, Ready)  # type: ignore[arg-type]

    def _box(self, agent: Agent) -> Box:
        self.boxes.append(Box(agent))
        return self.boxes[-1]


async def looked_twice(agents: Agents) -> None:
    await agents.look()
    await agents.look()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def greeting(agents: Agents, name: str = "desk", version: str = "") -> str | None:
    lease = agents.lease(name, version)
    return lease.agent.greeting if lease is not None else None


async def test_all_folders_are_there_at_the_start(shelf: Shelf) -> None:
    shelf.write()
    shelf.write("sales", "Hi.")
    (shelf.path / "notes").mkdir()
    agents = shelf.agents()
    await agents.start()
    assert len(agents) == 2
    assert [box.started for box in shelf.boxes] == [1, 1]
    assert greeting(agents, "sales") == "Hi."
    assert agents.get("nobody") is None
    assert agents.lease("nobody") is None
    await agents.close()
    assert [box.closed for box in shelf.boxes] == [1, 1]


def test_a_folder_with_mistakes_stops_the_start(shelf: Shelf) -> None:
    shelf.write(more="greating: hello")
    with pytest.raises(AgentInvalid, match="did you mean 'greeting'"):
        shelf.agents()


async def test_a_live_call_keeps_its_version_and_the_next_has_the_new_one(shelf: Shelf) -> None:
    shelf.write()
    agents = shelf.agents()
    before = agents.lease("desk")
    assert before is not None
    shelf.write(greeting="Good day.")
    await looked_twice(agents)
    assert before.agent.greeting == "Hello."
    assert greeting(agents) == "Good day."
    assert shelf.boxes[0].closed == 0
    assert shelf.boxes[1].started == 1
    # Another brain's call of that version is taken over as it was.
    assert greeting(agents, version=before.agent.version) == "Hello."
    await agents.close()


async def test_what_no_call_has_any_more_is_closed(shelf: Shelf) -> None:
    shelf.write()
    agents = shelf.agents()
    first, second = agents.lease("desk"), agents.lease("desk")
    assert first is not None
    assert second is not None
    shelf.write(greeting="Good day.")
    await looked_twice(agents)
    first.release()
    first.release()
    assert shelf.boxes[0].closed == 0
    with second:
        pass
    await agents.close()
    assert [box.closed for box in shelf.boxes] == [1, 1]


async def test_a_version_that_is_gone_is_answered_by_the_newest(shelf: Shelf) -> None:
    shelf.write()
    agents = shelf.agents()
    with structlog.testing.capture_logs() as logs:
        assert greeting(agents, version="of last week") == "Hello."
    assert [one["wanted"] for one in logs] == ["of last week"]
    await agents.close()


async def test_mistakes_keep_the_last_good_version_and_are_told_once(shelf: Shelf) -> None:
    shelf.write()
    agents = shelf.agents()
    shelf.write(more="greating: hello")
    with structlog.testing.capture_logs() as logs:
        await looked_twice(agents)
        await looked_twice(agents)
    assert greeting(agents) == "Hello."
    assert [one["log_level"] for one in logs] == ["error"]
    assert "agent.yaml:6: greating" in logs[0]["mistakes"][0]
    shelf.write(greeting="Mended.")
    await looked_twice(agents)
    assert greeting(agents) == "Mended."
    await agents.close()


async def test_a_model_that_is_none_keeps_the_last_good_version(shelf: Shelf) -> None:
    shelf.write()
    agents = shelf.agents()
    shelf.write(more="model: nonsense")
    with structlog.testing.capture_logs() as logs:
        await looked_twice(agents)
    assert greeting(agents) == "Hello."
    assert "nonsense" in logs[0]["mistakes"][0]
    assert shelf.boxes[1].closed == 1
    await agents.close()


async def test_a_folder_that_is_gone_takes_no_new_calls(shelf: Shelf) -> None:
    shelf.write()
    agents = shelf.agents()
    live = agents.lease("desk")
    assert live is not None
    shelf.remove()
    await looked_twice(agents)
    assert agents.lease("desk") is None
    assert len(agents) == 0
    assert shelf.boxes[0].closed == 0
    # A brain that died leaves its call to us: it goes on as it was.
    assert greeting(agents, version=live.agent.version) == "Hello."
    shelf.write(greeting="Back.")
    await looked_twice(agents)
    assert greeting(agents) == "Back."
    await agents.close()


async def test_a_new_folder_takes_calls(shelf: Shelf) -> None:
    agents = shelf.agents()
    shelf.write("sales", "Hi.")
    await looked_twice(agents)
    assert greeting(agents, "sales") == "Hi."
    await agents.close()


async def test_a_given_version_is_to_be_raised_with_a_change(shelf: Shelf) -> None:
    shelf.write(more="version: '7'")
    agents = shelf.agents()
    shelf.write(greeting="Good day.", more="version: '7'")
    with structlog.testing.capture_logs() as logs:
        await looked_twice(agents)
    assert [one["version"] for one in logs] == ["7"]
    assert greeting(agents) == "Hello."
    shelf.write(greeting="Good day.", more="version: '8'")
    await looked_twice(agents)
    assert greeting(agents) == "Good day."
    await agents.close()


async def test_a_filter_that_does_not_load_is_a_mistake_and_keeps_no_other_agent_from_being_read(shelf: Shelf) -> None:
    shelf.write("desk")
    shelf.write("post")
    agents = shelf.agents()
    (shelf.path / "desk" / "filter.py").write_text("import nowhere_to_be_found\n\ndef check(clause): return clause\n")
    shelf.write("desk", greeting="Hi.", more="guard: {filter: 'filter.py:check'}")
    shelf.write("post", greeting="Hi.")
    with structlog.testing.capture_logs() as logs:
        await looked_twice(agents)
    assert greeting(agents) == "Hello."
    assert greeting(agents, "post") == "Hi."
    assert "nowhere_to_be_found" in next(one for one in logs if one["log_level"] == "error")["mistakes"][0]
    await agents.close()
    with pytest.raises(AgentInvalid, match=r"filter\.py: No module named 'nowhere_to_be_found'"):
        shelf.agents()
