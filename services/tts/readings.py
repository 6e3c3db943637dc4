"""What is said for each kind of thing that `patterns` finds.

Pure. None: it only looked like that kind, and is left as written.
"""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from services.tts import codes, numerals
from services.tts.languages import ENGLISH, Language, country_of, day_first, language_of

_DASH = re.compile(r"\s?[-–]\s?")


@dataclass(frozen=True, slots=True)
class Locale:
    """How an agent's language, by its BCP 47 tag, writes and says things."""

    tag: str
    language: Language
    country: str
    day_first: bool

    @staticmethod
    @functools.lru_cache(maxsize=64)
    def of(tag: str) -> "Locale":
        return Locale(tag, language_of(tag), country_of(tag), day_first(tag))

    @property
    def zed(self) -> bool:
        """English outside the United States has a zed."""
        return self.language is ENGLISH and self.country != "US"


def say(kind: str, text: str, locale: Locale) -> str | None:
    """None: say it as written."""
    return _READERS[kind](text, locale)


def _address(text: str, locale: Locale) -> str:
    names = locale.language.address
    text = re.sub(r"^https?://", "", text).rstrip("/").replace("www.", f"{names['www']} {names['.']} ")
    for sign in ("@", ".", "-", "_", "/", "+"):
        text = text.replace(sign, f" {names[sign]} ")
    return " ".join(text.split())


def _iso_date(text: str, locale: Locale) -> str | None:
    year, month, day = map(int, text.split("-"))
    return numerals.date(year, month, day, locale.language)


def _slash_date(text: str, locale: Locale) -> str | None:
    first, second, year = map(int, text.split("/"))
    month, day = (second, first) if locale.day_first or first > 12 else (first, second)
    return numerals.date(year, month, day, locale.language)


def _dot_date(text: str, locale: Locale) -> str | None:
    day, month, year = map(int, text.split("."))
    return numerals.date(year, month, day, locale.language)


def _named_date(text: str, locale: Locale) -> str | None:
    """ "March 3rd, 2026", "3. März", "3 de marzo de 2026"."""
    language = locale.language
    day = re.search(r"(?<!\d)\d{1,2}(?!\d)", text)
    name = re.search(r"(?!(?:of|de|st|nd|rd|th|er)\b)[^\W\d_]{3,}", text)
    year = re.search(r"\d{4}$", text)
    if day is None or name is None:
        return None
    month = language.short_months.get(name[0]) or language.months.index(name[0]) + 1
    said = numerals.date(int(year[0]) if year else 0, month, int(day[0]), language)
    if said is not None and language is ENGLISH and text[0].isdecimal():
        # As written: "third of March".
        ordinal = numerals.ordinal(int(day[0]), language)
        return re.sub(r"^\w+ [\w ]+?(?=,|$)", f"{ordinal} of {language.months[month - 1]}", said)
    return said


def _between(text: str, locale: Locale, one: Callable[[str], str | None]) -> str | None:
    """Both ends of a range, by a reader for one of them."""
    first, last = _DASH.split(text, maxsplit=1)
    said = one(first), one(last)
    return None if None in said else f"{said[0]} {locale.language.to} {said[1]}"


def _times(text: str, locale: Locale) -> str | None:
    """ "10-12 a.m.": the half of the day is said once, behind both."""

    def one(clock: str) -> str | None:
        if clock.isdecimal() and int(clock) <= 24:
            return numerals.words(int(clock), locale.language)
        said = numerals.time(clock, locale.language)
        # Nobody says o'clock in a range.
        return said.removesuffix(" o'clock") if said else None

    return _between(text, locale, one)


def _moneys(text: str, locale: Locale) -> str | None:
    """ "£5-£10", "£5-10": the unit behind both."""
    first, last = (re.sub(r"^[$£€]\s?|\s?[$£€]$", "", part) for part in _DASH.split(text, maxsplit=1))
    sign = re.search(r"[$£€]", text)
    assert sign is not None
    said = numerals.money(sign[0] + last, locale.language)
    return f"{numerals.number(first, locale.language)} {locale.language.to} {said}" if said else None


def _percent(text: str, locale: Locale) -> str:
    return f"{numerals.number(text.rstrip('%').strip(), locale.language)} {locale.language.percent}"


def _percents(text: str, locale: Locale) -> str | None:
    said = _between(text.rstrip("%").strip(), locale, lambda one: numerals.number(one, locale.language))
    return f"{said} {locale.language.percent}"


def _weekdays(text: str, locale: Locale) -> str | None:
    return _between(text, locale, lambda day: locale.language.weekdays[day.rstrip(".")])


def _fraction(text: str, locale: Locale) -> str | None:
    """The engine's own rules know an English half."""
    if locale.language is ENGLISH:
        return None
    parts = (numerals.number(part, locale.language) for part in text.split("/"))
    return f" {locale.language.address['/']} ".join(parts)


def _range(text: str, locale: Locale) -> str | None:
    """A long one with leading zeros is a code: "020-7946"."""
    if re.search(r"(?<!\d)0\d", text):
        return codes.telephone(text, locale.language, locale.country)
    if len(text) > 7 and re.fullmatch(r"\d{3,4}-\d{4}", text):
        return codes.telephone(text, locale.language, locale.country)
    return _between(text, locale, lambda one: numerals.number(one, locale.language))


def _telephone(text: str, locale: Locale) -> str | None:
    if re.fullmatch(r"\d+\.\d+", text):
        return numerals.number(text, locale.language) if not locale.language.decimal_comma else None
    return codes.telephone(text, locale.language, locale.country)


def _ordinal(text: str, locale: Locale) -> str:
    return numerals.ordinal(int(re.sub(r"\D", "", text)), locale.language)


def _times_as_many(text: str, locale: Locale) -> str:
    return f"{numerals.number(text[:-1], locale.language)} {locale.language.times}"


_READERS: dict[str, Callable[[str, Locale], str | None]] = {
    "email": _address,
    "web": _address,
    "iso_date": _iso_date,
    "slash_date": _slash_date,
    "dot_date": _dot_date,
    "times": _times,
    "time": lambda text, locale: numerals.time(text, locale.language),
    "moneys": _moneys,
    "money": lambda text, locale: numerals.money(text, locale.language),
    "month_day": _named_date,
    "day_month": _named_date,
    "postcode": lambda text, locale: codes.postcode(text, locale.language, locale.zed),
    "always": lambda _, locale: locale.language.around_the_clock,
    "weekdays": _weekdays,
    "weekday": lambda text, locale: locale.language.weekdays[text],
    "spelled": lambda text, locale: codes.spelled(text, locale.language, locale.zed),
    "years": lambda text, locale: _between(text, locale, lambda one: numerals.year(int(one), locale.language)),
    "telephone": _telephone,
    "ordinal": _ordinal,
    "percents": _percents,
    "percent": _percent,
    "multiple": _times_as_many,
    "code": lambda text, locale: codes.code(text, locale.language, locale.zed),
    "numbered": lambda text, locale: (
        f"{locale.language.signs['#']} {numerals.number(text[1:].strip(), locale.language)}"
    ),
    "abbreviation": lambda text, locale: locale.language.abbreviations[text],
    "before_number": lambda text, locale: locale.language.before_numbers[text],
    "fraction": _fraction,
    "range": _range,
    "more_than": lambda text, locale: f"{numerals.number(text[:-1], locale.language)} {locale.language.signs['+']}",
    "year": lambda text, locale: numerals.year(int(text), locale.language),
    "number": lambda text, locale: numerals.number(text, locale.language),
    "sign": lambda text, locale: locale.language.signs[text],
}
