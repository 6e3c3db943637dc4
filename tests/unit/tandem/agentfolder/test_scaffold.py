"""New agent folders."""

from pathlib import Path

import pytest
import yaml

from services.brain.agent import load_agent
from tandem.agentfolder.scaffold import CannotScaffold, scaffold
from tandem.agentfolder.testfile import find_tests, read_test


def test_a_new_agent_is_in_order(tmp_path: Path) -> None:
    made = scaffold("pizza_line", tmp_path / "agents")
    agent = load_agent(made)
    assert (agent.name, agent.model) == ("pizza_line", "tandem/script")
    assert [read_test(path, []).name for path in find_tests(made)] == ["hello"]


def test_the_example_of_a_tool_is_right_once_uncommented(tmp_path: Path) -> None:
    made = scaffold("pizza_line", tmp_path)
    lines = (made / "tools.yaml").read_text().splitlines()
    at = lines.index("tools: []")
    example = [line.removeprefix("#") for line in lines[at + 1 :] if line.startswith("#  ")]
    (made / "tools.yaml").write_text("\n".join(["tools:", *example]) + "\n")
    assert load_agent(made, {"SHOP_TOKEN": "t"}).tool("find_order") is not None


def test_the_example_of_a_server_is_right_once_uncommented(tmp_path: Path) -> None:
    made = scaffold("pizza_line", tmp_path)
    lines = (made / "agent.yaml").read_text().splitlines()
    at = lines.index("# mcp_servers:")
    example = yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines[at : at + 5]))
    assert example["mcp_servers"]["crm"]["tools"] == ["find_customer"]


@pytest.mark.parametrize("name", ["Pizza", "9lives", "pizza-line", "a b", "", "\u00e4rger", "x" * 65, "../up"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CannotScaffold):
        scaffold(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (scaffold("pizza", tmp_path) / "agent.yaml").write_text("mine")
    with pytest.raises(CannotScaffold, match="is there already"):
        scaffold("pizza", tmp_path)
    assert (tmp_path / "pizza" / "agent.yaml").read_text() == "mine"
