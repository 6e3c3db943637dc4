"""What is said: templates, and values spoken the way people speak them."""

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any

from jinja2 import ChainableUndefined, StrictUndefined, Template, TemplateError, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from num2words import num2words

from services.brain.script.when import WEEKDAYS, When, iso_when

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def spoken_day(day: date | str) -> str:
    """ "Tuesday the first of December"."""
    day = date.fromisoformat(day[:10]) if isinstance(day, str) else day
    return f"{WEEKDAYS[day.weekday()].capitalize()} the {num2words(day.day, to='ordinal')} of {_MONTHS[day.month - 1]}"


def spoken_time(at: time | str) -> str:
    """ "ten in the morning", "half past three in the afternoon", "noon"."""
    at = time.fromisoformat(at) if isinstance(at, str) else at
    if (at.hour, at.minute) == (12, 0):
        return "noon"
    part = "in the morning" if at.hour < 12 else "in the afternoon" if at.hour < 18 else "in the evening"
    hour, following = _hour(at.hour), _hour(at.hour + 1)
    if at.minute == 0:
        return f"{hour} {part}"
    named = {15: f"a quarter past {hour}", 30: f"half past {hour}", 45: f"a quarter to {following}"}
    minutes = num2words(at.minute) if at.minute > 9 else f"oh {num2words(at.minute)}"
    return f"{named.get(at.minute, f'{hour} {minutes}')} {part}"


def _hour(hour: int) -> str:
    return str(num2words((hour - 1) % 12 + 1))


def spoken_when(when: When | datetime | str) -> str:
    """Whatever is known: "Tuesday the first of December at ten in the morning", or the day or the time alone."""
    if isinstance(when, str):
        when = iso_when(when)
    if isinstance(when, datetime):
        when = When(when.date(), when.time())
    day = spoken_day(when.day) if when.day else ""
    at = spoken_time(when.at) if when.at else ""
    return f"{day} at {at}" if day and at else day or at or f"in the {when.part}"


def spoken_digits(digits: str) -> str:
    """Digit by digit in groups as people say numbers: three, three, and the rest in fours or threes."""
    digits = re.sub(r"\D", "", digits)
    groups, rest = [], digits
    while len(rest) > 4:
        groups.append(rest[:3])
        rest = rest[3:]
    groups.append(rest)
    return ", ".join(" ".join(_DIGITS[int(digit)] for digit in group) for group in groups if group)


def spoken_list(items: list[str], last: str = "or") -> str:
    """ "nine, ten or half past eleven"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def spoken_times(moments: list[str | When], last: str = "or") -> str:
    """Several moments, day and part of the day said once: "Tuesday the first of December at nine or ten ..."

    Moments are ISO 8601 or complete When, in order.
    """
    groups: list[tuple[date | None, str, list[str]]] = []
    for moment in moments:
        when = iso_when(moment) if isinstance(moment, str) else moment
        hour, _, part = spoken_time(when.at or time()).partition(" in the ")
        if not groups or groups[-1][:2] != (when.day, part):
            groups.append((when.day, part, []))
        groups[-1][2].append(hour)
    spoken, before = [], None
    for day, part, hours in groups:
        at = spoken_list(hours, last) + (f" in the {part}" if part else "")
        spoken.append(f"at {at}" if day == before or day is None else f"{spoken_day(day)} at {at}")
        before = day
    return spoken_list(spoken, last)


def iso(when: When) -> str:
    """ISO 8601 local time without offset, what tools take: 2026-12-01T10:00:00."""
    return when.moment.isoformat()


def iso_day(when: When | None) -> str | None:
    return when.day.isoformat() if when and when.day else None


def _environment(undefined: type[Undefined]) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=undefined, autoescape=False, trim_blocks=True)
    environment.filters |= {
        "when": spoken_when,
        "day": spoken_day,
        "time": spoken_time,
        "digits": spoken_digits,
        "times": spoken_times,
        "spoken_list": spoken_list,
        "iso": iso,
        "iso_day": iso_day,
    }
    return environment


_environment_of_text = _environment(StrictUndefined)
_environment_of_values = _environment(ChainableUndefined)


@lru_cache(maxsize=4096)
def _template(source: str) -> Template:
    return _environment_of_text.from_string(source)


@lru_cache(maxsize=4096)
def _expression(source: str) -> Any:
    return _environment_of_values.compile_expression(source)


def check_template(source: str) -> str:
    """`source` again; raises ValueError that says what is wrong with it."""
    try:
        _template(source)
    except TemplateError as error:
        raise ValueError(f"not a template: {error}") from None
    return source


def check_expression(source: str) -> str:
    """`source` again; raises ValueError that says what is wrong with it."""
    try:
        _expression(source)
    except TemplateError as error:
        raise ValueError(f"not an expression: {error}") from None
    return source


def render(source: str, values: Mapping[str, Any]) -> str:
    """One template with its values, as one line. Raises jinja2.TemplateError for a name that has no value."""
    return " ".join(_template(source).render(values).split())


def render_prompt(source: str, values: Mapping[str, Any]) -> str:
    """A template with its lines kept. Raises jinja2.TemplateError for a name that has no value."""
    return _template(source).render(values).strip()


def evaluate(source: str, values: Mapping[str, Any]) -> Any:
    """The value of an expression such as `start|iso` or `result.slots`; None where a name has no value."""
    return _expression(source)(**values)


def clauses(text: str) -> list[str]:
    """`text` cut after each clause, spaces kept: what a voice can begin to speak with."""
    return [clause for clause in re.split(r"(?<=[,.;:?!] )(?=\S)", text) if clause]
