"""Numbers and amounts of money as callers say them. Pure."""

import re
from decimal import Decimal, InvalidOperation

from text_to_num import alpha2digit

from services.brain.script.words import spoken_form
from services.brain.words import primary

_LANGUAGES = frozenset({"en", "de", "fr", "es", "it", "nl", "pt"})
# What text2num does not take for numbers.
_WORDS = {
    "a couple": "2",
    "a dozen": "12",
    "half a dozen": "6",
    "none": "0",
    "nobody": "0",
    "just me": "1",
    "only me": "1",
    "just one": "1",
    "both of us": "2",
    "the two of us": "2",
}
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_HALF = re.compile(r"\b(\d+) and a half\b")
# "Two and a half thousand".
_HALF_OF = re.compile(r"\b(\d{1,3}) and a half (100|1000|1000000)\b")
_UNIT = r"(?:dollars?|euros?|pounds?|quid|bucks|francs?|franken|[$€£])"
_WITH_CENTS = re.compile(rf"(\d+)\s*{_UNIT}(?:\s*(?:and|und|et|y|e|en))?\s*(\d{{1,2}})\b(?!\s*{_UNIT})")
_CENTS = re.compile(r"^\D*(\d+)\s*(?:cents?|pence|p|centimes)\b")
_PAIR = re.compile(r"(?<![\d.,])(\d{1,4})[ ,.](\d\d)(?![\d.,])")
# More than a call is for, and what a float still holds to the cent.
_MOST = Decimal(10) ** 12


def numbers_as_figures(text: str, language: str = "en") -> str:
    """Lower case, number words as figures."""
    text, language = spoken_form(text), primary(language)
    if language not in _LANGUAGES:
        return text
    converted: str = alpha2digit(text.rstrip(" .!?"), language, 0)
    return converted


def read_number(text: str, language: str = "en") -> int | float | None:
    """The first number said; None when there is none."""
    said = spoken_form(text)
    for words, figure in sorted(_WORDS.items(), key=lambda one: -len(one[0])):
        said = re.sub(rf"\b{words}\b", figure, said)
    said = _HALF.sub(r"\1.5", numbers_as_figures(said, language))
    found = _decimal(_NUMBER.search(said))
    if found is None:
        return None
    return int(found) if found == found.to_integral_value() else float(found)


def read_money(text: str, language: str = "en") -> str | None:
    """An amount with two decimals, "12.50"; None when there is none."""
    said = re.sub(r"\ba (?=hundred|thousand|\d)", "", numbers_as_figures(text, language))
    said = re.sub(r"\b(\d+) and (\d{1,2})(?= *(?:cents|pence))", r"\1 euros \2", said)
    said = _HALF_OF.sub(lambda half: str(int(half[1]) * int(half[2]) + int(half[2]) // 2), said)
    said = _HALF.sub(r"\1.50", said)
    if found := _WITH_CENTS.search(said):
        return f"{int(found[1])}.{int(found[2]):02d}"
    if found := _CENTS.search(said):
        return _written(Decimal(int(found[1])) / 100)
    # "Twelve fifty".
    if found := _PAIR.search(said):
        return f"{int(found[1])}.{found[2]}"
    amount = _decimal(_NUMBER.search(said))
    return None if amount is None else _written(amount)


def _written(amount: Decimal) -> str:
    return str(amount.quantize(Decimal("0.01")))


def _decimal(found: re.Match[str] | None) -> Decimal | None:
    if found is None:
        return None
    try:
        value = Decimal(found[0].replace(",", ""))
    except InvalidOperation:
        return None
    return value if abs(value) < _MOST else None
