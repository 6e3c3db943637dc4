"""Days and times, said on Monday the 23rd of November 2026 at nine, to a clinic open from 8 to 18."""

from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.brain.script.reply import spoken_when
from services.brain.script.when import NOTHING_SAID, WEEKDAYS, Hours, When, read_when

NOW = datetime(2026, 11, 23, 9, 0)


def understood(text: str, asked: bool = True, known: When = NOTHING_SAID, now: datetime = NOW) -> str:
    when = read_when(text, now, known=known, asked=asked)
    at = when.at.strftime("%H:%M") if when.at else ""
    return " ".join(part for part in (str(when.day or ""), at, when.part) if part)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("next Tuesday at ten in the morning", "2026-11-24 10:00"),
        ("Friday at two", "2026-11-27 14:00"),
        ("half past three", "15:30"),
        ("quarter to nine", "08:45"),
        ("twenty to ten on Monday", "2026-11-30 09:40"),
        ("ten thirty", "10:30"),
        ("nine oh five", "09:05"),
        ("noon", "12:00"),
        ("twelve thirty", "12:30"),
        ("two in the afternoon", "14:00"),
        ("seven in the evening", "19:00"),
        ("half three", "15:30"),
        ("tomorrow afternoon", "2026-11-24 afternoon"),
        ("this afternoon at three", "2026-11-23 15:00"),
        ("the day after tomorrow at a quarter past four", "2026-11-25 16:15"),
        ("the 3rd of December at 2", "2026-12-03 14:00"),
        ("the third of december at two", "2026-12-03 14:00"),
        ("December 3rd at 10:30 a.m.", "2026-12-03 10:30"),
        ("Tuesday the first of December at ten", "2026-12-01 10:00"),
        ("Tuesday the first at ten", "2026-12-01 10:00"),
        ("the second at nine", "2026-12-02 09:00"),
        ("twenty first of May at four fifteen", "2027-05-21 16:15"),
        ("in two weeks", "2026-12-07"),
        ("a week on Tuesday", "2026-12-01"),
        ("Tuesday next week at 2pm", "2026-12-01 14:00"),
        ("from Tuesday to Friday at two", "2026-11-27 14:00"),
        ("not Tuesday, Thursday", "2026-11-26"),
        ("Tuesday or Wednesday", "2026-11-24"),
        ("on Friday, 4 December, at 3 p.m.", "2026-12-04 15:00"),
        ("monday at 1030", "2026-11-30 10:30"),
        ("12 PM", "12:00"),
    ],
)
def test_days_and_times_are_read(text: str, expected: str) -> None:
    assert understood(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("next choose day at ten", "2026-11-24 10:00"),
        ("two's day at ten a.m.", "2026-11-24 10:00"),
        ("Wensday at 11 o'clock", "2026-11-25 11:00"),
        ("thirst day at half past nine", "2026-11-26 09:30"),
        ("fry day at too", "2026-11-27 14:00"),
        ("Friday at for in the afternoon", "2026-11-27 16:00"),
        ("to morrow at ate", "2026-11-24 08:00"),
    ],
)
def test_what_recognition_makes_of_them_is_read_too(text: str, expected: str) -> None:
    assert understood(text) == expected


@pytest.mark.parametrize(
    "text", ["I need to see the doctor", "my number is 5550142789", "John Smith", "someday", "the second one", "I may"]
)
def test_no_day_and_no_time_is_found_where_none_is(text: str) -> None:
    assert understood(text, asked=False) == ""


def test_a_lone_number_is_a_time_only_when_one_was_asked_for() -> None:
    assert understood("ten", asked=True) == "10:00"
    assert understood("ten", asked=False) == ""


@pytest.mark.parametrize(("weekday", "days"), [("Tuesday", 7), ("Wednesday", 1), ("Monday", 6)])
def test_a_weekday_is_always_ahead(weekday: str, days: int) -> None:
    tuesday = datetime(2026, 11, 24, 9, 0)
    assert understood(f"next {weekday}", now=tuesday) == str((tuesday + timedelta(days=days)).date())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the week after", "2026-12-01"),
        ("a day later", "2026-11-25"),
        ("half an hour later", "2026-11-24 10:30"),
        ("an hour earlier", "2026-11-24 09:00"),
    ],
)
def test_corrections_count_from_what_is_known(text: str, expected: str) -> None:
    assert understood(text, known=When(date(2026, 11, 24), time(10))) == expected


def test_a_new_day_keeps_the_time_and_a_new_part_of_the_day_does_not() -> None:
    known = When(date(2026, 11, 24), time(10))
    assert known.updated(When(day=date(2026, 11, 26))) == When(date(2026, 11, 26), time(10))
    assert known.updated(When(at=time(11))) == When(date(2026, 11, 24), time(11))
    assert known.updated(When(part="afternoon")) == When(date(2026, 11, 24), None, "afternoon")


def test_in_the_afternoon_still_holds_when_the_hour_comes() -> None:
    noon_shift = When(date(2026, 11, 24), part="afternoon")
    assert read_when("ten", NOW, Hours(8, 23), noon_shift, asked=True).at == time(22)
    assert read_when("ten", NOW, Hours(8, 23), asked=True).at == time(10)


def test_an_hour_outranks_a_part_of_the_day_said_before() -> None:
    assert understood("half past three", known=When(date(2026, 11, 24), part="morning")) == "15:30"


@given(st.text(max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    read_when(text, NOW, asked=True)


@given(st.dates(date(2026, 11, 24), date(2027, 11, 20)), st.integers(8, 17), st.sampled_from([0, 15, 30, 45]))
def test_what_is_spoken_is_understood(day: date, hour: int, minute: int) -> None:
    said = spoken_when(When(day, time(hour, minute)))
    assert read_when(said, NOW) == When(day, time(hour, minute)), said
    assert WEEKDAYS[day.weekday()] in said.lower()
