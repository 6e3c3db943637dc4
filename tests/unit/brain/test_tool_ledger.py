"""Nothing is done twice, and what may not have been done is asked for under the same key."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.brain.models import ModelCall
from services.brain.models.call import canonical
from services.brain.tool_ledger import Do, Done, in_doubt, what_to_do
from tandem.v1.call_pb2 import CallJournal, JournalTool, ToolState

REQUESTED, SUCCEEDED, FAILED = (
    ToolState.TOOL_STATE_REQUESTED,
    ToolState.TOOL_STATE_SUCCEEDED,
    ToolState.TOOL_STATE_FAILED,
)
BOOK, CANCEL, LOOK = (ModelCall("1", name, '{"at": "9"}') for name in ("book", "cancel", "look"))


def side_effect(name: str) -> bool:
    return name != "look"


def entry(call: ModelCall, state: "ToolState.ValueType", key: str, code: str = "", unsure: bool = False) -> JournalTool:
    result = json.dumps({"ok": state == SUCCEEDED, "code": code, "unsure": unsure})
    return JournalTool(
        idempotency_key=key, name=call.name, arguments_json=call.arguments, state=state, result_json=result
    )


def todo(call: ModelCall, tools: Iterable[JournalTool], call_id: str = "c1") -> Do | Done:
    return what_to_do(call, CallJournal(tools=tools).tools, call_id, side_effect)


def test_a_call_has_one_key_whoever_asks_and_however_it_is_written() -> None:
    spelled = ModelCall("2", "book", '{ "at" :"9" }')
    assert todo(BOOK, []) == todo(spelled, [])
    assert todo(BOOK, []) != todo(BOOK, [], call_id="c2")
    assert todo(BOOK, []) != todo(CANCEL, [])


@pytest.mark.parametrize("code", ["timeout", "server_error", "malformed", "failed"])
def test_what_may_have_been_done_is_asked_for_again_under_its_key(code: str) -> None:
    assert todo(BOOK, [entry(BOOK, FAILED, "k", code, unsure=True)]) == Do("k", again=True)


def test_a_dead_brains_request_keeps_its_key_and_entry() -> None:
    asked = entry(BOOK, REQUESTED, "k")
    assert todo(BOOK, [asked]) == Do("k", asked, again=True)


@pytest.mark.parametrize("code", ["busy", "unavailable", "invalid_arguments", "unknown_tool"])
def test_a_failure_of_our_own_says_nothing_of_what_was_asked_before(code: str) -> None:
    assert todo(BOOK, [entry(BOOK, FAILED, "k", "timeout", unsure=True), entry(BOOK, FAILED, "k", code)]) == Do(
        "k", again=True
    )
    assert todo(BOOK, [entry(BOOK, FAILED, "x", code)]) == todo(BOOK, [])


def test_a_refusal_is_settled() -> None:
    """Systems answer a known key with the first answer: who tries anew after a refusal wants a new one."""
    first = todo(BOOK, [])
    again = todo(BOOK, [entry(BOOK, FAILED, "k", "slot_taken")])
    assert isinstance(again, Do)
    assert again not in (first, Do("k"))


def test_a_retry_that_was_settled_does_not_leave_its_key_open() -> None:
    tools = [entry(BOOK, FAILED, "k", "timeout", unsure=True), entry(BOOK, FAILED, "k", "slot_taken")]
    again = todo(BOOK, tools)
    assert isinstance(again, Do)
    assert again.idempotency_key != "k"


def test_what_was_done_is_not_done_again() -> None:
    """agents#3702: interrupted before the result was told, the model asks for the same again."""
    done = entry(BOOK, SUCCEEDED, "k")
    assert todo(BOOK, [done, entry(LOOK, SUCCEEDED, "l")]) == Done(done)


def test_booked_cancelled_and_booked_again() -> None:
    again = todo(BOOK, [entry(BOOK, SUCCEEDED, "k"), entry(CANCEL, SUCCEEDED, "l")])
    assert isinstance(again, Do)
    assert again != Do("k")


def test_a_failed_side_effect_between_is_none() -> None:
    done = entry(BOOK, SUCCEEDED, "k")
    assert todo(BOOK, [done, entry(CANCEL, FAILED, "l", "refused")]) == Done(done)


def test_what_only_looks_is_looked_at_again() -> None:
    assert isinstance(todo(LOOK, [entry(LOOK, SUCCEEDED, "k")]), Do)


def test_what_is_in_doubt() -> None:
    lost, refused = entry(BOOK, FAILED, "k", "timeout", unsure=True), entry(BOOK, FAILED, "k", "slot_taken")
    left_alone = entry(BOOK, FAILED, "k", "unavailable")
    assert in_doubt([lost]) == in_doubt([lost, left_alone]) == [lost]
    assert in_doubt([lost, entry(BOOK, SUCCEEDED, "k")]) == in_doubt([lost, refused]) == []


@given(st.text())
def test_arguments_that_are_no_json_are_told_apart_all_the_same(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


@given(st.lists(st.tuples(st.sampled_from([BOOK, CANCEL, LOOK]), st.sampled_from([FAILED, SUCCEEDED])), max_size=8))
def test_settled_calls_never_share_a_key(asked: list[tuple[ModelCall, "ToolState.ValueType"]]) -> None:
    tools: list[JournalTool] = []
    for call, state in asked:
        found = todo(call, tools)
        if isinstance(found, Do):
            assert found.idempotency_key not in [one.idempotency_key for one in tools]
            tools.append(entry(call, state, found.idempotency_key, "refused"))
