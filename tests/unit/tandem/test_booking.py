"""Dates as callers say them, worked out apart from the agent; and what is wrong with a booking."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.settings import SettingsInvalid
from tandem.booking import Booking, Expectation, bookings_of, differences, read_expected, start_of

MONDAY = datetime(2026, 11, 23, 14, 2)
WANTED = Expectation(name="Maria Lopez", phone="555 0142 789", start="next tuesday 10:00")
RIGHT = Booking("maria lopez", "5550142789", datetime(2026, 11, 24, 10, 0))


@pytest.mark.parametrize(
    ("said", "on", "expected"),
    [
        ("next tuesday 10:00", MONDAY, datetime(2026, 11, 24, 10, 0)),
        ("Next Tuesday 10:00", datetime(2026, 11, 24, 9, 0), datetime(2026, 12, 1, 10, 0)),  # said on a Tuesday
        ("tuesday 9:30", datetime(2026, 11, 25, 9, 0), datetime(2026, 12, 1, 9, 30)),
        ("monday 09:00", MONDAY, datetime(2026, 11, 30, 9, 0)),
        ("today 16:00", MONDAY, datetime(2026, 11, 23, 16, 0)),
        ("tomorrow 08:15", datetime(2026, 12, 31, 23, 0), datetime(2027, 1, 1, 8, 15)),
        ("2026-12-01 10:00", MONDAY, datetime(2026, 12, 1, 10, 0)),
    ],
)
def test_what_words_mean(said, on, expected):
    assert start_of(said, on) == expected


@pytest.mark.parametrize("said", ["", "someday 10:00", "tuesday", "tuesday 25:00", "2026-02-30 10:00"])
def test_words_that_mean_nothing(said):
    with pytest.raises(ValueError):  # noqa: PT011  # datetime has its own words for 25:00
        start_of(said, MONDAY)


@given(st.sampled_from(["monday", "tuesday", "sunday"]), st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)))
def test_next_weekday_is_one_to_seven_days_ahead_and_that_day(day, now):
    start = start_of(f"next {day} 10:00", now)
    assert 1 <= (start.date() - now.date()).days <= 7
    assert f"{start:%A}".lower() == day


@pytest.mark.parametrize(
    ("bookings", "expected"),
    [
        ([RIGHT], []),
        ([], ["nothing was booked"]),
        ([RIGHT, RIGHT], ["2 appointments were booked, 1 was asked for"]),
        ([Booking("Mario", "5550142789", RIGHT.start)], ["name is 'Mario', expected 'Maria Lopez'"]),
        ([Booking("Maria Lopez", "555 0142", RIGHT.start)], ["phone is '555 0142', expected '555 0142 789'"]),
        (
            [Booking("Maria Lopez", "+555-0142-789", datetime(2026, 12, 1, 10, 0))],
            ["start is 2026-12-01 10:00, expected 2026-11-24 10:00 (next tuesday 10:00)"],
        ),
    ],
)
def test_differences(bookings, expected):
    assert differences(WANTED, bookings, MONDAY.replace(tzinfo=UTC)) == expected


def test_cancelled_appointments_do_not_count():
    one = {"name": "Maria Lopez", "phone": "5550142789", "start": "2026-11-24T10:00:00+01:00", "status": "cancelled"}
    assert bookings_of([one]) == []
    live = bookings_of([one | {"status": "booked"}])
    assert differences(WANTED, live, MONDAY.replace(tzinfo=UTC)) == []


def test_a_mistake_in_an_expectation_names_its_line(tmp_path):
    file = tmp_path / "book.yaml"
    file.write_text("booking:\n  name: A\n  phone: '1'\n  start: whenever\n")
    with pytest.raises(SettingsInvalid, match=r"book.yaml:4: booking.start: expected a day and a time"):
        read_expected(file)
