"""Days and times as callers say them: "next Tuesday at ten in the morning", "half past three", "the 3rd at noon".

A day and a time are read one by one, each from its own words. Given the whole sentence, dateparser takes the 10 of
"Tuesday at 10" for a day of the month, and does not know "half past three" or "a week on Tuesday"; it is asked only
for what it is good at: a written-out calendar date and "in two weeks".
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Literal

import dateparser
from rapidfuzz import fuzz, process

from services.brain.script.words import digits_for_words, spoken_form

_DayReader = Callable[[re.Match[str]], date | None]
Part = Literal["", "morning", "afternoon", "evening"]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
# What recognisers write for weekdays on a phone line; split words are beyond an edit distance.
_MISHEARD = (
    (r"\b(?:choose|chews|tues|twos|two's|tuesd|to's|toos|cheese) ?(?:day|days|the)\b", "tuesday"),
    (r"\b(?:wednes|wends|when's|wins|weds|wedding's) ?day\b", "wednesday"),
    (r"\b(?:thurs|thirst|therse|thirds|furs) ?day\b(?! of)", "thursday"),
    (r"\b(?:fry|fri|fried|fly) ?(?:day|days)\b", "friday"),
    (r"\b(?:sat or|satur|sat a|set a|sadder|saturn|settle) ?day\b", "saturday"),
    (r"\bsun day\b", "sunday"),
    (r"\b(?:mon|man|moon|mun) ?day\b", "monday"),
    (r"\b(?:tomorow|to morrow|two morrow|tomorrows|tamara|tomara)\b", "tomorrow"),
)
# "at to" is two o'clock, never the word: after these prepositions a lone homophone is an hour.
_HOMOPHONES = {"to": "2", "too": "2", "for": "4", "four": "4", "ate": "8", "won": "1", "then": "10", "tin": "10"}
_HOMOPHONE = re.compile(
    r"\bat (to|too|for|ate|won|then|tin)\b(?= (?:in the|on|o'clock|pm|am|p\.m|a\.m|please|tomorrow)|[.,?!]|$)"
)
# Weekday names are at least 6 letters; at 80 of 100 "wensday" and "tuseday" come through, "someday" and "today" don't.
_FUZZY_WEEKDAY = 80

_DAY = "|".join(WEEKDAYS)
_MONTH = "|".join((*MONTHS, *(month[:3] for month in MONTHS), "sept"))
_PART_WORDS: dict[str, Part] = {
    "morning": "morning",
    "before lunch": "morning",
    "afternoon": "afternoon",
    "after lunch": "afternoon",
    "evening": "evening",
    "tonight": "evening",
    "after work": "evening",
}


@dataclass(frozen=True)
class When:
    """What is known of a moment: a day, a time of day, or only the part of the day; any of them may be missing."""

    day: date | None = None
    at: time | None = None
    part: Part = ""

    @property
    def complete(self) -> bool:
        return self.day is not None and self.at is not None

    @property
    def moment(self) -> datetime:
        """Day and time together, naive local time. Raises ValueError when either is missing."""
        if self.day is None or self.at is None:
            raise ValueError("the day or the time is missing")
        return datetime.combine(self.day, self.at)

    def updated(self, newer: "When") -> "When":
        """This, with what `newer` says put in the place of what was known: "no, Thursday" keeps the time."""
        part = newer.part or (self.part if newer.at is None else "")
        at = newer.at or (None if newer.part and newer.part != part_of(self.at) else self.at)
        return When(newer.day or self.day, at, part)

    def fits(self, said: "When") -> bool:
        """Whether this moment is what was said of it; what was not said fits."""
        same_time = said.at is None or said.at == self.at
        return said.day in (None, self.day) and same_time and said.part in ("", part_of(self.at))

    def __bool__(self) -> bool:
        return bool(self.day or self.at or self.part)


@dataclass(frozen=True)
class Hours:
    """The hours, as whole numbers, between which a time without "morning" or "pm" is meant to lie."""

    opens: int = 8
    closes: int = 18


NOTHING_SAID = When()


def names_a_day(text: str) -> bool:
    """Whether a weekday or a month is named: "the first" may be a choice, "the first of December" is a day."""
    return re.search(rf"\b(?:{_DAY}|{_MONTH})\b", plain_when(text)) is not None


USUAL_HOURS = Hours()


def part_of(at: time | None) -> Part:
    if at is None:
        return ""
    return "morning" if at.hour < 12 else "afternoon" if at.hour < 18 else "evening"


def iso_when(text: str) -> When:
    """A moment a tool gave, ISO 8601. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return When(moment.date(), moment.time().replace(tzinfo=None))


