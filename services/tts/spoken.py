"""Written text to words that can be said: no markdown, no emoji; digits, times, dates and money in words.

Pure. The written words stay beside the spoken ones, for the alignment is told in written words. English.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from num2words import num2words

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_MONTH = "|".join(_MONTHS) + "|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_MONEY = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}

# "a.m." with its last period, "am" without the one that ends a sentence.
_HALF = r"(?:[AaPp]\.[Mm]\.?|[AaPp][Mm]\b)"

# The engine's own rules know what follows: "5 km", "20 °C".
_UNIT = r"(?!\s?(?:[kcm]?m|[km]?g|m?l|lbs?|oz|ft|mph|kph|°)(?![A-Za-z]))"

# In this order: the first that matches at a place wins.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("link", r"\[[^\]]*\]\([^)\s]*\)"),
    ("email", r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    ("web", r"(?:https?://)?(?:www\.)?(?:[a-z0-9-]+\.)+(?:com|org|net|io|co\.uk|example)(?:/[^\s,]*)?"),
    ("iso_date", r"\d{4}-\d{2}-\d{2}"),
    ("slash_date", r"\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})"),
    ("time", rf"\d{{1,2}}:\d{{2}}(?:\s?{_HALF})?|\d{{1,2}}\s?{_HALF}"),
    ("money", r"[$£€]\d+(?:,\d{3})*(?:\.\d{2})?"),
    ("month_day", rf"(?:{_MONTH})\.?\s\d{{1,2}}(?:st|nd|rd|th)?(?!\d)(?:,?\s(?:19|20)\d{{2}}(?!\d))?"),
    ("day_month", rf"\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?(?:{_MONTH})\b(?:,?\s(?:19|20)\d{{2}}(?!\d))?"),
    ("telephone", r"\+?\(?\d(?:[\s().-]{0,2}\d){6,14}"),
    ("ordinal", r"\d+(?:st|nd|rd|th)\b"),
    ("percent", r"\d+(?:\.\d+)?\s?%"),
    ("year", r"(?:19|20)\d{2}(?![\d,.]\d)"),
    ("number", rf"(?:\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+\.\d+|\d+)(?![\d.,]*\d){_UNIT}"),
)
_ANY = re.compile("|".join(rf"(?P<{name}>{pattern})" for name, pattern in _PATTERNS))
_MARKS = re.compile(r"[*_`#~|<>\\\[\]{}]+")
_BULLET = re.compile(r"[-•–·]")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some written words and what is said for them; nothing is said for a bullet or an emoji."""

    written: tuple[str, ...]
    spoken: str


def speak(text: str, day_first: bool = False) -> list[Piece]:
    """A clause as pieces, in order; their written words are `text.split()`.

    `day_first` reads 3/4/2026 as the third of April (British), not as March fourth (American).
    """
    pieces: list[Piece] = []
    at = 0
    for found in _ANY.finditer(text):
        start, end = _whole_words(text, found.start(), found.end())
        if found.start() < at or not _stands_alone(text, found.start(), found.end()):
            continue
        start = max(start, at)
        pieces += [_plain(word) for word in text[at:start].split()]
        said = _say(found.lastgroup or "", found.group(), day_first)
        around = _clean(text[start : found.start()]) + said + _clean(text[found.end() : end])
        pieces.append(Piece(tuple(text[start:end].split()), around.strip()))
        at = end
    pieces += [_plain(word) for word in text[at:].split()]
    return pieces


def _plain(word: str) -> Piece:
    return Piece((word,), _clean(word))


