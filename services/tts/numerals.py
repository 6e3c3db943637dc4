"""Numbers, money, dates and times in words, in the language of the text, by num2words.

Pure. Readers answer None for what only looks like their kind ("25:99").
"""

import re
from typing import Any

from num2words import num2words

from services.tts.languages import ENGLISH, Language

# Past this nobody follows a number's name: it is read as digits.
LONGEST_CARDINAL = 15


def words(number: int | str, language: Language, to: str = "cardinal") -> str:
    """By num2words, without hyphens and commas: they would be heard as pauses. Digits alone when it can't."""
    if len(str(number)) > LONGEST_CARDINAL:
        return in_groups(grouped(str(number)), language)
    try:
        said: Any = num2words(number, to=to, lang=language.code)
    except (ArithmeticError, ValueError, NotImplementedError, IndexError):
        return digits(str(number), language)
    return str(said).replace(",", "").replace("-", " ")


def digits(text: str, language: Language) -> str:
    """One by one; what is no digit is left out."""
    return " ".join(str(num2words(int(one), lang=language.code)) for one in text if one.isdecimal())


def in_groups(groups: list[str], language: Language) -> str:
    """Digits with a pause between the groups; in French pairs as numbers."""

    def group(text: str) -> str:
        if language.pairs and len(text) == 2 and text[0] != "0":
            return words(int(text), language)
        return digits(text, language)

    return ", ".join(group(text) for text in groups)


def grouped(text: str) -> list[str]:
    """A string of digits as people say it: fours when it comes out even and is long, else threes, the last four."""
    if len(text) > 11 and len(text) % 4 == 0:
        return [text[at : at + 4] for at in range(0, len(text), 4)]
    if len(text) in (4, 7, 10):
        rest = len(text) - 4
        return [*(text[at : at + 3] for at in range(0, rest, 3)), text[rest:]]
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def plain(text: str, language: Language) -> str:
    """A number without its grouping marks and with a decimal point: "1.234,5" in German, "1,234.5" in English."""
    text = re.sub(r"[\s'’]", "", text)
    if language.decimal_comma:
        return text.replace(".", "").replace(",", ".")
    return text.replace(",", "")


def number(text: str, language: Language) -> str:
    """A leading zero is a code, not a quantity; so is a long string of digits."""
    if text.startswith(("-", "−")):
        return f"{language.minus} {number(text[1:], language)}"
    if text.isdecimal() and ((len(text) > 1 and int(text[0]) == 0) or len(text) > 6):
        return in_groups(grouped(text) if len(text) > 4 else [text], language)
    bare = plain(text, language)
    whole, point, part = bare.partition(".")
    if point and len(part) > 4:
        return f"{words(int(whole), language)} {words('0.1', language).split()[1]} {digits(part, language)}"
    return words(bare if point else int(bare), language)


def counted(count: int, one: str, many: str, language: Language) -> str:
    """ "one dollar", "zwei Euro"."""
    return f"{language.one} {one}" if count == 1 else f"{words(count, language)} {many}"


def money(text: str, language: Language) -> str | None:
    """ "£5.50/h", "5,50 €", "$2 million"; the sign before or behind."""
    found = re.fullmatch(r"([$£€])?\s?([\d.,\s’']*\d)\s?([$£€])?\s?([A-Za-z]+)?(?:\s?/\s?([^\W\d]+))?", text)
    if found is None:
        return None
    one, many, part_one, part_many = language.money[found[1] or found[3]]
    whole, _, cents = plain(found[2], language).partition(".")
    said = []
    if found[4]:
        said = [f"{number(found[2], language)} {language.scales[found[4]]} {many}"]
    else:
        cents = cents.ljust(2, "0")
        if int(whole) or not int(cents):
            said.append(counted(int(whole), one, many, language))
        if int(cents):
            said.append(counted(int(cents), part_one, part_many, language))
    return " ".join([language.joins_cents.join(said), *([language.per[found[5]]] if found[5] else [])])


def year(value: int, language: Language) -> str:
    return words(value, language, "year")


def ordinal(value: int, language: Language) -> str:
    return words(value, language, "ordinal")


def date(value: int, month: int, day: int, language: Language) -> str | None:
    """`value` is the year, 0 for none; two digits are of this century."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    if 0 < value < 100:
        value += 2000
    said = year(value, language) if value else ""
    return language.date(words(day, language), ordinal(day, language), language.months[month - 1], said)


def time(text: str, language: Language) -> str | None:
    """ "10:30 a.m.", "3pm", "14:05", "14.05 Uhr", "14h05"."""
    found = re.fullmatch(r"(\d{1,2})(?:[:.h](\d{2})?)?\s?(?:([AaPp])\.?[Mm]\.?|(?:Uhr|[Hh]))?", text.strip())
    if found is None:
        return None
    hour, minute, half = int(found[1]), int(found[2] or 0), found[3]
    if hour > 24 or minute > 59:
        return None
    hours = language.one if hour == 1 else words(hour, language)
    if half and language is ENGLISH:
        clock = language.clock(hours, words(minute, language), hour, minute) if minute else hours
        # Dotted: so the letters are spelled and not read as a word.
        return f"{clock} {half.upper()}.M."
    return language.clock(hours, words(minute, language), hour, minute)
