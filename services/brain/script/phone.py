"""Telephone numbers as callers say them and as recognition writes them, to digits."""

import re

from services.brain.script.words import digits_for_words, spoken_form

# E.164 allows 15; the shortest numbers that people give as theirs have 7 (a local number, North America).
MIN_DIGITS = 7
MAX_DIGITS = 15
# Recognisers write these for digits, and only between digits can they be ones.
_HOMOPHONES = {"for": "4", "four": "4", "to": "2", "too": "2", "ate": "8", "won": "1", "o": "0", "oh": "0", "owe": "0"}
_REPEATS = {"double": 2, "triple": 3, "treble": 3}
_JOINERS = frozenset({"and", "then", "area", "code", "plus", "dash", "hyphen", "space", "um"})
_THIS_NUMBER = re.compile(
    r"\b(?:(?:the|this) (?:number|one|phone) (?:that )?(?:i'm|i am) (?:calling|ringing|phoning|on)\b"
    r"|(?:the )?same number|this (?:number|phone)\b|number i'm calling)"
)


def read_phone(text: str) -> str:
    """The longest run of digits said, without separators; empty when there is none. Short runs are left to the caller
    to refuse: a number often comes in two breaths."""
    text = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", " nth ", _time_apart(spoken_form(text)))
    text = re.sub(r"[^a-z0-9']+", " ", text)
    # "oh" is unknown to text2num, and must be a digit before the numbers around it are joined.
    tokens = digits_for_words(re.sub(r"\boh?\b(?= |$)", "zero", text)).split()
    runs, run, repeat = [], "", 1
    for index, token in enumerate(tokens):
        if token in _REPEATS:
            repeat = _REPEATS[token]
            continue
        if token.isdigit():
            run += token[0] * repeat + token[1:]
        elif run and token in _HOMOPHONES and index + 1 < len(tokens) and tokens[index + 1].isdigit():
            run += _HOMOPHONES[token] * repeat
        elif not (run and token in _JOINERS):
            runs.append(run)
            run = ""
        repeat = 1
    runs.append(run)
    return max(runs, key=len)


def _time_apart(text: str) -> str:
    """ "At ten, 555 0142": a word between, or the hour becomes a part of the number."""
    return re.sub(r"\b((?:at|past|to) [\w:]+(?: \w+)?),(?= )", r"\1 then my number", text)


def wants_calling_number(text: str) -> bool:
    """ "The number I'm calling from"."""
    return _THIS_NUMBER.search(spoken_form(text)) is not None


def without_phone(text: str) -> str:
    """`text` with runs of six and more digits taken out: they would be read as clock times."""
    text = digits_for_words(re.sub(r"\b(?:double|triple) \w+", " 0 0 ", _time_apart(spoken_form(text))))
    return re.sub(r"\+?\d(?:[ .,()-]{0,3}(?:oh? )?\d){5,}", " ", text)
