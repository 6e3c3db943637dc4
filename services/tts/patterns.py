"""What in a text is not said as it is written: one expression a language, with a group for each kind.

Pure. The first kind that matches at a place wins, so the longer and the rarer stand before the shorter.
"""

import functools
import re
from collections.abc import Iterable

from services.tts.languages import ENGLISH, GERMAN, Language

# "a.m." with its last period, "am" without the one that ends a sentence.
_HALF = r"(?:[AaPp]\.[Mm]\.?|[AaPp][Mm]\b)"
_CLOCK = r"\d{1,2}:\d{2}"
_DASH = r"\s?[-–]\s?"
_SIGN = "[$£€]"
# The engine's own rules know what follows, in English: "5 km", "20 °C".
_UNIT = r"(?!\s?(?:[kcm]?m|[km]?g|m?l|lbs?|oz|ft|mph|kph|°)(?![A-Za-z]))"
_MEASURES = r"(?:[KMGT]i?B|[KMGT]?Hz|[KMGT]?bps|[kKMG]?W|[KCM]M|KG|AM|PM|ST|ND|RD|TH)\b"

_POSTCODE = r"\b[A-Z]{1,2}\d[A-Z\d]?\s\d[ABD-HJLNP-UW-Z]{2}\b"


@functools.cache
def any_of(language: Language) -> re.Pattern[str]:
    """Groups are named by kind, as `readings` has them."""
    return re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _kinds(language) if pattern))


def _kinds(language: Language) -> list[tuple[str, str]]:
    english = language is ENGLISH
    month = _one_of([*language.months, *language.short_months]) + r"(?!\w)"
    year = r"(?:19|20)\d{2}(?!\d)"
    whole = r"\d{1,3}(?:[.\s’']\d{3})+|\d+" if language.decimal_comma else r"\d{1,3}(?:,\d{3})+|\d+"
    point = "," if language.decimal_comma else r"\."
    decimal = rf"(?:{whole})(?:{point}\d+)?"
    scale = rf"(?:\s?(?:{_one_of(language.scales)})\b)?" if language.scales else ""
    amount = rf"(?:{decimal}){scale}(?:\s?/\s?(?:{_one_of(language.per)})\b)?"
    day = r"\d{1,2}"
    dotted = r"\d{1,2}\.\d{2}"
    clock = rf"(?:{_CLOCK}|\d{{1,2}}(?:\.\d{{2}})?)"
    return [
        ("link", r"!?\[[^\]]*\]\([^)\s]*\)"),
        ("email", r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
        ("web", r"(?:https?://)?(?:www\.)?(?:[a-z0-9-]+\.)+(?:com|org|net|io|co\.uk|de|fr|es|eu|example)\b(?:/[^\s,]*[^\s,.;:!?)])?"),
        ("iso_date", r"\d{4}-\d{2}-\d{2}"),
        ("slash_date", r"\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})"),
        ("dot_date", rf"{day}\.{day}\.(?:\d{{4}}" + (r"|\d{2}(?![\d.]))" if language.decimal_comma else ")")),
        ("times", rf"{clock}(?:\s?{_HALF})?{_DASH}{clock}\s?{_HALF}|{_CLOCK}{_DASH}(?:{_CLOCK}|{day}(?!\d))"
                  rf"|{dotted}{_DASH}{dotted}(?!\d)"),
        ("time", rf"{_CLOCK}(?:\s?{_HALF}|\s?Uhr\b)?|{day}(?:\.\d{{2}})?\s?(?:{_HALF}"
                 + (r"|Uhr\b" if language is GERMAN else "")
                 + (r")" if english else r")|\d{1,2}\s?h(?:\d{2})?\b")),
        ("moneys", rf"{_SIGN}\s?(?:{decimal}){_DASH}{_SIGN}?\s?{amount}|(?:{decimal}){_DASH}(?:{decimal})\s?{_SIGN}"),
        ("money", rf"{_SIGN}\s?{amount}" if english
                  else rf"{_SIGN}\s?{amount}|(?:{decimal})\s?{_SIGN}(?:\s?/\s?(?:{_one_of(language.per)})\b)?"),
        ("month_day", rf"(?:{month})\.?\s{day}(?:st|nd|rd|th)?(?!\d)(?:,?\s{year})?" if english else ""),
        ("day_month", rf"{day}(?:st|nd|rd|th|er|\.)?\s(?:of\s|de\s)?(?:{month})\.?(?:,?\s(?:de\s)?{year})?"),
        ("postcode", _POSTCODE if english else ""),
        ("always", r"24/7"),
        ("weekdays", rf"\b(?:{_one_of(language.weekdays)})\.?{_DASH}(?:{_one_of(language.weekdays)})\b"),
        ("weekday", rf"\b(?:{_one_of(set(language.weekdays) - language.only_in_ranges)})\b(?!\.)" if english else ""),
        # "K-O-W", "K O W": three or more, or else "I A" and "A-B" would be.
        ("spelled", r"\b[A-Za-z](?:-[A-Za-z]){2,}\b|\b[A-Z](?:\s[A-Z]){2,}\b"),
        ("years", rf"(?:19|20)\d{{2}}{_DASH}{year}"),
        ("telephone", r"\+?\(?\d(?:[\s().-]{0,2}\d){6,}"),
        ("ordinal", r"\d+(?:st|nd|rd|th)\b" if english else r"\d+(?:ers?|res?|e|ème)\b" if language.pairs else ""),
        ("percents", rf"(?:{decimal}){_DASH}(?:{decimal})\s?%"),
        ("percent", rf"(?:(?<!\S)[-−])?(?:{decimal})\s?%"),
        ("multiple", r"\d+[xX]\b"),
        ("code", rf"\b(?!\d+{_MEASURES})(?=[A-Z0-9/-]*\d)(?=[A-Z0-9-]*[A-Z])[A-Z0-9]+(?:-[A-Z0-9]+)*\b"),
        ("numbered", r"(?<![#\w])#\d{1,6}\b"),
        ("before_number", rf"(?<!\w)(?:{_one_of(language.before_numbers)})(?=\s?\d)"),
        ("abbreviation", rf"(?<!\w)(?:{_one_of(language.abbreviations)})(?!\w)"),
        ("fraction", r"\d{1,4}/\d{1,4}(?![\d/])"),
        ("range", rf"\d{{1,4}}{_DASH}\d{{1,4}}(?![\d.,-]*\d)"),
        ("more_than", r"\d+\+(?![\w+])"),
        ("year", r"(?:19|20)\d{2}(?![\d,.]\d)"),
        ("number", rf"(?:(?<!\S)[-−])?(?:{decimal})(?![\d.,]*\d){_UNIT if english else ''}"),
        ("sign", r"(?<!\S)[&+@=](?!\S)|(?<!\S)@(?=\w)"),
    ]  # fmt: skip


def _one_of(words: Iterable[str]) -> str:
    """The longest first: "Tues" before "Tue"."""
    return "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))
