"""The words of a transcript, in any of the languages that are written with spaces."""

import re

_WORD = re.compile(r"[\w'-]+")
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "`": "'", "–": "-", "—": "-"})


def words_of(text: str) -> list[str]:
    """Lower case, no punctuation; an apostrophe or a hyphen stays inside a word."""
    found = (word.strip("-'_") for word in _WORD.findall(text.translate(_APOSTROPHES).lower()))
    return [word for word in found if word]


def primary(language: str) -> str:
    """ISO 639-1 of a BCP 47 tag: "en" for "en-GB"."""
    return language.split("-")[0].lower()
