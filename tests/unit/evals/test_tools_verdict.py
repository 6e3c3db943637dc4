"""Duplicates and losses, by ledger and journals."""

from typing import Any

import pytest

from evals.tools.verdict import Ended, Verdict, judge
from tandem.v1.call_pb2 import CallJournal, JournalTool, ToolState

START = "2026-11-24T10:00:00"
SUCCEEDED, FAILED = ToolState.TOOL_STATE_SUCCEEDED, ToolState.TOOL_STATE_FAILED
REQUESTED = ToolState.TOOL_STATE_REQUESTED


def row(phone: str = "1", start: str = START, key: str = "k") -> dict[str, Any]:
    return {"action": "book", "key": key, "detail": {"phone": phone, "start": start}, "repeats": []}


def ended(told: bool = False, hung_up: bool = False) -> Ended:
    return Ended("c1", "1", START, told=told, hung_up=hung_up, gave_up=False)


def verdict(call: Ended, states: list[int], ledger: list[dict[str, Any]], twice: Any = ()) -> Verdict:
    tools = [
        JournalTool(name="book_appointment", state=state, result_json='{"code": "timeout"}')  # type: ignore[arg-type]
        for state in states
    ]
    return judge([call], {"c1": CallJournal(tools=tools)}, ledger, twice)


@pytest.mark.parametrize(
    ("told", "hung_up", "states", "booked", "lost"),
    [
        pytest.param(True, False, [SUCCEEDED], True, 0, id="as it should be"),
        pytest.param(True, False, [FAILED, SUCCEEDED], True, 0, id="learnt at the second try"),
        pytest.param(False, False, [FAILED], False, 0, id="not booked, and nobody says so"),
        pytest.param(True, False, [], False, 1, id="told, and not booked"),
        pytest.param(False, False, [SUCCEEDED], False, 1, id="the journal has what the ledger has not"),
        pytest.param(False, False, [FAILED], True, 1, id="booked, never learnt"),
        pytest.param(False, False, [REQUESTED], True, 1, id="asked for, and forgotten"),
        pytest.param(True, False, [REQUESTED], True, 1, id="told, and not in the journal"),
        pytest.param(False, True, [REQUESTED], True, 0, id="the caller did not wait for it"),
        pytest.param(False, True, [SUCCEEDED], False, 1, id="the caller did not wait for what never was"),
    ],
)
def test_lost(told: bool, hung_up: bool, states: list[int], booked: bool, lost: int) -> None:
    found = verdict(ended(told, hung_up), states, [row()] if booked else [])
    assert (len(found.lost), found.duplicates) == (lost, [])


def test_a_caller_with_two_appointments_is_a_duplicate() -> None:
    ledger = [row(), row(start="2026-11-24T10:30:00", key="other")]
    assert verdict(ended(True), [SUCCEEDED], ledger).duplicates == ["1 has 2 appointments"]


def test_what_the_booking_system_refused_as_the_second_time_is_a_duplicate() -> None:
    twice = [{"phone": "1", "start": START, "first_key": "k1", "key": "k2"}]
    assert verdict(ended(True), [SUCCEEDED], [row()], twice).duplicates == [f"1 asked for {START} under k1 and k2"]


def test_counts() -> None:
    found = verdict(ended(True), [SUCCEEDED], [row(start="2026-11-24T11:00:00")])
    assert (found.booked, found.told, found.other_time, found.unlearnt_after_hang_up) == (1, 1, 1, [])
    assert len(verdict(ended(hung_up=True), [REQUESTED], [row()]).unlearnt_after_hang_up) == 1
