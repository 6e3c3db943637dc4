"""How much of what was asked for has been said: a telephone number, an e-mail address, a name, a date … Pure."""

import re
from enum import Enum, auto

import phonenumbers
from phonenumbers import NumberParseException, ValidationResult
from rapidfuzz import fuzz
from text_to_num import alpha2digit

from services.brain.calendar_words import calendar_words
from services.brain.question import Expected
from services.brain.script.phone import read_phone, wants_calling_number
from services.brain.words import primary, words_of


class Filling(Enum):
    """How full a slot is."""

    NONE = auto()  # nothing of it was said
    PART = auto()
    NEARLY = auto()  # could be all of it, and is often not
    ENOUGH = auto()  # mostly all
    FULL = auto()  # nothing can follow


# Where callers of a language live; without one in the tag (en-GB) any of these may be meant.
_COUNTRIES = {
    "en": ("US", "GB"),
    "de": ("DE", "AT", "CH"),
    "fr": ("FR", "BE", "CH"),
    "es": ("ES", "MX"),
    "it": ("IT",),
    "nl": ("NL", "BE"),
    "pt": ("PT", "BR"),
}
_NUMBER_LANGUAGES = frozenset({"en", "de", "fr", "es", "it", "nl", "pt"})
_DIGITS = re.compile(r"\d(?:[\d ,./()-]*\d)?")
_PLUS = re.compile(r"\+ ?\d|\bplus\b")
_REFUSES = re.compile(r"\b(?:don't|do not|haven't|can't|not sure|keine?n?|pas de|non ho|geen)\b")
_LONGEST_NUMBER = 15  # E.164
_LONG_CODE = 9

_AT = re.compile(r"@|\b(?:at|ät|klammeraffe|arobase|arroba|chiocciola|apenstaartje|apestaart)\b")
_DOMAIN_END = re.compile(
    r"(?:\.|\b(?:dot|punkt|point|punto|ponto|punt)\b)\s*(com|org|net|edu|gov|info|biz|io|co|uk|us|ca|au|de|at|ch|fr|be|es|"
    r"mx|it|nl|pt|br|eu|ie)\b"
)
_STREETS = re.compile(
    r"\b(?:street|st|road|rd|avenue|ave|lane|drive|way|walk|place|square|court|close|crescent|terrace|boulevard|park|hill|"
    r"\w*stra(?:ß|ss)e|\w*weg|\w*platz|\w*gasse|allee|rue|impasse|chemin|calle|avenida|plaza|paseo|via|viale|piazza|corso|"
    r"\w*straat|\w*laan|\w*plein|\w*gracht|rua|travessa|praça|largo)\b"
)
_POSTCODE = re.compile(r"\b(?:[a-z]{1,2}\d{1,2}[a-z]? ?\d[a-z]{2}|\d{5}|\d{4} ?[a-z]{2}|\d{4}-\d{3})\b")

_NAME_HEADS = """
    yes yeah yep no sure okay ok it's its it is my name name's i'm i am this the under for last first full surname
    called
    call me that's that would be of course um uh er and with by spelled spelt capital please here speaking hi hello
    a an to put book make will you your so well oh ah
    ja ich bin heiße mein meine ist der die das nachname vorname auf den namen bitte oui je suis m'appelle mon nom
    est c'est
    prénom au de sí si me llamo mi nombre es soy apellido sì mi chiamo il mio nome è sono cognome mijn naam ik ben
    heet sim
    meu é sou chamo"""
_BEFORE_A_NAME = frozenset(_NAME_HEADS.split())
_SPELLING_ALPHABET = """
    alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar papa
    quebec
    romeo sierra tango uniform victor whiskey whisky yankee zulu"""
_ALPHABET = frozenset(_SPELLING_ALPHABET.split())
# Letters that recognition ran together: "Kowalski, KOW".
_CAPITALS = re.compile(r"\b(?!OK\b|UK\b|USA?\b)[A-Z]{2,7}\b")
# "Kovalsky" and k-o-w-a-l-s-k-i share 75 %; "Kowalski" and the misheard half k-o-w-i-n-a-s 67 %.
_SPELLS_IT_PCT = 70


