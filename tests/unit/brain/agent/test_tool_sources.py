"""`mcp_servers` in agent.yaml and `python` in tools.yaml: mistakes with file, line, key and what is expected."""

# ruff: noqa: E501 -- the mistakes are a table
from pathlib import Path

import pytest

from services.brain.agent import AgentInvalid, load_agent

FILES = {
    "agent.yaml": "name: shop\ngreeting: Hello!\nmodel: openai/any\nprompts: {system: system.md}\ntools: tools.yaml\n",
    "system.md": "You sell things.\n",
    "tools.yaml": "tools:\n  - name: stock\n    python: stock.py:stock\n    side_effect: false\n",
    "stock.py": 'def stock(colour: str) -> int:\n    """How many there are."""\n    return 3\n',
}


def folder(tmp_path: Path, **files: str) -> Path:
    """An agent with a Python tool; `agent_yaml` is put behind agent.yaml, other files are written as given."""
    added = files.pop("agent_yaml", "")
    for name, text in {**FILES, **{name.replace("_", "."): text for name, text in files.items()}}.items():
        (tmp_path / name).write_text(text + added if name == "agent.yaml" else text)
    return tmp_path


def mistakes(path: Path, **variables: str) -> list[str]:
    with pytest.raises(AgentInvalid) as refused:
        load_agent(path, variables)
    return [str(mistake) for mistake in refused.value.mistakes]


def test_a_function_says_what_tools_yaml_does_not(tmp_path: Path) -> None:
    tool = load_agent(folder(tmp_path)).tool("stock")
    assert tool is not None
    assert tool.description == "How many there are."
    assert tool.parameters["required"] == ["colour"]


@pytest.mark.parametrize(
    ("tools", "source", "told"),
    [
        ("python: stock.py:sotck", FILES["stock.py"], "tools.yaml:3: tools[0].python: there is no function sotck in stock.py; it has stock"),
        ("python: gone.py:stock", "", "tools.yaml:3: tools[0].python: the file gone.py does not exist"),
        ("python: ../stock.py:stock", "", "tools.yaml:3: tools[0].python: expected a file inside the agent folder, not ../stock.py"),
        ("python: stock", "", "tools.yaml:3: tools[0].python: expected file and function, as tools/calendar.py:free_slots, not stock"),
        ("python: stock.py:stock", "def stock(", "stock.py:1: not Python: '(' was never closed"),
        ("python: stock.py:stock", "\nimport shelf", "stock.py:2: fails when it is loaded: ModuleNotFoundError: No module named 'shelf'"),
        ("python: stock.py:stock", "def stock(): ...", "tools.yaml:3: tools[0].python: stock has no docstring; write one, or `description` here"),
        ("python: stock.py:stock\n    parameters: {type: object, properties: {size: {}}}", FILES["stock.py"], "tools.yaml:4: tools[0].parameters.properties.size: stock has no parameter 'size'; known: colour"),
    ],
)  # fmt: skip
def test_a_python_tool_with_a_mistake_is_refused(tmp_path: Path, tools: str, source: str, told: str) -> None:
    written = f"tools:\n  - name: stock\n    {tools}\n    side_effect: false\n"
    assert mistakes(folder(tmp_path, tools_yaml=written, stock_py=source)) == [told]


@pytest.mark.parametrize(
    ("servers", "told"),
    [
        ("  crm: {}", "agent.yaml:7: mcp_servers.crm: expected either `url` (streamable HTTP) or `command` (a program), one of the two"),
        ("  crm:\n    command: a\n    url: http://a/mcp", "agent.yaml:7: mcp_servers.crm: expected either `url` (streamable HTTP) or `command` (a program), one of the two"),
        ("  crm:\n    url: http://a/mcp\n    args: [a]", "agent.yaml:9: mcp_servers.crm.args: goes with `command` only"),
        ("  crm:\n    comand: a", "agent.yaml:8: mcp_servers.crm.comand: unknown key; did you mean 'command'?"),
        ("  crm:\n    command: a\n    tools:\n      book: {side_efect: true}", "agent.yaml:10: mcp_servers.crm.tools.book.side_efect: unknown key; did you mean 'side_effect'?"),
        ("  crm:\n    command: a\n    tools: some", "agent.yaml:9: mcp_servers.crm.tools: expected `all`, a list of tool names, or tool names with what is set otherwise"),
        ("  crm:\n    command: a\n    tools: [stock]", "agent.yaml:9: mcp_servers.crm.tools: there is already a tool stock; use `rename`"),
        ("  crm:\n    command: a\n    tools:\n      book:\n        rename: end_call", "agent.yaml:9: mcp_servers.crm.tools: there is already a tool end_call; use `rename`"),
        ("  crm:\n    command: a\n    call_timeout_ms: 5", "agent.yaml:9: mcp_servers.crm.call_timeout_ms: input should be greater than or equal to 100, not 5"),
        ("  CRM:\n    command: a", "agent.yaml:7: mcp_servers.CRM: string should match pattern '^[a-z][a-z0-9_]{0,30}$', not 'CRM'"),
    ],
)  # fmt: skip
def test_an_mcp_server_with_a_mistake_is_refused(tmp_path: Path, servers: str, told: str) -> None:
    assert mistakes(folder(tmp_path, agent_yaml=f"mcp_servers:\n{servers}\n")) == [told]


def test_no_mistake_shows_a_header(tmp_path: Path) -> None:
    written = 'mcp_servers:\n  crm:\n    url: http://a/mcp\n    headers: {Authorization: "Bearer ${TOKEN}\\n"}\n'
    (told,) = mistakes(folder(tmp_path, agent_yaml=written), TOKEN="very secret")
    assert told == "agent.yaml:9: mcp_servers.crm.headers.Authorization: expected one line of ASCII"
