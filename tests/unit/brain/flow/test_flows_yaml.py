"""flows.yaml: each kind of mistake with its file, line and key; and the example of docs/flows.md, as it stands there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.brain.agent import AgentInvalid, load_agent
from services.brain.agent.agent import Agent
from services.brain.flow.flow import Flow
from services.brain.flow.offer import flow_named, openai_tools
from services.brain.flow.progress import FlowFacts

# ruff: noqa: E501 -- the mistakes are a table
from tests.unit.brain.flow.plays import NOW, ok, play

DOCS = Path(__file__).parents[4] / "docs" / "flows.md"

TOOLS = """tools:
  - name: check
    description: A check.
    method: POST
    url: http://127.0.0.1:9/check
    side_effect: false
    parameters: {type: object, properties: {number: {type: string}, pin: {type: string}}, required: [number]}
"""
FLOWS = """flows:
  verify:
    description: Who is it?
    steps:
      - collect: {slot: number, kind: digits, length: 6, ask: 'Which number?'}
      - collect: {slot: pin, kind: digits, ask: 'PIN?', secret: true}
      - authenticate: {tool: check, arguments: {number: number, pin: pin}}
      - end: {say: "Thank you."}
"""


def agent(folder: Path, flows: str, tools: str = TOOLS) -> Agent:
    (folder / "agent.yaml").write_text(
        "name: shop\ngreeting: Hello!\nmodel: openai/gpt-5-mini\nprompts: {system: system.md}\n"
        "tools: tools.yaml\nflows: flows.yaml\n"
    )
    (folder / "system.md").write_text("You sell things.\n")
    (folder / "tools.yaml").write_text(tools)
    (folder / "flows.yaml").write_text(flows)
    return load_agent(folder)


def mistakes(folder: Path, flows: str, tools: str = TOOLS) -> list[str]:
    with pytest.raises(AgentInvalid) as refused:
        agent(folder, flows, tools)
    return [str(one) for one in refused.value.mistakes]


def test_a_flow_is_offered_as_a_tool(tmp_path: Path) -> None:
    loaded = agent(tmp_path, FLOWS)
    (tool,) = openai_tools(loaded.flows)
    assert tool["function"]["name"] == "flow_verify"
    assert tool["function"]["parameters"]["properties"] == {}
    assert flow_named("flow_verify", loaded.flows) == "verify"
    assert flow_named("flow_other", loaded.flows) is None
    assert flow_named("verify", loaded.flows) is None


def test_another_flows_file_is_another_version(tmp_path: Path) -> None:
    before = agent(tmp_path, FLOWS).version
    assert agent(tmp_path, FLOWS.replace("Thank you.", "Thanks.")).version != before


LINES = """
kind: digits, length: 6 | kind: digit, length: 6 | flows.yaml:5: flows.verify.steps[0].collect.kind: input should be
kind: digits, length: 6, | kind: choice, | flows.yaml:5: flows.verify.steps[0].collect.kind: `choices` belong to a slot of kind choice
length: 6, | length: 0, | flows.yaml:5: flows.verify.steps[0].collect.length: input should be greater than or equal to 1
length: 6, | min: 6, max: 4, | flows.yaml:5: flows.verify.steps[0].collect.min: expected min (6) to be no more than max (4)
length: 6, | past: true, | flows.yaml:5: flows.verify.steps[0].collect.past: `past` belongs to a slot of kind date
length: 6, | pattern: "[", | flows.yaml:5: flows.verify.steps[0].collect.pattern: not a regular expression
length: 6, | lenght: 6, | flows.yaml:5: flows.verify.steps[0].collect.lenght: unknown key; did you mean 'length'?
ask: 'Which number?' | ask: "{{ number" | flows.yaml:5: flows.verify.steps[0].collect.ask: not a template
ask: 'Which number?' | ask: "{{ numbr }}?" | flows.yaml:5: flows.verify.steps[0].collect.ask: there is no slot 'numbr'; did you mean 'number'?
ask: 'Which number?' | ask: "What?", more: "{{ pin }}" | flows.yaml:5: flows.verify.steps[0].collect.more: pin is secret, and is not said
ask: 'Which number?' | ask: "What?", failed: nobody | flows.yaml:5: flows.verify.steps[0].collect.failed: there is no step 'nobody'; known: none
secret: true} | secret: true, confirm: always} | flows.yaml:6: flows.verify.steps[1].collect.confirm: a secret is not read back
slot: pin, | slot: number, | flows.yaml:6: flows.verify.steps[1].collect.slot: the slot number is filled by an earlier step already
tool: check | tool: chek | flows.yaml:7: flows.verify.steps[2].authenticate.tool: there is no tool 'chek'; did you mean 'check'?
{number: number, pin: pin} | {pin: pin} | flows.yaml:7: flows.verify.steps[2].authenticate.tool: check needs number among the arguments
pin: pin} | pim: pin} | flows.yaml:7: flows.verify.steps[2].authenticate.arguments.pim: check has no parameter 'pim'; known: number, pin
pin: pin} | pin: pun} | flows.yaml:7: flows.verify.steps[2].authenticate.arguments.pin: there is no slot 'pun'; did you mean 'pin'?
pin: pin} | pin: "pin |"} | flows.yaml:7: flows.verify.steps[2].authenticate.arguments.pin: not an expression
- end: {say: "Thank you."} | - {} | flows.yaml:8: flows.verify.steps[3]: a step is one of collect, say,
- end: {say: "Thank you."} | - {say: A, goto: b} | flows.yaml:8: flows.verify.steps[3]: a step is one of collect, say, say_in_full, authenticate, tool, pay, goto, end, not say and goto
- end: {say: "Thank you."} | - sayy: A | flows.yaml:8: flows.verify.steps[3].sayy: unknown key; did you mean 'say'?
- end: {say: "Thank you."} | - pay: {slot: card, tool: check} | flows.yaml:8: flows.verify.steps[3].pay.tool: check takes no card_number
- end: {say: "Thank you."} | - tool: {name: check, arguments: {number: number}, failed: {clear: [nunber]}} | flows.yaml:8: flows.verify.steps[3].tool.failed.clear[0]: there is no slot that is collected 'nunber'
- end: {say: "Thank you."} | - {name: a, when: nuber, goto: a} | flows.yaml:8: flows.verify.steps[3].when: there is no slot 'nuber'
- end: {say: "Thank you."} | - {name: a, goto: a} | flows.yaml:4: flows.verify.steps: the flow never ends
description: Who is it? | descriptoin: A | flows.yaml:3: flows.verify.descriptoin: unknown key; did you mean 'description'?
description: Who is it? | description: A, parameters: 1 | flows.yaml:3
verify: | Verify: | flows.yaml:2: flows.Verify: string should match pattern
flows: | flow: | flows.yaml:1: flows.flow: unknown key; known: flows
"""


@pytest.mark.parametrize("line", LINES.strip().splitlines())
def test_mistakes(tmp_path: Path, line: str) -> None:
    right, wrong, told = line.split(" | ")
    assert right in FLOWS
    assert any(one.startswith(told) for one in mistakes(tmp_path, FLOWS.replace(right, wrong, 1)))


def test_a_step_that_no_way_leads_to(tmp_path: Path) -> None:
    told = mistakes(tmp_path, FLOWS + '      - say: "And more."\n      - say: "And more."\n')
    assert told == ["flows.yaml:9: flows.verify.steps[4].say: no way leads to this step"]


def test_parameters_are_slots_that_are_no_secret(tmp_path: Path) -> None:
    schema = "    parameters: {type: object, properties: {numbr: {}, pin: {}}}\n    steps:"
    told = mistakes(tmp_path, FLOWS.replace("    steps:", schema))
    assert told == [
        "flows.yaml:4: flows.verify.parameters.properties.numbr: there is no slot that is collected 'numbr'; did you mean 'number'?",
        "flows.yaml:4: flows.verify.parameters.properties.pin: a secret slot is asked of the caller, and never given by a model",
    ]


def test_a_flow_and_a_tool_of_one_name(tmp_path: Path) -> None:
    tools = TOOLS + "  - {name: flow_verify, description: A, url: 'http://127.0.0.1:9/', side_effect: false}\n"
    assert mistakes(tmp_path, FLOWS, tools) == [
        "flows.yaml:2: flows.verify: there is a tool flow_verify already, and the flow would be offered under that name"
    ]


def test_flows_must_be_a_file(tmp_path: Path) -> None:
    agent(tmp_path, FLOWS)
    written = (tmp_path / "agent.yaml").read_text()
    (tmp_path / "agent.yaml").write_text(written.replace("flows.yaml", "flow.yaml"))
    with pytest.raises(AgentInvalid, match=r"flow.yaml:1: the file flow.yaml does not exist"):
        load_agent(tmp_path)


# The example of the documentation.


def test_the_example_of_the_documentation_works(tmp_path: Path) -> None:
    _, flows, tools = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    loaded = agent(tmp_path, flows, tools)
    flow = Flow("pay_bill", loaded.flows["pay_bill"], FlowFacts(side_effects=frozenset({"charge_card"})))
    flow.begin({"customer": "123456"}, NOW)
    story: list[Any] = ["yes", "one two three four", ok({"amount": 40}), "no", "twelve fifty", "yes", "(heard)", "yes"]
    play(flow, *story, "#4111111111111111", "#1228", "#123")
    assert play(flow, ok({"token": "tok_1"})) == ["[charge_card {'token': 'tok_1', 'amount': 12.5}]"]
    assert play(flow, ok({"number": "R 7"}))[0] == "That's paid. Your receipt number is R 7."


def test_every_key_is_in_the_documentation() -> None:
    text = DOCS.read_text()
    for step in ("collect", "say", "say_in_full", "authenticate", "tool", "pay", "goto", "end"):
        assert f"`{step}`" in text
    assert yaml.safe_load(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