def filling(text: str, expected: Expected, language: str = "en", digits: str = "") -> Filling:
    """How full the slot that was asked for is; NONE too for a question that asks for no slot.

    `language`: BCP 47; `digits`: keys pressed in the same turn.
    """
    match expected:
        case Expected.PHONE:
            return _phone(text, language, digits)
        case Expected.DIGITS:
            return _code(text, language, digits)
        case Expected.EMAIL:
            return _email(text)
        case Expected.SPELLING | Expected.NAME:
            return _name(text, expected)
        case Expected.ADDRESS:
            return _address(_numbers(text, language))
        case Expected.NUMBER:
            return Filling.FULL if re.search(r"\d", _numbers(text, language)) else Filling.NONE
        case Expected.DATE:
            return _date(_numbers(text, language), language)
        case Expected.DATE_OF_BIRTH:
            return _date_of_birth(_numbers(text, language), language)
        case Expected.TIME:
            return _time(_numbers(text, language), language)
        case Expected.DATE_AND_TIME:
            return _date_and_time(_numbers(text, language), language)
        case _:
            return Filling.NONE


def digits_said(text: str, language: str = "en") -> str:
    """The longest run of digits, in figures or in words."""
    if primary(language) == "en":
        return read_phone(text)
    runs = (re.sub(r"\D", "", run) for run in _DIGITS.findall(_numbers(text, language)))
    return max(runs, key=len, default="")


def letters_said(text: str) -> tuple[list[str], str]:
    """The words that are no spelled letters, and the letters: (["kowalski"], "kow")."""
    words = [part for word in words_of(text) for part in _letters_apart(word)]
    names: list[str] = []
    letters, runs = "", list[str]()
    repeat, skip = 1, 0
    for index, word in enumerate(words):
        following = words[index + 1 : index + 2]
        if skip:
            skip -= 1
        elif word in ("double", "doppel"):
            repeat = 2
        elif (len(word) == 1 and word.isalpha()) or (word in _ALPHABET and (letters or set(following) & _ALPHABET)):
            letters += word[0] * repeat
            repeat = 1
        elif letters and word in ("for", "as", "like", "wie"):
            skip = 2 if following == ["in"] else 1
        else:
            names.append(word)
            runs, letters = [*runs, letters], ""
    # A single letter among words is "a", "I" or an initial; behind them the spelling begins.
    runs = [run for run in runs if len(run) > 1]
    return names, "".join(runs) + ("" if names and letters in ("a", "i") and not runs else letters)


def _letters_apart(word: str) -> list[str]:
    parts = word.split("-")
    return parts if len(parts) > 1 and all(len(part) <= 1 for part in parts) else [word]


def _numbers(text: str, language: str) -> str:
    """Lower case, number words as figures."""
    text, language = text.lower().rstrip(" .!?"), primary(language)
    if language not in _NUMBER_LANGUAGES:
        return text
    converted: str = alpha2digit(text, language, 0)
    return converted


def _phone(text: str, language: str, keys: str) -> Filling:
    number = digits_said(text, language) + re.sub(r"\D", "", keys)
    if not number or (len(number) < 3 and _REFUSES.search(text.lower())):
        return Filling.FULL if wants_calling_number(text) else Filling.NONE
    abroad = _PLUS.search(text.lower()) is not None
    if number.startswith("00"):
        number, abroad = number[2:], True
    if abroad:
        return _phone_of(f"+{number}", None)
    country = language.partition("-")[2].upper()
    countries = (country,) if country in phonenumbers.SUPPORTED_REGIONS else _COUNTRIES.get(language, _COUNTRIES["en"])
    # A long-distance prefix is the caller's own country's: where a number begins with 0, it is not North American.
    first, *others = (_phone_of(number, one) for one in countries if not (one == "US" and number.startswith("0")))
    # Somewhere a short number is a whole one; that counts only where it is the most likely country.
    return Filling.FULL if Filling.FULL in others else first


