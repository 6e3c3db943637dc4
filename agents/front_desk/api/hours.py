"""When the clinic is open."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SLOT = timedelta(minutes=30)
PARTS = {"morning": (time(0), time(12)), "afternoon": (time(12), time(18)), "evening": (time(18), time(23, 59))}
SUMMARY = (
    "We're open Monday to Friday, from eight in the morning to six in the evening, and Saturday from nine to noon."
)


@dataclass(frozen=True)
class Opening:
    opens: time
    closes: time


_WEEKDAY, _SATURDAY = Opening(time(8), time(18)), Opening(time(9), time(12))


def opening(day: date) -> Opening | None:
    """The hours of a day, or None when closed."""
    return None if day.weekday() == 6 else _SATURDAY if day.weekday() == 5 else _WEEKDAY


def spoken_hours(day: date) -> str:
    """For a refusal: when this day is open."""
    hours = opening(day)
    if hours is None:
        return f"We're closed on {DAY_NAMES[day.weekday()]}s."
    closes = "noon" if hours.closes == time(12) else "six in the evening"
    opens = "nine" if hours.opens == time(9) else "eight"
    return f"On {DAY_NAMES[day.weekday()]}s we're open from {opens} in the morning to {closes}."


def starts(day: date, part: str | None = None) -> list[datetime]:
    """The times at which an appointment can begin, on the hour and the half hour."""
    hours = opening(day)
    if hours is None:
        return []
    first, last = datetime.combine(day, hours.opens), datetime.combine(day, hours.closes) - SLOT
    every = [first + SLOT * n for n in range(int((last - first) / SLOT) + 1)]
    begin, end = PARTS.get(part or "", (time(0), time(23, 59)))
    return [start for start in every if begin <= start.time() < end]


def is_start(moment: datetime) -> bool:
    return moment in starts(moment.date())
