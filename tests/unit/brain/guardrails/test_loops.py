"""A model that goes round in circles is noticed, and brought out of it."""

import pytest

from services.brain.guardrails.loops import Loops, SentenceLoop, ToolLoop

CALL, ANSWER, STOP = ToolLoop.CALL, ToolLoop.ANSWER, ToolLoop.STOP
ASKS = "Could you please tell me your name?"


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([("find", "{}")] * 4, [CALL, CALL, ANSWER, STOP]),
        ([("find", '{"a": 1, "b": 2}'), ("find", '{"b":2,"a":1}'), ("find", '{"a": 1,"b": 2}')], [CALL, CALL, ANSWER]),
        ([("find", '{"a": 1}'), ("find", '{"a": 2}'), ("find", '{"a": 3}')], [CALL] * 3),
        ([("find", "{}"), ("book", "{}"), ("find", ""), ("book", "{}")], [CALL] * 4),
        ([("find", "{not json"), ("find", "{not json"), ("find", "{not json")], [CALL, CALL, ANSWER]),
    ],
)
def test_a_model_that_loops_over_a_tool(calls: list[tuple[str, str]], expected: list[ToolLoop]) -> None:
    loops = Loops()
    assert [loops.tool_call(*one) for one in calls] == expected


def test_the_caller_may_have_the_same_looked_up_again() -> None:
    loops = Loops()
    for _ in range(5):
        loops.turn_begins()
        assert loops.tool_call("find", "{}") is CALL


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([ASKS] * 4, ["GO_ON", "GO_ON", "TELL", "HAND_OVER"]),
        ([f"Right. {ASKS}", f"Sorry! {ASKS.upper()}", ASKS], ["GO_ON", "GO_ON", "TELL"]),
        (["One moment."] * 6, ["GO_ON"] * 6),
        ([ASKS, "What is your day of birth, please?"] * 2, ["GO_ON"] * 4),
        ([ASKS, "one two three four five", "two three four five six"] * 1 + [ASKS], ["GO_ON"] * 4),
        ([ASKS, *(f"Sentence with the number {at} in it." for at in range(5)), ASKS, ASKS], ["GO_ON"] * 8),
        (["", "", ""], ["GO_ON"] * 3),
    ],
)
def test_a_model_that_says_the_same_again(said: list[str], expected: list[str]) -> None:
    loops = Loops()
    assert [loops.agent_said(one).name for one in said] == expected


def test_once_told_it_may_get_out_of_the_loop() -> None:
    loops = Loops()
    for _ in range(3):
        told = loops.agent_said(ASKS)
    assert told is SentenceLoop.TELL
    for at in range(5):
        assert loops.agent_said(f"Now something else about the number {at}.") is SentenceLoop.GO_ON
    for _ in range(3):
        told = loops.agent_said(ASKS)
    assert told is SentenceLoop.TELL
