"""Variables by trunk and by number: which value holds, where it is used, and how mistakes are told."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.brain.agent import AgentInvalid, load_agent
from tandem.v1.call_pb2 import CallFacts

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
AGENT = """name: shop
greeting: "Hello, {{ company }}."
goodbye: "Bye."
silence: {prompts: ["Still there, {{ call.caller_number }}?"]}
prompts: {system: system.md}
script: script.yaml
variables: {company: Example, floor: 1}
by_trunk:
  berlin: {company: Beispiel}
by_number:
  "+4930*": {floor: 3}
  "+493012*": {floor: 4}
  "+49301299": {company: Direct, floor: 5}
"""
SCRIPT = "slots: {}\nintents:\n  hours: {examples: [when are you open], say: From nine.}\n"


def written(folder: Path, agent: str = AGENT) -> Path:
    (folder / "agent.yaml").write_text(agent)
    (folder / "system.md").write_text("{{ company }} on floor {{ floor }}.")
    (folder / "script.yaml").write_text(SCRIPT)
    return folder


@pytest.mark.parametrize(
    ("trunk", "called", "greeting", "prompt"),
    [
        ("", "", "Hello, Example.", "Example on floor 1."),
        ("berlin", "", "Hello, Beispiel.", "Beispiel on floor 1."),
        ("berlin", "+49305555", "Hello, Beispiel.", "Beispiel on floor 3."),
        ("", "+49301255", "Hello, Example.", "Example on floor 4."),
        ("berlin", "+49301299", "Hello, Direct.", "Direct on floor 5."),
        ("other", "+4940", "Hello, Example.", "Example on floor 1."),
    ],
)
def test_the_number_beats_the_trunk_beats_the_default(
    tmp_path: Path, trunk: str, called: str, greeting: str, prompt: str
) -> None:
    facts = CallFacts(trunk=trunk, called_number=called, caller_number="1001")
    agent = load_agent(written(tmp_path)).for_call(facts)
    assert agent.greeting == greeting
    assert agent.system_message(NOW, facts) == prompt
    assert agent.silence.prompts == ["Still there, 1001?"]


def test_the_settings_beat_the_authors_defaults(tmp_path: Path) -> None:
    agent = load_agent(written(tmp_path), {"company": "Settings"})
    assert agent.for_call(CallFacts()).greeting == "Hello, Settings."
    assert agent.for_call(CallFacts(trunk="berlin")).greeting == "Hello, Beispiel."


def test_a_call_changes_no_other(tmp_path: Path) -> None:
    agent = load_agent(written(tmp_path))
    agent.for_call(CallFacts(trunk="berlin"))
    assert agent.for_call(CallFacts()).greeting == "Hello, Example."
    assert agent.for_call(CallFacts()).version == agent.version


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("company }}", "compny }}", "agent.yaml:2: greeting: 'compny' is undefined; known: agent, call, company"),
        ("{{ company }}", "{{ company", "agent.yaml:2: greeting: not a template: "),
        ("call.caller_number", "call.caller", "agent.yaml:4: silence.prompts[0]: 'dict object' has no attribute"),
        ("berlin: {company", "berlin: {compny", "agent.yaml:9: by_trunk.berlin.compny: not among `variables`; did you"),
        ("+4930*", "+49*30", "agent.yaml:11: by_number.+49*30: expected a number, or the beginning of one and a star"),
        ("floor: 1}", "floor: [1]}", "agent.yaml:7: variables.floor"),
        ("floor: 1}", "now: 1}", "agent.yaml:7: variables.now: 'now' has a meaning of its own in templates"),
        ("variables: {company: Example, floor: 1}", "variables: 7", "agent.yaml:7: variables: "),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, before: str, after: str, expected: str) -> None:
    assert before in AGENT
    with pytest.raises(AgentInvalid) as refused:
        load_agent(written(tmp_path, AGENT.replace(before, after)))
    told = [str(one) for one in refused.value.mistakes]
    assert any(one.startswith(expected) for one in told), told
