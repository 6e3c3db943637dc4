"""Values of each kind as callers give them, and as they are said back. Pure.

Values are JSON: digits, phone, email, spelling, name, choice and text are strings (phone in E.164 where the country is
known), number an int or a float, money a string such as "12.50", date "2026-12-01", time "10:00", yes_no a bool.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any

import dateparser
import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from services.brain.flow.declaration import KEYED_KINDS, Collect
from services.brain.flow.numbers import numbers_as_figures, read_money, read_number
from services.brain.flow.remarks import yes_or_no
from services.brain.flow.spelling import read_email, read_spelling
from services.brain.script.hearing import read_choice
from services.brain.script.names import read_name
from services.brain.script.phone import wants_calling_number, without_phone
from services.brain.script.reply import spoken_day, spoken_time
from services.brain.script.when import MONTHS, WEEKDAYS, When, read_when
from services.brain.script.words import words_of
from services.brain.slots import digits_said
from services.brain.words import primary

# Below it a transcript is as often wrong as not (turn_profile.TurnProfile.short_words_confidence_pct).
UNSURE_CONFIDENCE = 0.6
# The shortest numbers that people give as theirs, and the longest there are.
_PHONE_DIGITS = (7, 15)
# A code of unknown length, said in one go.
_MOST_DIGITS = 64
_COUNTRIES = {"en": "US", "de": "DE", "fr": "FR", "es": "ES", "it": "IT", "nl": "NL", "pt": "PT"}
_CURRENCY = re.compile(r"[$€£]|\b(?:dollars?|euros?|pounds?|quid|bucks|cents?|pence|francs?|franken)\b", re.I)
_PLACES = ("first", "second", "third", "fourth", "fifth")
_MONTH = "|".join(sorted({*MONTHS, *(month[:3] for month in MONTHS), "sept"}, key=len, reverse=True))
_TH = r"(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4}|\d\d)\b"
_DAY_MONTH_YEAR = re.compile(
    rf"\b(?P<day>\d{{1,2}}){_TH}(?: of)?(?: the)? (?P<month>{_MONTH}|\d{{1,2}}(?={_TH}\b)){_TH}\.? +(?:of )?{_YEAR}"
)
_MONTH_DAY_YEAR = re.compile(rf"\b(?P<month>{_MONTH})\.? (?:the )?(?P<day>\d{{1,2}}){_TH} +(?:of )?{_YEAR}")
_NUMERIC_DATE = re.compile(r"\b(\d{1,2})[ ./-](\d{1,2})[ ./-](\d{4}|\d{2})\b")


@dataclass(frozen=True, slots=True)
class Context:
    """What a value is read against. `now` is naive local time; `language` BCP 47; `known` what the slot holds."""

    now: datetime
    language: str = "en"
    caller_number: str = ""
    known: Any = None
    # The question was for this value: then "ten" is a time, and "Maria" a name.
    asked: bool = True
    confidence: float = 1.0
    # What came of it in the turns before: half a telephone number.
    partial: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """`value` None with `partial`: only a beginning came. `sure` False: it may be misheard."""

    value: Any = None
    sure: bool = True
    partial: str = ""


def read_value(collect: Collect, text: str, context: Context) -> Read | None:
    """What `text` says for the slot; None when it says nothing that fits."""
    read = _READERS[collect.kind](collect, text, context)
    if read is not None and read.value is not None:
        if not fits(collect, read.value, context.now):
            return None
        if context.confidence < UNSURE_CONFIDENCE:
            return Read(read.value, sure=False)
    return read


def keyed_value(collect: Collect, keys: str, context: Context) -> Read | None:
    """What keys say for the slot; None when they say nothing that fits."""
    if collect.kind not in KEYED_KINDS or not collect.dtmf:
        return None
    digits = re.sub(r"\D", "", keys)
    if collect.kind == "yes_no":
        return Read({"1": True, "2": False}[digits]) if digits in ("1", "2") else None
    if collect.kind == "choice":
        place = int(digits) - 1 if len(digits) == 1 else -1
        return Read(list(collect.choices)[place]) if 0 <= place < len(collect.choices) else None
    return read_value(collect, digits, context) if digits else None


def given_value(collect: Collect, value: Any, context: Context) -> Any:
    """A value that the model gave for the slot, brought to its form; None when it does not fit."""
    if isinstance(value, bool):
        return value if collect.kind == "yes_no" else None
    text = str(value).strip()
    if collect.kind == "choice":
        return text if text in collect.choices else None
    if collect.kind in ("date", "time"):
        # Models write ISO 8601, and callers never say it.
        written = _iso(collect.kind, text)
        if written is not None:
            return written if fits(collect, written, context.now) else None
    read = read_value(collect, text, context) if text else None
    return read.value if read else None


def _iso(kind: str, text: str) -> str | None:
    try:
        moment = datetime.fromisoformat(text if kind == "date" or "T" in text else f"2000-01-01T{text}")
    except ValueError:
        return None
    return moment.date().isoformat() if kind == "date" else moment.strftime("%H:%M")


def fits(collect: Collect, value: Any, now: datetime) -> bool:
    """Whether the declared bounds hold."""
    if collect.pattern is not None and not re.fullmatch(collect.pattern, str(value)):
        return False
    if collect.kind in ("number", "money"):
        return _between(float(value), collect)
    if collect.kind in ("digits", "spelling", "text"):
        return collect.length in (None, len(value)) and _between(len(value), collect)
    if collect.kind == "date" and collect.past is not None:
        return (date.fromisoformat(value) < now.date()) is collect.past
    return True


def spoken(collect: Collect, value: Any) -> str:
    """The value as text that the voice reads as people say it; nothing of a secret."""
    if collect.secret:
        return ""
    text = str(value)
    match collect.kind:
        case "digits":
            return in_groups(text)
        case "phone":
            return _spoken_phone(text)
        case "date":
            day = date.fromisoformat(text)
            return spoken_day(day) + (f" {day.year}" if collect.past else "")
        case "time":
            return spoken_time(text)
        case "spelling":
            return "-".join(text)
        case "yes_no":
            return "yes" if value else "no"
        case "choice":
            return text.replace("_", " ")
        case _:
            return text


def in_groups(digits: str) -> str:
    """ "4150142" is "4 1 5, 0 1 4 2", which a voice reads digit by digit with a breath between."""
    groups, rest = [], digits
    while len(rest) > 4:
        groups.append(rest[:3])
        rest = rest[3:]
    return ", ".join(" ".join(group) for group in (*groups, rest) if group)


def _between(value: float, collect: Collect) -> bool:
    return (collect.min is None or value >= collect.min) and (collect.max is None or value <= collect.max)


def _spoken_phone(number: str) -> str:
    try:
        parsed = phonenumbers.parse(number, None)
    except NumberParseException:
        return in_groups(number)
    return phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)


# Reading, a kind each.


def _digits(collect: Collect, text: str, context: Context) -> Read | None:
    if not context.asked:
        return None
    digits = digits_said(text, context.language)
    if not digits or len(digits) > _MOST_DIGITS:
        return None
    if context.partial and not _right_length(digits, collect):
        digits = context.partial + digits
    if _right_length(digits, collect):
        return Read(digits)
    wanted = collect.length or collect.min
    if wanted is not None and len(digits) < wanted and len(digits) >= 2:
        return Read(partial=digits)
    return None


def _right_length(digits: str, collect: Collect) -> bool:
    return collect.length in (None, len(digits)) and _between(len(digits), collect)


def _phone(collect: Collect, text: str, context: Context) -> Read | None:
    if context.caller_number and wants_calling_number(text):
        return Read(_e164(context.caller_number, context)[0])
    digits = digits_said(text, context.language)
    shortest, longest = _PHONE_DIGITS
    if context.asked and context.partial and len(digits) < shortest:
        digits = context.partial + digits if digits else ""
    if len(digits) > longest:
        return None
    if len(digits) >= shortest:
        abroad = re.search(r"^\W*(?:plus\b|\+)|[:\s]\+\s?\d", text.lower()) is not None
        number, valid = _e164(f"+{digits}" if abroad else digits, context)
        if context.asked and not valid and len(digits) < 10 and not context.partial:
            # Seven digits are more often the beginning of ten than a whole number.
            return Read(partial=digits)
        return Read(number, sure=valid)
    return Read(partial=digits) if context.asked and len(digits) >= 2 else None


def _e164(number: str, context: Context) -> tuple[str, bool]:
    """The number with its country, and whether it is one there; as it is where no country has it."""
    country = context.language.partition("-")[2].upper() or _COUNTRIES.get(primary(context.language), "US")
    given = "+" + number[2:] if number.startswith("00") else number
    for region in (country, "GB" if primary(context.language) == "en" else country):
        try:
            parsed = phonenumbers.parse(given, region)
        except NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return phonenumbers.format_number(parsed, PhoneNumberFormat.E164), True
    return re.sub(r"\D", "", number), False


def _number(collect: Collect, text: str, context: Context) -> Read | None:
    if not context.asked:
        return None
    value = read_number(text, context.language)
    return None if value is None else Read(value)


def _money(collect: Collect, text: str, context: Context) -> Read | None:
    if not context.asked and not _CURRENCY.search(text):
        return None
    value = read_money(text, context.language)
    return None if value is None else Read(value)


def _date(collect: Collect, text: str, context: Context) -> Read | None:
    past = bool(collect.past)
    day = _numeric_day(text, context.now, past)
    if day is None and past:
        day = _named_day(text, context)
    elif day is None and primary(context.language) == "en":
        known = When(date.fromisoformat(context.known)) if context.known else When()
        day = _read_when(without_phone(text), context.now.date(), known, False).day
    if day is None and primary(context.language) != "en" and context.asked:
        day = _parsed_day(text, context, past)
    return None if day is None else Read(day.isoformat())


def _named_day(text: str, context: Context) -> date | None:
    """ "The third of March nineteen eighty-five", "12th of the 4th 1990": with its year."""
    said = re.sub(r"\b(19|20) (\d\d)\b", r"\1\2", numbers_as_figures(text, context.language).replace(",", " "))
    said = re.sub(r"\b(19|20) (?:oh|0) (\d)\b", r"\g<1>0\2", said)
    if (found := _DAY_MONTH_YEAR.search(said)) or (found := _MONTH_DAY_YEAR.search(said)):
        day, month, year = found["day"], found["month"], found["year"]
    else:
        return None
    number = int(month) if month.isdecimal() else 1 + [one[:3] for one in MONTHS].index(month[:3])
    try:
        return date(_year(int(year), context.now, past=True), number, int(day))
    except ValueError:
        return None


def _year(year: int, now: datetime, past: bool) -> int:
    if year >= 100:
        return year
    return year + (2000 if not past or year <= now.year % 100 else 1900)


# A turn is read for several slots, and dateparser takes 5 ms and more.
@lru_cache(maxsize=256)
def _read_when(text: str, today: date, known: When, asked: bool) -> When:
    try:
        return read_when(text, datetime.combine(today, time()), known=known, asked=asked)
    except (ValueError, OverflowError):
        # A day beyond the calendar: "in a million weeks".
        return When()


def _numeric_day(text: str, now: datetime, past: bool) -> date | None:
    """ "3.4.1985", day first; month first where only that is a day."""
    found = _NUMERIC_DATE.search(text)
    if found is None:
        return None
    first, second, year = (int(one) for one in found.groups())
    year = _year(year, now, past)
    for day, month in ((first, second), (second, first)):
        try:
            return date(year, month, day)
        except ValueError:
            continue
    return None


def _parsed_day(text: str, context: Context, past: bool) -> date | None:
    settings = {
        "RELATIVE_BASE": context.now,
        "PREFER_DATES_FROM": "past" if past else "future",
        "REQUIRE_PARTS": ["day", "month", "year"] if past else ["day", "month"],
        "DATE_ORDER": "DMY",
    }
    plain = re.sub(r"[^\w\s./-]", " ", numbers_as_figures(text, context.language))[:60]
    plain = re.sub(r"\b(19|20) (\d\d)\b", r"\1\2", plain)
    plain = re.sub(r"^(?:\s*(?:it's|its|it is|i was|born|on|the|am|le|el|il|o))+\b|\b(?:of|the)\b", " ", plain)
    try:
        parsed = dateparser.parse(plain, languages=[primary(context.language)], settings=settings)
    except (ValueError, OverflowError, TypeError):
        return None
    return parsed.date() if parsed else None


def _time(collect: Collect, text: str, context: Context) -> Read | None:
    said = _read_when(without_phone(text), context.now.date(), When(), context.asked).at
    return None if said is None else Read(said.strftime("%H:%M"))


def _email(collect: Collect, text: str, context: Context) -> Read | None:
    found = read_email(text, context.language)
    return None if found is None else Read(found[0], sure=found[1])


def _spelling(collect: Collect, text: str, context: Context) -> Read | None:
    if not context.asked:
        return None
    letters = read_spelling(text, context.language)
    if context.partial and letters and not fits(collect, letters, context.now):
        letters = context.partial + letters
    wanted = collect.length or collect.min
    if wanted is not None and 0 < len(letters) < wanted:
        return Read(partial=letters)
    return Read(letters) if letters else None


def _name(collect: Collect, text: str, context: Context) -> Read | None:
    name = read_name(text, context.asked, str(context.known or ""))
    if not name or any(word.lower() in WEEKDAYS for word in name.split()):
        return None
    return Read(name)


def _choice(collect: Collect, text: str, context: Context) -> Read | None:
    value = read_choice(text, collect.choices)
    if not value and context.asked:
        said = words_of(text)
        places = [place for place, word in enumerate(_PLACES) if word in said and place < len(collect.choices)]
        if "last" in said:
            places = [len(collect.choices) - 1]
        value = list(collect.choices)[places[0]] if len(places) == 1 else ""
    return Read(value) if value else None


def _yes_no(collect: Collect, text: str, context: Context) -> Read | None:
    said = yes_or_no(text, context.language) if context.asked else ""
    return Read(said == "yes") if said else None


def _text(collect: Collect, text: str, context: Context) -> Read | None:
    return Read(text.strip()[:1000]) if context.asked and text.strip() else None


_READERS: dict[str, Callable[[Collect, str, Context], Read | None]] = {
    "digits": _digits,
    "phone": _phone,
    "number": _number,
    "money": _money,
    "date": _date,
    "time": _time,
    "email": _email,
    "spelling": _spelling,
    "name": _name,
    "choice": _choice,
    "yes_no": _yes_no,
    "text": _text,
}
