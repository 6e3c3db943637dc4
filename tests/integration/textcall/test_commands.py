"""`tandem agents`: what each command prints, and its exit code."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tandem.cli import app

ROOT = Path(__file__).parents[3]
FRONT_DESK = str(ROOT / "agents" / "front_desk")
RUNNER = CliRunner()


@pytest.fixture
def made(tmp_path: Path) -> Path:
    result = RUNNER.invoke(app, ["agents", "new", "shop_line", "--folder", str(tmp_path)])
    assert result.exit_code == 0
    assert f"tandem agents chat {tmp_path}/shop_line" in result.stdout
    return tmp_path / "shop_line"


def test_a_new_agent_is_in_order_and_passes_its_tests(made: Path) -> None:
    checked = RUNNER.invoke(app, ["agents", "check", str(made)])
    assert (checked.exit_code, checked.stderr) == (0, "")
    assert "no mistakes (tools: 0, tests: 1, version: " in checked.stdout
    tested = RUNNER.invoke(app, ["agents", "test", str(made)])
    assert tested.exit_code == 0
    assert tested.stdout.splitlines()[-1] == "1 passed, 0 failed"


def test_a_folder_of_agents_stands_for_them(made: Path) -> None:
    RUNNER.invoke(app, ["agents", "new", "other", "--folder", str(made.parent)])
    told = json.loads(RUNNER.invoke(app, ["agents", "check", "--json", str(made.parent)]).stdout)
    assert [Path(one["folder"]).name for one in told["agents"]] == ["other", "shop_line"]


def test_a_new_agent_is_talked_with(made: Path) -> None:
    lines = "hello\nwhen are you open\n/fly\n/slots\ngoodbye\n"
    talked = RUNNER.invoke(app, ["agents", "chat", str(made), "--from", "1001"], input=lines)
    assert talked.exit_code == 0
    assert "agent: Hello, this is Example Limited. How can I help you?" in talked.stdout
    assert "agent: We're open on weekdays from nine to five." in talked.stdout
    assert "there is no /fly; /help tells what there is" in talked.stdout
    assert talked.stdout.splitlines()[-1] == "(the call is over)"


def test_mistakes_are_told_by_file_and_line(made: Path) -> None:
    text = (made / "agent.yaml").read_text()
    (made / "agent.yaml").write_text(text.replace("goodbye:", "good_bye:"))
    line = text.splitlines().index('goodbye: "Thank you for calling. Goodbye!"') + 1
    for command in ("check", "test", "chat"):
        refused = RUNNER.invoke(app, ["agents", command, str(made)])
        assert refused.exit_code == 2
        assert f"{made}/agent.yaml:{line}: good_bye: unknown key; did you mean 'goodbye'?" in refused.stderr
    told = json.loads(RUNNER.invoke(app, ["agents", "check", "--json", str(made)]).stdout)
    assert told["agents"][0]["mistakes"][0]["line"] == line


def test_a_variable_without_a_value_is_told_with_the_way_to_give_one(made: Path) -> None:
    (made / "tools.yaml").write_text(
        "tools:\n  - {name: look, description: Looks., url: '${SHOP_URL}/look', side_effect: false}\n"
    )
    refused = RUNNER.invoke(app, ["agents", "check", str(made)])
    assert refused.exit_code == 2
    mistake, hint = refused.stderr.splitlines()
    assert f"{made}/tools.yaml:2: tools[0].url: unknown variable ${{SHOP_URL}}; known: " in mistake
    assert hint == "give it a value with --set SHOP_URL=VALUE, or under `brain.variables` in a file for --settings"
    checked = RUNNER.invoke(app, ["agents", "check", str(made), "--set", "SHOP_URL=http://127.0.0.1:1"])
    assert checked.exit_code == 0, checked.stderr


def test_a_server_that_does_not_start_is_told_below_the_greeting(made: Path) -> None:
    (made / "broken.py").write_text("raise SystemExit('no database')\n")
    with (made / "agent.yaml").open("a") as file:
        file.write("mcp_servers:\n  stock: {command: python, args: [broken.py], tools: [look]}\n")
    talked = RUNNER.invoke(app, ["agents", "chat", str(made)], input="goodbye\n")
    assert talked.exit_code == 0
    lines = talked.stdout.splitlines()
    at = lines.index("  MCP server stock is out of reach: Connection closed")
    assert lines[at - 1].startswith("agent: Hello")
    assert lines[at + 1] == "    it said: no database"


def test_mistakes_in_tests_are_told_too(made: Path) -> None:
    (made / "tests" / "hello.yaml").write_text("steps:\n  - caller: hello\n    expects: {says: hello}\n")
    checked = RUNNER.invoke(app, ["agents", "check", str(made)])
    assert checked.exit_code == 2
    assert "tests/hello.yaml:3: steps.0.expects: unknown key" in checked.stderr


def test_what_is_not_as_expected_is_told_with_its_line(made: Path) -> None:
    (made / "tests" / "hello.yaml").write_text("steps:\n  - caller: when are you open\n    expect:\n      says: noon\n")
    failed = RUNNER.invoke(app, ["agents", "test", str(made)])
    assert failed.exit_code == 1
    assert "hello.yaml:4: expected to hear 'noon', heard \"We're open on weekdays" in failed.stdout
    told = json.loads(RUNNER.invoke(app, ["agents", "test", "--json", str(made)]).stdout)
    assert (told["passed"], told["failed"]) == (0, 1)
    assert told["tests"][0]["failures"][0]["line"] == 4


def test_a_tool_that_the_test_does_not_know_is_not_called(tmp_path: Path) -> None:
    copied = tmp_path / "front_desk"
    (copied / "tests").mkdir(parents=True)
    for name in ("agent.yaml", "tools.yaml", "script.yaml", "prompts/system.md"):
        (copied / name).parent.mkdir(exist_ok=True)
        (copied / name).write_text((Path(FRONT_DESK) / name).read_text())
    (copied / "tests" / "a.yaml").write_text("steps:\n  - caller: what are your opening hours\n")
    failed = RUNNER.invoke(app, ["agents", "test", str(copied)])
    assert failed.exit_code == 1
    assert "a.yaml:2: get_hours was called, and the test says nothing about it" in failed.stdout


def test_the_front_desk_passes_its_own_tests() -> None:
    tested = RUNNER.invoke(app, ["agents", "test", FRONT_DESK])
    assert tested.exit_code == 0, tested.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["check", "/nowhere"], "/nowhere is no folder; `tandem agents new NAME` makes an agent"),
        (["check", FRONT_DESK, "--set", "URL"], "--set URL: expected NAME=value"),
        (["test", FRONT_DESK, "--settings", "/nowhere.yaml"], "/nowhere.yaml: cannot be read"),
        (["new", "Big Shop"], "'Big Shop' is no name for an agent"),
    ],
)
def test_what_cannot_be_is_explained(arguments: list[str], told: str) -> None:
    refused = RUNNER.invoke(app, ["agents", *arguments])
    assert refused.exit_code == 2
    assert told in refused.stderr


def test_an_agent_without_tests_is_told_where_they_go(made: Path) -> None:
    (made / "tests" / "hello.yaml").unlink()
    refused = RUNNER.invoke(app, ["agents", "test", str(made)])
    assert refused.exit_code == 2
    assert "expected *.yaml in" in refused.stderr
