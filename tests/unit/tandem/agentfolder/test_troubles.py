"""What is told of MCP servers at the terminal."""

import pytest
import structlog

from tandem.agentfolder.troubles import ServerTroubles


def log(troubles: ServerTroubles, method: str, event: str, **values: str) -> bool:
    """Whether the line goes on to the log."""
    try:
        troubles(None, method, {"event": event, **values})
    except structlog.DropEvent:
        return False
    return True


def test_a_server_that_does_not_start_is_told_once_with_its_last_words() -> None:
    told: list[str] = []
    troubles = ServerTroubles(told)
    for attempt in ("warning", "info"):
        for line in ("Traceback:", "  File way.py, line 3", "    def (", "SyntaxError: invalid syntax"):
            assert not log(troubles, "info", "MCP server says", server="way", line=line)
        assert not log(troubles, attempt, "MCP server out of reach", server="way", error="Connection closed")
    assert told == [
        "MCP server way is out of reach: Connection closed",
        "  it said:   File way.py, line 3",
        "  it said:     def (",
        "  it said: SyntaxError: invalid syntax",
    ]


def test_what_a_server_says_while_it_is_there_is_not_told() -> None:
    told: list[str] = []
    troubles = ServerTroubles(told)
    log(troubles, "info", "MCP server says", server="way", line="Processing request")
    log(troubles, "warning", "MCP server out of reach", server="other", error="Connection refused")
    assert told == ["MCP server other is out of reach: Connection refused"]


def test_a_tool_that_the_server_does_not_have_is_told() -> None:
    told: list[str] = []
    troubles = ServerTroubles(told)
    log(troubles, "warning", "MCP tool left out", server="way", what="tool drive: the server has none of this name")
    log(troubles, "warning", "tool_name_taken", tool="book", source="mcp:clinic/way")
    assert told == [
        "MCP server way: tool drive: the server has none of this name",
        "tool book of mcp:clinic/way is left out: the name is taken",
    ]


@pytest.mark.parametrize(("method", "goes_on"), [("info", False), ("warning", False), ("error", True)])
def test_only_errors_are_still_logged(method: str, goes_on: bool) -> None:
    assert log(ServerTroubles([]), method, "something") is goes_on
