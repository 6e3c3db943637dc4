"""Which parts of a date and of a clock time are named in a text, in seven languages. Pure."""

import re
from dataclasses import dataclass
from functools import cache

from services.brain.words import primary

# Months and days of the week, written out and as recognition shortens them; days like "tomorrow"; clock words; parts of
# the day. Languages are kept apart: "mars" is French March, and "si" no day.
_WORDS = {
    "en": (
        "january february march april may june july august september october november december "
        "jan feb mar apr jun jul aug sept sep oct nov dec",
        "mondays? tuesdays? wednesdays? thursdays? fridays? saturdays? sundays?",
        "today tomorrow tonight",
        "o'clock am pm a.m p.m noon midday midnight",
        "morning afternoon evening lunchtime",
    ),
    "de": (
        "januar jänner februar märz april mai juni juli august september oktober november dezember",
        "montags? dienstags? mittwochs? donnerstags? freitags? samstags? sonnabend sonntags?",
        "heute morgen übermorgen",
        "uhr mittags mitternacht halb viertel",
        "vormittags? nachmittags? abends? früh",
    ),
    "fr": (
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "lundi mardi mercredi jeudi vendredi samedi dimanche",
        "aujourd'hui demain après-demain",
        "heures? h midi minuit",
        "matin après-midi soir",
    ),
    "es": (
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "lunes martes miércoles jueves viernes sábado domingo",
        "hoy mañana",
        "horas? mediodía medianoche media cuarto",
        "mañana tarde noche",
    ),
    "it": (
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        "lunedì martedì mercoledì giovedì venerdì sabato domenica",
        "oggi domani dopodomani",
        "ore mezzogiorno mezzanotte mezza quarto",
        "mattina mattino pomeriggio sera",
    ),
    "nl": (
        "januari februari maart april mei juni juli augustus september oktober november december",
        "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
        "vandaag morgen overmorgen",
        "uur half kwart middernacht",
        "ochtend middag avond",
    ),
    "pt": (
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "segunda-feira terça-feira quarta-feira quinta-feira sexta-feira "
        "segunda terça quarta quinta sexta sábado domingo",
        "hoje amanhã",
        "horas? meio-dia meia-noite meia",
        "manhã tarde noite",
    ),
}
_NUMERIC_DATE = re.compile(r"\b\d{1,2}\s?[./-]\s?\d{1,2}(?:\s?[./-]\s?(\d{2,4}))?(?!\d)\b|\b(\d{4})-\d{1,2}-\d{1,2}\b")
_CLOCK = re.compile(r"\b\d{1,2}(?::| ?h ?|\.)\d{2}\b|\b(?:past|to) \d{1,2}\b|\b\d{1,2} (?:[0-5][05])$")
_ORDINAL = re.compile(r"\b(\d{1,2})(?:st|nd|rd|th|\.|er|º|ª|e)?(?!\d)")
_NUMBER = re.compile(r"\d+")
_YEAR = re.compile(r"\b(?:1[89]|20)\d{2}\b|\b(?:19|20) \d{2}\b")


@dataclass(frozen=True, slots=True)
class CalendarWords:
    """What is named."""

    month: bool
    weekday: bool
    relative_day: bool
    day_number: bool
    year: bool
    numeric_date: bool
    clock_time: bool
    """To the hour or the minute, beyond doubt: "3:30", "ten o'clock", "half past two\""""
    hour: bool
    """A number that may be an hour"""
    part_of_day: bool
    numbers: int


def calendar_words(text: str, language: str = "en") -> CalendarWords:
    """`text`: lower case, numbers in figures. `language`: BCP 47; one that is not known is taken for English."""
    months, weekdays, days, clock, parts = _patterns(primary(language) if primary(language) in _WORDS else "en")
    numeric = _NUMERIC_DATE.search(text)
    numbers = [int(one) for one in _NUMBER.findall(text)]
    small = [int(one) for one in _ORDINAL.findall(text)]
    year = _YEAR.search(text) is not None or any(31 < one < 100 for one in numbers[1:])
    return CalendarWords(
        month=months.search(text) is not None,
        weekday=weekdays.search(text) is not None,
        relative_day=days.search(text) is not None,
        day_number=any(1 <= one <= 31 for one in small),
        year=year or (numeric is not None and any(numeric.groups())),
        numeric_date=numeric is not None,
        clock_time=_CLOCK.search(text) is not None or clock.search(text) is not None,
        hour=any(0 <= one <= 24 for one in small),
        part_of_day=parts.search(text) is not None,
        numbers=len(numbers),
    )


@cache
def _patterns(language: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"(?<!\w)(?:{'|'.join(words.split())})(?!\w)") for words in _WORDS[language])
