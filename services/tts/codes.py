"""What is read letter by letter: spelled names, codes, post codes. And telephone numbers, in their country's groups.

Pure.
"""

import re

import phonenumbers

from services.tts.languages import Language
from services.tts.lexicon import phonemes
from services.tts.numerals import digits, grouped, in_groups, words

# People spell in twos, threes and fours; longer runs can't be written down in one go.
_IN_ONE_GO = 4
_SHORT_NAME = 3
# The letter, not the article.
_A = phonemes("ˈA")


def letter(one: str, british: bool) -> str:
    """A letter as the engine must be given it to say its name."""
    upper = one.upper()
    if upper == "A":
        return _A
    return "zed" if british and upper == "Z" else upper


def run(text: str, language: Language, british: bool) -> str:
    """Letters, or letters and digits, one after the other: a breath after each, a longer one after each few."""
    said = [digits(one, language) if one.isdecimal() else letter(one, british) for one in text]
    return "; ".join(", ".join(part) for part in _shared_out(said))


def _shared_out(said: list[str]) -> list[list[str]]:
    """In threes, but two or four at the end rather than a letter alone."""
    groups: list[list[str]] = []
    while len(said) > _IN_ONE_GO:
        groups.append(said[:3])
        said = said[3:]
    return [*groups, said]


def spelled(text: str, language: Language, british: bool) -> str:
    """ "K-O-W-A-L-S-K-I", "K O W A L S K I"."""
    return run("".join(one for one in text if one.isalnum()), language, british)


def postcode(text: str, language: Language, british: bool) -> str:
    """ "SW1A 1AA": its two halves."""
    bare = "".join(text.split())
    return "; ".join(run(half, language, british) for half in (bare[:-3], bare[-3:]))


def code(text: str, language: Language, british: bool) -> str | None:
    """ "AB-1234" by letters and digits; "A12", "12A", "M25", "B2B" as people say rooms, roads and short names."""
    if found := re.fullmatch(r"([A-Z]{1,2})([1-9]\d?)", text):
        return f"{_at_once(found[1], language, british)} {words(int(found[2]), language)}"
    if found := re.fullmatch(r"([1-9]\d?)([A-Z])", text):
        return f"{words(int(found[1]), language)} {_at_once(found[2], language, british)}"
    if len(text) <= _SHORT_NAME:
        return _at_once(text, language, british)
    parts = []
    for part in re.findall(r"[A-Z]+|\d+", text):
        if len(part) > 3 and part.isalpha() and re.search(r"[AEIOU]", part):
            # "COVID-19", "ORDER-5512": a word.
            parts.append(part.capitalize())
        elif part.isdecimal():
            parts.append(in_groups(grouped(part) if len(part) > _IN_ONE_GO else [part], language))
        else:
            parts.append(run(part, language, british))
    return ", ".join(parts) or None


def _at_once(text: str, language: Language, british: bool) -> str:
    return " ".join(digits(one, language) if one.isdecimal() else letter(one, british) for one in text if one.isalnum())


def telephone(text: str, language: Language, country: str) -> str:
    """Digit by digit: in the groups of its country when it is a number there, else as written."""
    groups = _groups(text, country) or re.findall(r"\d+", text)
    if len(groups) == 1:
        groups = grouped(groups[0])
    plus = f"{language.signs['+']} " if text.startswith("+") else ""
    return plus + in_groups([part for group in groups for part in _short(group)], language)


def _short(group: str) -> list[str]:
    """Six digits at once, as German numbers have them, are too many."""
    if len(group) <= _IN_ONE_GO:
        return [group]
    return [group[:2], group[2:]] if len(group) == 5 else grouped(group)


def _groups(text: str, country: str) -> list[str]:
    try:
        parsed = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return []
    if not phonenumbers.is_valid_number(parsed):
        return []
    form = phonenumbers.PhoneNumberFormat
    shown = phonenumbers.format_number(parsed, form.INTERNATIONAL if text.startswith("+") else form.NATIONAL)
    groups = re.findall(r"\d+", shown)
    # What is written is what is said: no digit more or less.
    return groups if "".join(groups) == "".join(re.findall(r"\d", text)) else []
