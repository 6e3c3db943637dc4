"""Test files of agents: what they may say, and how their mistakes are told."""

from pathlib import Path

import pytest

from services.common.settings import SettingsInvalid
from tandem.agentfolder.testfile import read_test

TEST = """name: books
tools:
  book: {result: {id: 1}}
  look:
    - {fails: timeout}
    - {result: []}
steps:
  - expect: {says: Hello}
  - caller: I want to book
    hears_words: 3
    expect:
      says: [one, two]
      calls: [book, {look: {day: 3}}]
      does_not_call: look
  - presses: "12#"
  - silent_s: 8
  - hangs_up: true
"""
TOOLS = ["book", "look"]


def written(folder: Path, text: str) -> Path:
    path = folder / "book.yaml"
    path.write_text(text)
    return path


def test_all_that_a_file_may_say(tmp_path: Path) -> None:
    read = read_test(written(tmp_path, TEST), TOOLS)
    assert read.name == "books"
    steps = read.call.steps
    assert [step.deeds for step in steps] == [[], ["caller"], ["presses"], ["silent_s"], ["hangs_up"]]
    assert steps[1].expect.calls == [{"book": {}}, {"look": {"day": 3}}]
    assert steps[1].expect.does_not_call == ["look"]
    assert len(read.call.tools["look"]) == 2
    assert read.line("steps", 1, "expect", "calls", 1) == 13


def test_one_call_may_be_written_short(tmp_path: Path) -> None:
    text = "steps:\n- caller: a\n  expect: {calls: {book: {id: 1}, look: {}}}\n- caller: b\n  expect: {calls: book}\n"
    steps = read_test(written(tmp_path, text), TOOLS).call.steps
    assert steps[0].expect.calls == [{"book": {"id": 1}}, {"look": {}}]
    assert steps[1].expect.calls == [{"book": {}}]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("  - presses:", "  - press:", "15: steps.2.press: unknown key"),
        ('"12#"', "'12x'", "15: steps.2.presses: string should match pattern"),
        ("  - silent_s: 8", "  - silent_s: -1", "16: steps.3.silent_s: input should be greater than 0"),
        (
            "    hears_words: 3",
            "    presses: '1'",
            "10: steps.1.presses: a step does one thing, and this one has `caller`",
        ),
        ("  - hangs_up: true", "  - expect: {ends: true}", "17: steps.4: expected what the caller does"),
        ("  book: {result", "  bock: {result", "3: tools.bock: the agent has no tool 'bock'; did you mean 'book'?"),
        ("does_not_call: look", "does_not_call: loock", "14: steps.1.expect.does_not_call.0: the agent has no tool"),
        ("says: [one, two]", "matches: '(one'", "12: steps.1.expect.matches.0: expected a regular expression"),
        ("name: books", "name: books\nname: again", "2: name: the key is given twice, first on line 1"),
        ("name: books", "name: [", "3: not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, before: str, after: str, expected: str) -> None:
    assert before in TEST
    path = written(tmp_path, TEST.replace(before, after))
    with pytest.raises(SettingsInvalid) as refused:
        read_test(path, TOOLS)
    told = [one.removeprefix(f"{path}:") for one in refused.value.mistakes]
    assert any(one.startswith(expected) for one in told), told


def test_tools_of_a_server_are_not_known_beforehand(tmp_path: Path) -> None:
    assert read_test(written(tmp_path, TEST), None).call.tools