def _phone_of(number: str, country: str | None) -> Filling:
    try:
        parsed = phonenumbers.parse(number, country)
        longer = [phonenumbers.parse(number + digit, country) for digit in "0159"]
    except NumberParseException:
        return Filling.FULL if len(number) > _LONGEST_NUMBER else Filling.PART
    length = phonenumbers.is_possible_number_with_reason(parsed)
    # Seven digits are a whole number in North America, and more often the first two groups of ten.
    if length == ValidationResult.TOO_LONG:
        return Filling.FULL
    if length != ValidationResult.IS_POSSIBLE:
        return Filling.PART
    if all(phonenumbers.is_possible_number_with_reason(one) == ValidationResult.TOO_LONG for one in longer):
        return Filling.FULL
    if not phonenumbers.is_valid_number(parsed):
        return Filling.PART
    if not any(map(phonenumbers.is_valid_number, longer)):
        return Filling.FULL
    mobile = phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE
    return Filling.ENOUGH if mobile else Filling.NEARLY


def _code(text: str, language: str, keys: str) -> Filling:
    number = digits_said(text, language) + re.sub(r"\D", "", keys)
    if len(number) >= _LONG_CODE:
        return Filling.ENOUGH
    return Filling.PART if number or len(letters_said(text)[1]) > 1 else Filling.NONE


def _email(text: str) -> Filling:
    text = text.lower().rstrip(" .!?,")
    at = _AT.search(text)
    ends = list(_DOMAIN_END.finditer(text, at.end())) if at else []
    if ends:
        # ".co" is mostly the first half of ".co.uk".
        return Filling.NEARLY if ends[-1][1] == "co" and ends[-1].end() == len(text) else Filling.FULL
    if at or re.search(r"\b(?:dot|underscore|hyphen|dash|punkt|point|punto|ponto|punt)\b|\w\.\w", text):
        return Filling.PART
    names, letters = letters_said(text)
    return Filling.PART if letters or set(names) - _BEFORE_A_NAME else Filling.NONE


def _name(text: str, expected: Expected) -> Filling:
    names, letters = letters_said(text if text.isupper() else _CAPITALS.sub(lambda run: " ".join(run[0]), text))
    names = [name for name in names if name not in _BEFORE_A_NAME]
    if letters:
        # Recognition writes a foreign name as it sounds: the letters need only be like it, and as many.
        near = [one for one in names if len(letters) >= len(one) and fuzz.ratio(letters, one) >= _SPELLS_IT_PCT]
        return Filling.FULL if near else Filling.PART
    if not names:
        return Filling.NONE
    if expected is Expected.SPELLING or len(names) == 1:
        return Filling.NEARLY
    return Filling.FULL


def _address(text: str) -> Filling:
    street = _STREETS.search(text)
    if _POSTCODE.search(text) and street:
        return Filling.FULL
    if not street:
        return Filling.PART if re.search(r"\d", text) else Filling.NONE
    before, after = text[: street.end()], words_of(text[street.end() :])
    numbered = re.search(r"\d", before) or any(word.isdigit() for word in after)
    towns = [word for word in after if not word.isdigit()]
    if not numbered:
        return Filling.PART
    return Filling.ENOUGH if towns else Filling.NEARLY


def _date(text: str, language: str) -> Filling:
    said = calendar_words(text, language)
    if said.numeric_date or (said.month and said.day_number):
        return Filling.FULL
    if said.weekday or said.relative_day:
        # "Next Tuesday" is often followed by "at ten".
        with_time = said.clock_time or said.part_of_day or said.day_number
        return Filling.ENOUGH if with_time else Filling.NEARLY
    if said.day_number:
        return Filling.NEARLY
    return Filling.PART if said.month else Filling.NONE


def _date_of_birth(text: str, language: str) -> Filling:
    said = calendar_words(text, language)
    if said.year and (said.numeric_date or said.numbers >= 3 or (said.month and said.day_number)):
        return Filling.FULL
    return Filling.PART if said.month or said.numbers else Filling.NONE


def _time(text: str, language: str) -> Filling:
    said = calendar_words(text, language)
    if said.clock_time:
        return Filling.FULL
    return Filling.ENOUGH if said.hour or said.part_of_day else Filling.NONE


def _date_and_time(text: str, language: str) -> Filling:
    date, time = _date(text, language), _time(text, language)
    # "The third" is a day, not three o'clock too.
    if calendar_words(text, language).clock_time:
        time = Filling.FULL
    elif date is Filling.NEARLY:
        time = Filling.NONE
    if Filling.NONE not in (date, time):
        return Filling.FULL if Filling.FULL in (date, time) else Filling.ENOUGH
    return Filling.NONE if date is time is Filling.NONE else Filling.NEARLY
