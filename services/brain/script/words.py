"""Words as speech recognition writes them, brought to one form before anything is read from them."""

import re

from text_to_num import alpha2digit

_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "`": "'", "–": "-", "—": "-"})
# Said while thinking; they carry nothing and sit between the words that do.
_FILLERS = re.compile(r"\b(?:u+m+|u+h+|er+m*|hm+|mm+|ah+|eh)\b[,.]?\s*")
# "The second one" holds no number.
_NUMBERLESS = re.compile(r"\bone(?= (?:more|of|moment|second)\b)")
_PRONOUN = re.compile(
    r"\b(the|this|that|which|first|second|third|last|earlier|later|other|next|new|another|good|nice) one\b"
)


def spoken_form(text: str) -> str:
    """Lower case, one kind of apostrophe, no fillers, single spaces; punctuation stays."""
    text = text.translate(_APOSTROPHES).lower()
    return " ".join(_FILLERS.sub(" ", text).split())


def digits_for_words(text: str) -> str:
    """Number words as digits: "half past three" is "half past 3", "twenty first" is "21st"."""
    text = _NUMBERLESS.sub("a", text)
    text = _PRONOUN.sub(r"\1 choice", text)
    # Threshold 0: text2num leaves small numbers alone by default, and those are what clock times are made of.
    converted: str = alpha2digit(text, "en", 0)
    return converted


def words_of(text: str) -> list[str]:
    """The words without punctuation; apostrophes stay inside a word."""
    return re.findall(r"[a-z0-9']+", spoken_form(text))
