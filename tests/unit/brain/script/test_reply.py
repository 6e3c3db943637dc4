"""Values as they are spoken, and texts cut for the voice."""

from datetime import date, datetime, time

import pytest

from services.brain.script.reply import (
    check_expression,
    check_template,
    clauses,
    evaluate,
    render,
    spoken_digits,
    spoken_time,
    spoken_times,
    spoken_when,
)
from services.brain.script.when import When


@pytest.mark.parametrize(
    ("at", "spoken"),
    [
        ("10:00", "ten in the morning"),
        ("10:30", "half past ten in the morning"),
        ("14:15", "a quarter past two in the afternoon"),
        ("15:45", "a quarter to four in the afternoon"),
        ("12:00", "noon"),
        ("12:30", "half past twelve in the afternoon"),
        ("09:05", "nine oh five in the morning"),
        ("18:20", "six twenty in the evening"),
    ],
)
def test_times_are_spoken(at: str, spoken: str) -> None:
    assert spoken_time(at) == spoken


def test_moments_are_spoken() -> None:
    assert spoken_when(datetime(2026, 12, 1, 10)) == "Tuesday the first of December at ten in the morning"
    assert spoken_when(When(day=date(2026, 12, 22))) == "Tuesday the twenty-second of December"
    assert spoken_when(When(at=time(14))) == "two in the afternoon"


def test_the_day_is_said_once_for_several_times() -> None:
    same_day = ["2026-12-01T09:00:00", "2026-12-01T09:30:00", "2026-12-01T14:00:00"]
    expected = "Tuesday the first of December at nine or half past nine in the morning or at two in the afternoon"
    assert spoken_times(same_day) == expected
    assert spoken_times(["2026-12-01T12:00:00"]) == "Tuesday the first of December at noon"


def test_digits_are_grouped() -> None:
    assert spoken_digits("5550142789") == "five five five, zero one four, two seven eight nine"
    assert spoken_digits("5550142") == "five five five, zero one four two"


def test_clauses_keep_every_letter() -> None:
    text = "I'm sorry, that time is taken. I have nine or ten. Which would you like?"
    assert clauses(text)[0] == "I'm sorry, "
    assert "".join(clauses(text)) == text


def test_templates_and_expressions() -> None:
    assert render("For {{ name }},\n  {{ phone|digits }}.", {"name": "Jo", "phone": "123"}) == "For Jo, one two three."
    assert evaluate("start|iso", {"start": When(date(2026, 12, 1), time(10))}) == "2026-12-01T10:00:00"
    assert evaluate("start.part", {}) is None
    with pytest.raises(ValueError, match="not a template"):
        check_template("{{ name ")
    with pytest.raises(ValueError, match="not an expression"):
        check_expression("name |nothing")