def read_when(
    text: str, now: datetime, hours: Hours = USUAL_HOURS, known: When = NOTHING_SAID, asked: bool = False
) -> When:
    """The day and time said in `text`; an empty When if neither is.

    `now` is local time. `known` is what the conversation already has: "the week after" and "half an hour later" count
    from it. `asked` says that the question was for a time: then a lone "ten" is one.
    """
    text = plain_when(text)
    day, rest = _day(text, now.date(), known)
    part = _part(rest)
    # "In the afternoon" said a moment ago still holds when the hour comes.
    at = _time(rest, part or known.part, hours, asked)
    if at and not part and not hours.opens <= at.hour < hours.closes:
        # "Tomorrow morning", and then "half past three": the hour is the later word.
        at = _time(rest, "", hours, asked)
    if at is None and (later := re.search(r"\b(half an|1|an) hour (later|earlier)\b", rest)) and known.complete:
        minutes = (30 if later[1] == "half an" else 60) * (1 if later[2] == "later" else -1)
        return replace(iso_when((known.moment + timedelta(minutes=minutes)).isoformat()))
    return When(day, at, part if at is None else "")


def plain_when(text: str) -> str:
    """`text` with misheard weekdays mended, homophones of hours and number words turned into digits."""
    text = spoken_form(text)
    for pattern, name in _MISHEARD:
        text = re.sub(pattern, name, text)
    text = " ".join(_mended(text))
    text = _HOMOPHONE.sub(lambda match: f"at {_HOMOPHONES[match[1]]}", text)
    text = re.sub(r"\b([ap])\.? ?m\b\.?", r"\1m", text)
    text = re.sub(r"\bo ?'?\s?clock\b", "o'clock", text)
    text = re.sub(r"\boh (\w+)", r"0 \1", text)
    text = digits_for_words(text)
    return re.sub(r"\b(\d{1,2}) 0 (\d)\b", r"\1:0\2", text)


def _mended(text: str) -> Iterator[str]:
    for word in text.split():
        letters = word.strip(".,?!").removesuffix("'s")
        singular = letters.removesuffix("s")
        if singular in WEEKDAYS:
            yield word.replace(letters, singular)
        elif len(letters) >= 6 and letters.endswith("y"):
            found = process.extractOne(letters, WEEKDAYS, scorer=fuzz.ratio, score_cutoff=_FUZZY_WEEKDAY)
            yield word.replace(letters, found[0]) if found else word
        else:
            yield word


