"""Was the booking right? Pure: what was expected and what the business API has in, differences out.

Dates are worked out here on their own, not with the agent's parsers: a check that shares their mistakes checks nothing.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field

from services.common.settings import Settings, SettingsInvalid, read_yaml

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_START = re.compile(rf"(?:next )?({'|'.join(_WEEKDAYS)}|today|tomorrow|\d{{4}}-\d\d-\d\d) (\d\d?):(\d\d)")


class Expectation(Settings):
    """What an appointment must be. `start` is `next tuesday 10:00`, `tomorrow 09:00` or `2026-12-01 10:00`, by the
    clinic's wall clock; `timezone` says whose day "tomorrow" counts from."""

    name: str
    phone: str
    start: str
    timezone: str = "Europe/London"

    def starts_at(self, said_at: datetime) -> datetime:
        """`start`, said at that moment (aware), by the clinic's wall clock, naive. Raises ValueError."""
        return start_of(self.start, said_at.astimezone(ZoneInfo(self.timezone))).replace(tzinfo=None)


class Expected(Settings):
    """evals/expected/<script>.yaml: what a script must come to. The caller process never reads it."""

    booking: Expectation | None = None
    transferred: bool = False
    before: Expectation | None = Field(default=None, description="An appointment that is made before the call.")
    cancelled: bool = Field(default=False, description="No appointment is left after the call.")


@dataclass(frozen=True, slots=True)
class Booking:
    """An appointment as the business API tells it."""

    name: str
    phone: str
    start: datetime


def read_expected(path: Path) -> Expected:
    """Raises SettingsInvalid."""
    file = read_yaml(path)
    expected = file.validate(Expected)
    for key in ("booking", "before"):
        appointment: Expectation | None = getattr(expected, key)
        try:
            if appointment:
                appointment.starts_at(datetime(2026, 1, 1, tzinfo=UTC))
        except ValueError as error:
            raise SettingsInvalid([file.mistake((key, "start"), str(error))]) from error
    return expected


def start_of(text: str, said_at: datetime) -> datetime:
    """The moment that words like `next tuesday 10:00` mean when they are said at `said_at`, in its time zone.

    "Next Tuesday" is the first Tuesday after today. Raises ValueError.
    """
    match = _START.fullmatch(text.strip().lower())
    if not match:
        raise ValueError(f"expected a day and a time such as `next tuesday 10:00`, not {text!r}")
    day = _day(match[1], said_at.date())
    return datetime.combine(day, time(int(match[2]), int(match[3])), said_at.tzinfo)


def _day(word: str, today: date) -> date:
    if word in ("today", "tomorrow"):
        return today + timedelta(days=("today", "tomorrow").index(word))
    if word in _WEEKDAYS:
        ahead = (_WEEKDAYS.index(word) - today.weekday()) % 7
        return today + timedelta(days=ahead or 7)
    return date.fromisoformat(word)


def bookings_of(appointments: Iterable[Mapping[str, Any]]) -> list[Booking]:
    """Live appointments from the business API's list. Raises KeyError, ValueError when it is not of that shape."""
    return [
        Booking(str(one["name"]), str(one["phone"]), datetime.fromisoformat(str(one["start"])))
        for one in appointments
        if str(one.get("status", "booked")) not in ("cancelled", "canceled")
    ]


def differences(expected: Expectation, bookings: list[Booking], said_at: datetime) -> list[str]:
    """A line for each way in which what was booked is not what was asked for; empty when it is right."""
    if not bookings:
        return ["nothing was booked"]
    if len(bookings) > 1:
        return [f"{len(bookings)} appointments were booked, 1 was asked for"]
    booking, wrong = bookings[0], []
    if _name(booking.name) != _name(expected.name):
        wrong.append(f"name is {booking.name!r}, expected {expected.name!r}")
    if _digits(booking.phone) != _digits(expected.phone):
        wrong.append(f"phone is {booking.phone!r}, expected {expected.phone!r}")
    start = expected.starts_at(said_at)
    # The API may tell its own time zone: an appointment is a time on the clinic's wall.
    if booking.start.replace(tzinfo=None) != start:
        wrong.append(f"start is {booking.start:%Y-%m-%d %H:%M}, expected {start:%Y-%m-%d %H:%M} ({expected.start})")
    return wrong


def _name(text: str) -> str:
    return " ".join(re.findall(r"[^\W\d_]+", text.casefold()))


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)
