"""An agent folder with a mistake in it is refused with file, line, key and what is expected, all mistakes at once."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

# ruff: noqa: E501 -- the mistakes are a table
from services.brain.agent import AgentInvalid, load_agent
from tandem.v1.call_pb2 import CALL_DIRECTION_OUTBOUND, CallFacts, Diverted, UserToUser

FRONT_DESK = Path(__file__).parents[4] / "agents" / "front_desk"
VARIABLES = {"BUSINESS_API_URL": "http://127.0.0.1:9", "ESCALATION_DESTINATION": "sip:desk@127.0.0.1"}

MINIMAL = {
    "agent.yaml": "name: shop\ngreeting: Hello!\nprompts: {system: system.md}\nscript: script.yaml\ntools: tools.yaml\n",
    "system.md": "You sell things. It is {{ now }}.\n",
    "script.yaml": (
        "slots:\n  colour: {type: choice, ask: 'Which colour?', choices: {red: [], blue: [navy]}}\n"
        "intents:\n  buy:\n    examples: [I want to buy a shirt]\n    needs: [colour]\n    tool: order\n"
        "    arguments: {colour: colour}\n    say: 'Ordered in {{ colour }}.'\n"
    ),
    "tools.yaml": (
        "tools:\n  - name: order\n    description: Order a shirt.\n    method: POST\n    url: http://127.0.0.1:9/orders\n"
        "    side_effect: true\n    parameters: {type: object, properties: {colour: {type: string}}}\n"
    ),
}


def folder(tmp_path: Path, **files: str) -> Path:
    """The minimal agent with some of its files written differently."""
    for name, text in {**MINIMAL, **{file.replace("_yaml", ".yaml"): text for file, text in files.items()}}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def mistakes(path: Path, **variables: str) -> list[str]:
    with pytest.raises(AgentInvalid) as refused:
        load_agent(path, variables)
    return [str(mistake) for mistake in refused.value.mistakes]


def test_the_front_desk_is_in_order() -> None:
    agent = load_agent(FRONT_DESK, VARIABLES)
    assert agent.name == "front_desk"
    assert agent.model == "tandem/script"
    assert agent.escalation is not None
    assert agent.escalation.ticket_url == "http://127.0.0.1:9/tickets"
    assert agent.tool("move_appointment") is not None
    told = agent.system_message(datetime(2026, 11, 23, 9, 0, tzinfo=UTC), CallFacts())
    assert "Monday the twenty-third of November at nine in the morning, 2026-11-23 09:00" in told
    assert "\n- " in told


def test_the_prompt_knows_the_call(tmp_path: Path) -> None:
    prompt = "{{ call.caller_number }}|{{ call.diverted_from }}|{{ call.user_to_user }}|{{ call.outbound }}"
    agent = load_agent(folder(tmp_path, **{"system.md": prompt}))
    facts = CallFacts(
        caller_number="+4930123",
        direction=CALL_DIRECTION_OUTBOUND,
        diversions=[Diverted(number="+4930200"), Diverted(number="+4930100", reason="no-answer")],
        user_to_user=[UserToUser(data=b"order 7\r\n\r\n# New rules"), UserToUser(data=b"\xff")],
    )
    told = agent.system_message(datetime(2026, 11, 23, 9, 0, tzinfo=UTC), facts)
    assert told == "+4930123|+4930100|order 7 # New rules \ufffd|True"


def test_a_small_agent_is_enough(tmp_path: Path) -> None:
    agent = load_agent(folder(tmp_path))
    assert agent.silence.hang_up_after == 3
    assert agent.goodbye


def test_the_version_follows_the_files(tmp_path: Path) -> None:
    before = load_agent(folder(tmp_path)).version
    assert load_agent(tmp_path).version == before
    (tmp_path / "script.yaml").write_text(MINIMAL["script.yaml"].replace("shirt", "hat"))
    assert load_agent(tmp_path).version != before
    (tmp_path / "agent.yaml").write_text(MINIMAL["agent.yaml"] + "version: '7'\n")
    assert load_agent(tmp_path).version == "7"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"agent_yaml": MINIMAL["agent.yaml"] + "greating: Hi\n"}, "agent.yaml:6: greating: unknown key; did you mean 'greeting'?"),
        ({"agent_yaml": MINIMAL["agent.yaml"] + "timezone: Mars/Base\n"}, "agent.yaml:6: timezone: expected a time zone"),
        ({"agent_yaml": MINIMAL["agent.yaml"] + "silence:\n  prompt_after_s: soon\n"}, "agent.yaml:7: silence.prompt_after_s: input should be a valid number"),
        ({"agent_yaml": MINIMAL["agent.yaml"] + "escalation: {destination: 'phone home'}\n"}, "agent.yaml:6: escalation.destination: string should match"),
        ({"agent_yaml": MINIMAL["agent.yaml"].replace("greeting: Hello!\n", "")}, "agent.yaml:1: greeting: missing, and needed"),
        ({"agent_yaml": MINIMAL["agent.yaml"].replace("system.md", "other.md")}, "agent.yaml:3: prompts.system: the file other.md does not exist"),
        ({"agent_yaml": MINIMAL["agent.yaml"].replace("system.md", "../secret")}, "agent.yaml:3: prompts.system: expected a file inside the agent folder"),
        ({"agent_yaml": MINIMAL["agent.yaml"] + "voice: ${VOICE}\n"}, "agent.yaml:6: voice: unknown variable ${VOICE}; known: A"),
        ({"agent_yaml": MINIMAL["agent.yaml"] + "name: again\n"}, "agent.yaml:6: name: the key is given twice, first on line 1"),
        ({"agent_yaml": "name: [\n"}, "agent.yaml:2: not YAML"),
        ({"agent_yaml": "- a\n- b\n"}, "agent.yaml:1: "),
        ({"script_yaml": MINIMAL["script.yaml"].replace("tool: order", "tool: odrer")}, "script.yaml:7: script.intents.buy.tool: unknown tool 'odrer'; known: order"),
        ({"script_yaml": MINIMAL["script.yaml"].replace("needs: [colour]", "needs: [size]")}, "script.yaml:6: script.intents.buy.needs: unknown slot 'size'; known: colour"),
        ({"script_yaml": MINIMAL["script.yaml"].replace("{{ colour }}", "{{ colour ")}, "script.yaml:9: script.intents.buy.say[0]: not a template"),
        ({"script_yaml": MINIMAL["script.yaml"].replace("arguments: {colour:", "arguments: {color:")}, "script.yaml:8: script.intents.buy.arguments.color: order has no parameter 'color'; known: colour"),
        ({"script_yaml": MINIMAL["script.yaml"].replace("    needs", "    nedes")}, "script.yaml:6: script.intents.buy.nedes: unknown key; did you mean 'needs'?"),
        ({"tools_yaml": MINIMAL["tools.yaml"].replace("    side_effect: true\n", "")}, "tools.yaml:2: tools[0].side_effect: missing, and needed"),
        ({"tools_yaml": MINIMAL["tools.yaml"].replace("/orders", "/orders/{id}")}, "tools.yaml:2: tools[0]: url has {id}, which is not among the parameters"),
        ({"tools_yaml": MINIMAL["tools.yaml"].replace("name: order", "name: end_call")}, "tools.yaml:2: tools[0].name: there is already a tool end_call"),
        ({"tools_yaml": MINIMAL["tools.yaml"].replace("type: string", "type: strnig")}, "tools.yaml:7: tools[0].parameters: not a JSON schema"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    told = mistakes(folder(tmp_path, **files), A="1")
    assert any(one.startswith(expected) for one in told), told


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = folder(
        tmp_path,
        agent_yaml=MINIMAL["agent.yaml"] + "greating: Hi\ntimezone: Mars/Base\n",
        script_yaml=MINIMAL["script.yaml"].replace("examples: [I want to buy a shirt]", "examples: []"),
        tools_yaml=MINIMAL["tools.yaml"].replace("method: POST", "method: SHOUT"),
    )
    assert {one.split(":")[0] for one in mistakes(path)} == {"agent.yaml", "script.yaml", "tools.yaml"}
    assert len(mistakes(path)) == 4


def test_a_folder_without_an_agent(tmp_path: Path) -> None:
    assert mistakes(tmp_path) == ["agent.yaml: the folder has no agent.yaml"]


def test_a_transfer_needs_somewhere_to_go(tmp_path: Path) -> None:
    shutil.copytree(FRONT_DESK, tmp_path / "desk", ignore=shutil.ignore_patterns("api", "__pycache__"))
    path = tmp_path / "desk" / "agent.yaml"
    path.write_text(path.read_text().partition("escalation:")[0])
    assert "transfer needs `escalation`" in mistakes(tmp_path / "desk", **VARIABLES)[0]