def _day(text: str, today: date, known: When) -> tuple[date | None, str]:
    """The day, and the text without its words. Of several days the last is meant ("from Tuesday to Friday")."""
    text = re.sub(rf"\bnot (?:on )?(?:next |this )?(?:{_DAY}|tomorrow|today)\b", " ", text)
    found: list[tuple[int, date]] = []

    def take(pattern: str, read: _DayReader) -> None:
        nonlocal text
        for match in list(re.finditer(pattern, text)):
            day = read(match)
            if day is not None:
                found.append((match.start(), day))
                # Blanks keep the positions of what is still to be read.
                text = text[: match.start()] + " " * len(match[0]) + text[match.end() :]

    base = known.day
    if base is not None:
        take(r"\b(?:the|1|a) week (?:after|later)\b(?! next)", lambda m: base + timedelta(days=7))
        take(r"\b(?:the|1|a) day (?:after|later)\b(?! tomorrow)", lambda m: base + timedelta(days=1))
        take(r"\b(?:the|1|a) day (?:before|earlier)\b", lambda m: base - timedelta(days=1))
    take(r"\b(?:the )?day after tomorrow\b", lambda m: today + timedelta(days=2))
    take(r"\btomorrow\b", lambda m: today + timedelta(days=1))
    take(r"\b(?:a|1) week (?:from )?(?:today|now)\b|\btoday week\b", lambda m: today + timedelta(days=7))
    take(r"\btoday\b|\b(?=tonight\b)|\bthis (?=morning|afternoon|evening)", lambda m: today)
    take(r"\bin (?:a|an|\d+) (?:day|week|fortnight)s?\b", lambda m: _calendar(m[0], today))
    take(r"\b(\d+) (day|week)s? (?:from now|from today)\b", lambda m: _calendar(f"in {m[1]} {m[2]}s", today))
    take(
        rf"\b(?:(?:{_DAY}),? )?(?:the )?(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})\b(?:,? (\d{{4}}))?",
        lambda m: _dated(m[1], m[2], m[3], today),
    )
    take(
        rf"\b(?:(?:{_DAY}),? )?({_MONTH}) (?:the )?(\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,? (\d{{4}}))?",
        lambda m: _dated(m[2], m[1], m[3], today),
    )
    take(r"\b(\d{4})-(\d\d)-(\d\d)\b", lambda m: _calendar(m[0], today))
    take(
        rf"\b(?:(?P<day>{_DAY}),? )?(?:on )?the (?P<nth>\d{{1,2}})(?:st|nd|rd|th)\b(?! (?:choice|option|appointment))",
        lambda m: _of_month(int(m["nth"]), m["day"], today),
    )
    take(
        rf"\b(?P<week>(?:a|1) week (?:on|from) )?(?:on )?(?P<next>next |this |coming )?(?:week )?(?P<day>{_DAY})"
        r"(?P<after> next week| week| after next| in 2 weeks)?\b",
        lambda m: _weekday(m["day"], today, bool(m["week"] or m["after"]), (m["after"] or "").strip()),
    )
    if not found:
        return None, text
    found.sort()
    first_meant = re.search(r"\bor\b", text) is not None and len(found) > 1
    return (found[0] if first_meant else found[-1])[1], text


def _calendar(text: str, today: date) -> date | None:
    base = datetime.combine(today, time())
    settings = {"RELATIVE_BASE": base, "PREFER_DATES_FROM": "future", "REQUIRE_PARTS": ["day", "month"]}
    parsed = dateparser.parse(text.replace("fortnight", "2 weeks"), languages=["en"], settings=settings)
    return parsed.date() if parsed else None


def _dated(day: str, month: str, year: str | None, today: date) -> date | None:
    return _calendar(f"{int(day)} {month} {year or ''}".strip(), today)


def _weekday(name: str, today: date, week_later: bool, after: str) -> date:
    # Always after today, for "Tuesday" said on a Tuesday is the next one: people say "today" for today. "Next" adds
    # nothing: callers use it for either week, and the read-back tells them which one was understood.
    ahead = (WEEKDAYS.index(name) - today.weekday() - 1) % 7 + 1
    if after == "next week":
        return today + timedelta(days=7 - today.weekday() + WEEKDAYS.index(name))
    return today + timedelta(days=ahead + (7 if week_later else 0))


