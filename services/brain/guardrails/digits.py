"""Digits as they are written or said, for finding card numbers and secret codes. Pure."""

import re

from services.brain.words import primary

_SAID = {
    "en": "zero one two three four five six seven eight nine",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "it": "zero uno due tre quattro cinque sei sette otto nove",
    "nl": "nul een twee drie vier vijf zes zeven acht negen",
    "pt": "zero um dois três quatro cinco seis sete oito nove",
}
_ALSO = {"oh": "0", "o": "0", "zwo": "2", "meia": "6"}
_DIGITS = {name: {word: str(at) for at, word in enumerate(words.split())} for name, words in _SAID.items()}
# A model that spells a number in another language than the agent's: English is the likely one.
_ANY = {**_DIGITS["en"], **_ALSO}

_GROUP = re.compile(r"[(\[\"'#+]*(\d+(?:[-–./,]\d+)*)[)\]\"'.,;!?…-]*")
_EDGES = "()[]{}\"'.,;:!?…#*“”‘’«»-–—"


def group(word: str, language: str = "en") -> str:
    """The digits of a word that is a group of them ("4111", "41-11,", "four"); empty for any other word."""
    found = _GROUP.fullmatch(word)
    if found:
        return re.sub(r"\D", "", found[1])
    bare = word.strip(_EDGES).lower()
    return _DIGITS.get(primary(language), _ANY).get(bare) or _ANY.get(bare, "")


def luhn(digits: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1) is right."""
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if at % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


# Issuers' first digits and lengths; Visa's old 13 digits are left out, for international telephone numbers have 13.
_ISSUERS = (
    (re.compile(r"4"), (16, 19)),
    (re.compile(r"5[1-5]|2[2-7]"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"3[0689]"), (14, 16, 19)),
    (re.compile(r"6|35|81"), (16, 19)),
)
LONGEST_CARD = 19


def card(digits: str) -> bool:
    """Passes for a payment card's number."""
    return any(len(digits) in lengths and issuer.match(digits) for issuer, lengths in _ISSUERS) and luhn(digits)


def may_become_card(digits: str) -> bool:
    """More digits could make it one."""
    if len(digits) < 2:
        return digits in ("2", "3", "4", "5", "6", "8")
    return len(digits) < LONGEST_CARD and any(
        len(digits) < lengths[-1] and issuer.match(digits) for issuer, lengths in _ISSUERS
    )