def _clean(word: str) -> str:
    """Without markdown and emoji. What has no letter or digit left is not said, but its comma or period is heard."""
    word = _MARKS.sub("", word)
    word = "".join(
        c for c in word if c == "°" or unicodedata.category(c) not in ("So", "Sk", "Cs", "Co", "Cn", "Cf", "Mn")
    )
    return "" if _BULLET.fullmatch(word) else word


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    while start > 0 and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and not text[end].isspace():
        end += 1
    return start, end


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Digits inside a code ("A12", "5th-generation") are left to the engine, which reads codes."""
    before = text[start - 1] if start else " "
    after = text[end] if end < len(text) else " "
    inside = before.isalnum() or after.isalnum()
    joined = (before in "-/" and start > 1 and text[start - 2].isalnum()) or (
        after in "-/" and end + 1 < len(text) and text[end + 1].isalnum()
    )
    return not (inside or joined)


def _say(kind: str, text: str, day_first: bool) -> str:
    said = _READERS[kind](text, day_first)
    return text if said is None else said


def _cardinal(number: int | float | str) -> str:
    words: str = num2words(str(number).replace(",", ""))
    return words.replace(",", "").replace("-", " ")


def _ordinal(number: int) -> str:
    words: str = num2words(number, to="ordinal")
    return words.replace(",", "").replace("-", " ")


def _year(number: int) -> str:
    words: str = num2words(number, to="year")
    return words.replace("-", " ")


def _email(text: str, _: bool) -> str:
    return text.replace("@", " at ").replace(".", " dot ").replace("-", " dash ").replace("_", " underscore ")


def _web(text: str, _: bool) -> str:
    bare = re.sub(r"^https?://", "", text).rstrip("/")
    return bare.replace("www.", "W W W dot ").replace(".", " dot ").replace("/", " slash ").replace("-", " dash ")


def _date(year: int, month: int, day: int) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{_MONTHS[month - 1]} {_ordinal(day)}, {_year(year)}"


def _iso_date(text: str, _: bool) -> str | None:
    year, month, day = map(int, text.split("-"))
    return _date(year, month, day)


def _slash_date(text: str, day_first: bool) -> str | None:
    first, second, year = map(int, text.split("/"))
    month, day = (second, first) if day_first or first > 12 else (first, second)
    return _date(year + 2000 if year < 100 else year, month, day)


def _time(text: str, _: bool) -> str | None:
    found = re.fullmatch(r"(\d{1,2})(?::(\d{2}))?\s?(?:([AaPp])\.?[Mm]\.?)?", text)
    assert found is not None
    hour, minute, half = int(found[1]), int(found[2] or 0), found[3]
    if hour > 24 or minute > 59:
        return None
    words = _cardinal(hour)
    if minute:
        words += f" oh {_cardinal(minute)}" if minute < 10 else f" {_cardinal(minute)}"
    elif not half:
        words += " o'clock"
    # Dotted: so the letters are spelled and not read as a word.
    return f"{words} {half.upper()}.M." if half else words


def _money(text: str, _: bool) -> str:
    unit, part = _MONEY[text[0]]
    whole, _point, cents = text[1:].replace(",", "").partition(".")
    words = []
    if int(whole) or not int(cents or 0):
        words.append(f"{_cardinal(whole)} {unit}{'' if int(whole) == 1 else 's'}")
    if int(cents or 0):
        plural = {"penny": "pence"}.get(part, part + "s")
        words.append(f"{_cardinal(int(cents))} {part if int(cents) == 1 else plural}")
    return " and ".join(words)


def _with_year(words: str, text: str) -> str:
    year = re.search(r"(?:19|20)\d{2}$", text)
    return f"{words}, {_year(int(year[0]))}" if year else words


def _month_day(text: str, _: bool) -> str | None:
    found = re.match(r"(\w+)\.?\s(\d{1,2})", text)
    assert found is not None
    day = int(found[2])
    return _with_year(f"{_full_month(found[1])} {_ordinal(day)}", text) if 1 <= day <= 31 else None


def _day_month(text: str, _: bool) -> str | None:
    found = re.match(r"(\d{1,2})(?:st|nd|rd|th)?\s(?:of\s)?(\w+)", text)
    assert found is not None
    day = int(found[1])
    return _with_year(f"{_ordinal(day)} of {_full_month(found[2])}", text) if 1 <= day <= 31 else None


def _full_month(name: str) -> str:
    return next(month for month in _MONTHS if month.startswith(name[:3]))


def _telephone(text: str, _: bool) -> str:
    """Digit by digit, a comma between the groups: as written, or in the usual threes and fours."""
    groups = re.findall(r"\d+", text)
    if len(groups) == 1:
        groups = _grouped(groups[0])
    return ", ".join(" ".join(_DIGITS[int(digit)] for digit in group) for group in groups)


def _grouped(digits: str) -> list[str]:
    rest = len(digits) - 4
    head = [digits[at : at + 3] for at in range(0, rest, 3)]
    if len(digits) in (7, 10):
        return [*head, digits[rest:]]
    return [digits[at : at + 3] for at in range(0, len(digits), 3)]


def _percent(text: str, _: bool) -> str:
    return f"{_cardinal(text.rstrip('%').strip())} percent"


def _number(text: str, _: bool) -> str:
    """A leading zero is a code, not a quantity."""
    if len(text) > 1 and text[0] == "0" and text.isdigit():
        return " ".join(_DIGITS[int(digit)] for digit in text)
    return _cardinal(text)


_READERS: dict[str, Callable[[str, bool], str | None]] = {
    "link": lambda text, _: _clean(text[1 : text.index("]")]),
    "email": _email,
    "web": _web,
    "iso_date": _iso_date,
    "slash_date": _slash_date,
    "time": _time,
    "money": _money,
    "month_day": _month_day,
    "day_month": _day_month,
    "telephone": _telephone,
    "ordinal": lambda text, _: _ordinal(int(re.sub(r"\D", "", text))),
    "percent": _percent,
    "year": lambda text, _: _year(int(text)),
    "number": _number,
}
