"""Lines of the terminal, and what is shown there."""

import pytest

from tandem.agentfolder.chat import Deed, NotUnderstood, read_line, shown
from tandem.textcall.exchange import Exchange, ToolUse


@pytest.mark.parametrize(
    ("line", "deed"),
    [
        ("  hello there ", Deed("say", "hello there")),
        ("   ", None),
        ("/press 12#", Deed("press", "12#")),
        ("/interrupt", Deed("interrupt", number=3)),
        ("/interrupt 5", Deed("interrupt", number=5)),
        ("/wait", Deed("wait", number=8)),
        ("/wait 2.5", Deed("wait", number=2.5)),
        ("/slots", Deed("slots")),
        ("/q", Deed("quit")),
    ],
)
def test_what_a_line_means(line: str, deed: Deed | None) -> None:
    assert read_line(line) == deed


@pytest.mark.parametrize(
    "line", ["/press", "/press 1x", "/interrupt no", "/interrupt 0", "/wait -1", "/wait x", "/fly"]
)
def test_what_is_no_command_is_explained(line: str) -> None:
    with pytest.raises(NotUnderstood, match="/"):
        read_line(line)


def test_tools_and_latency_are_shown() -> None:
    tool = ToolUse("look", {"day": 3}, True, {"ok": True, "value": {"free": ["ten"]}})
    failed = ToolUse("book", {}, False, {"ok": False, "code": "timeout", "error": "no answer"})
    lines = shown(Exchange("At ten.", tools=(tool, failed), first_word_ms=12.4, ended=True))
    assert lines == [
        '  tool look(day=3) → {"free": ["ten"]}',
        '  tool book() failed: "no answer"',
        "agent: At ten.  [12 ms]",
        "(the call is over)",
    ]