def _of_month(nth: int, weekday: str | None, today: date) -> date | None:
    """ "the 3rd", "Tuesday the 1st": the next such day; when the weekday fits none within a year, the number counts."""
    coming = []
    for month in range(today.month - 1, today.month + 12):
        try:
            day = date(today.year + month // 12, month % 12 + 1, nth)
        except ValueError:
            continue
        if day > today:
            coming.append(day)
    fitting = [day for day in coming if weekday is None or day.weekday() == WEEKDAYS.index(weekday)]
    return next(iter(fitting or coming), None)


def _part(text: str) -> Part:
    for words, part in _PART_WORDS.items():
        if re.search(rf"\b{words}\b", text):
            return part
    return ""


_CLOCK = re.compile(r"\b(\d{1,2})[:.h](\d{2})(?: ?(am|pm))?\b")
_PAST_TO = re.compile(
    r"\b(half|(?:a )?quarter|5|10|20|25)(?: minutes)? (past|after|to|till|before|of) (\d{1,2})\b(?! ?\d)"
)
_HALF = re.compile(r"\bhalf (\d{1,2})\b")
_AM_PM = re.compile(r"\b(\d{1,2}) ?(\d{2})? ?(am|pm)\b")
_PAIR = re.compile(r"(?<!\d )\b(\d{1,2})[ -](00|05|10|15|20|25|30|35|40|45|50|55)\b(?! ?\d)(?: (am|pm))?")
_RUN = re.compile(r"(?:\bat |\bfor |^)(\d{1,2})([0-5]\d)\b(?! ?\d)(?:(?: hours)|)")
_O_CLOCK = re.compile(r"\b(\d{1,2}) o'clock\b")
_AT = re.compile(
    r"\b(?:at|around|about|by|@|after|to|for|it) (\d{1,2})\b(?!(?:st|nd|rd|th)|[ -]?\d|%| (?:day|week|month|people))"
)
_BEFORE_PART = re.compile(r"\b(\d{1,2})(?=,? (?:in the|this|tomorrow) (?:morning|afternoon|evening)|(?: at)? tonight)")
_LONE = re.compile(r"(?<![\d:])\b(\d{1,2})\b(?!(?:st|nd|rd|th)|[ -]?\d)")
_NOON = re.compile(r"\b(?:12 )?(?:noon|midday|mid day|lunchtime|lunch time)\b")


def _time(text: str, part: Part, hours: Hours, asked: bool) -> time | None:
    if match := _PAST_TO.search(text):
        minutes = {"half": 30, "quarter": 15, "a quarter": 15}.get(match[1]) or int(match[1])
        hour = int(match[3])
        before = match[2] in ("to", "till", "before", "of")
        if before:
            resolved = _clock(hour - 1 if hour > 1 else 12, 60 - minutes, "", part, hours)
        else:
            resolved = _clock(hour, minutes, "", part, hours)
        if resolved:
            return resolved
    for pattern in (_CLOCK, _AM_PM, _PAIR, _RUN):
        for match in pattern.finditer(text):
            groups = match.groups()
            half = groups[2] if len(groups) > 2 and groups[2] else ""
            if resolved := _clock(int(groups[0]), int(groups[1] or 0), half, part, hours):
                return resolved
    if match := _HALF.search(text):
        return _clock(int(match[1]), 30, "", part, hours)
    if _NOON.search(text):
        return time(12)
    for pattern in (_O_CLOCK, _BEFORE_PART, _AT, *((_LONE,) if asked else ())):
        for match in pattern.finditer(text):
            if resolved := _clock(int(match[1]), 0, "", part, hours):
                return resolved
    return None


def _clock(hour: int, minute: int, half: str, part: Part, hours: Hours) -> time | None:
    """A time of day; without am, pm or a part of the day, the reading that lies within `hours`."""
    if hour > 23 or minute > 59 or (hour == 0 and not half):
        return None
    if half:
        if not 1 <= hour <= 12:
            return None
        return time(hour % 12 + (12 if half == "pm" else 0), minute)
    if hour > 12:
        return time(hour, minute)
    if part:
        evening = part in ("afternoon", "evening")
        # "12 in the morning" is a slip for noon as often as for midnight; a clinic's caller means noon.
        return time(12 if hour == 12 else hour + (12 if evening else 0), minute)
    early, late = time(hour % 12, minute), time(hour % 12 + 12, minute)
    opens, closes = time(hours.opens), time(hours.closes - 1, 59)
    for candidate in (early, late):
        if opens <= candidate <= closes:
            return candidate
    # Neither is open: the one nearer to the hours, so that the refusal names the time the caller meant.
    return late if hour * 60 + minute < hours.opens * 60 - 120 or hour == 12 else early
