"""Whether a step came to what was expected."""

from typing import Any

import pytest

from tandem.agentfolder.expectations import unmet
from tandem.agentfolder.testfile import Expected
from tandem.textcall.exchange import Exchange, ToolUse

LOOK = ToolUse("look", {"day": 3, "name": "Ann Lee"}, True)
BOOK = ToolUse("book", {"start": "2026-12-03T10:00:00", "who": {"name": "Ann", "age": 40}}, True)
WAS = Exchange("We\u2019re open\nfrom nine.", tools=(LOOK, BOOK))


@pytest.mark.parametrize(
    ("expected", "keys"),
    [
        ({}, []),
        ({"says": "we're OPEN from"}, []),
        ({"says": ["open", "closed", "ten"]}, [("says", 1), ("says", 2)]),
        ({"matches": "from (eight|nine)"}, []),
        ({"matches": "from (ten|eight)$"}, [("matches", 0)]),
        ({"does_not_say": ["closed", "nine"]}, [("does_not_say", 1)]),
        ({"calls": ["look", "book"]}, []),
        ({"calls": ["book"]}, []),
        ({"calls": ["book", "look"]}, [("calls", 1)]),
        ({"calls": ["look", "look"]}, [("calls", 1)]),
        ({"calls": []}, [("calls",)]),
        ({"calls": {"look": {"day": 3}}}, []),
        ({"calls": {"look": {"day": 4}}}, [("calls", 0)]),
        ({"calls": {"look": {"month": 3}}}, [("calls", 0)]),
        ({"calls": {"book": {"start": "/T10:/", "who": {"name": "Ann"}}}}, []),
        ({"does_not_call": ["cancel", "look"]}, [("does_not_call", 1)]),
        ({"ends": False, "transfers": False}, []),
        ({"ends": True}, [("ends",)]),
        ({"transfers": True}, [("transfers",)]),
        ({"slots": {"name": "ann lee", "age": 40}}, []),
        ({"slots": {"name": "Bob", "town": "Ulm"}}, [("slots", "name"), ("slots", "town")]),
    ],
)
def test_what_is_not_met(expected: dict[str, Any], keys: list[tuple[Any, ...]]) -> None:
    found = list(unmet(Expected.model_validate(expected), WAS, {"name": "Ann Lee", "age": "40"}))
    assert [one.key for one in found] == keys


def test_it_is_told_what_there_was_instead() -> None:
    (found,) = unmet(Expected.model_validate({"calls": {"look": {"day": 4}}}), WAS, {})
    assert found.what.startswith("expected a call of look(day=4), there was look(day=3, name='Ann Lee'), book(")


def test_a_transfer_that_failed_is_one_that_was_tried() -> None:
    was = Exchange("Sorry.", asked_for_person=True)
    assert not list(unmet(Expected(transfers=True, ends=False), was, {}))
