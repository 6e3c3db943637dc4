"""Has the caller finished? What the words and the question asked say about it."""

import re
from enum import Enum, auto


class Expected(Enum):
    """What the agent's last question asks for."""

    ANYTHING = auto()
    DIGITS = auto()
    SPELLING = auto()
    YES_OR_NO = auto()


# Silence after the last sample of speech that ends the turn, ms. People pause about 0.2 s inside a phrase, up to 1 s
# between the groups of a telephone number (agents#3701).
_FINISHED_MS = {
    Expected.ANYTHING: 550,
    Expected.YES_OR_NO: 450,
    Expected.DIGITS: 1000,
    Expected.SPELLING: 800,
}
_UNFINISHED_MS = 1200

# A sentence that ends in one of these goes on.
_OPEN_ENDS = {"a", "an", "and", "at", "because", "but", "by", "for", "from", "if", "in", "is", "it's", "my", "of"}
_OPEN_ENDS |= {"on", "or", "so", "than", "that", "the", "then", "to", "um", "uh", "er", "erm", "well", "with"}

_BACKCHANNELS = {"mm", "mhm", "mmhm", "mm-hm", "mm-hmm", "hmm", "hm", "uh-huh", "uhhuh", "aha", "ah", "oh", "ok"}
_BACKCHANNELS |= {"okay", "right", "sure", "yeah", "yep", "yes", "yup", "good", "alright"}
_BACKCHANNEL_PHRASES = {
    "thanks",
    "thank you",
    "okay thank you",
    "okay thanks",
    "i see",
    "got it",
    "all right",
    "i got it",
}

_BEFORE_A_NAME = {"yes", "it's", "its", "it", "is", "my", "name", "i'm", "this", "the", "under", "for", "last", "first"}

# In DIGITS a whole national number has at least this many.
_WHOLE_NUMBER_DIGITS = 9

_WORD = re.compile(r"[\w'-]+")


def words_of(text: str) -> list[str]:
    return [word.strip("-'") for word in _WORD.findall(text.lower())]


def is_backchannel(text: str) -> bool:
    """True for what listeners say to mean "go on"."""
    words = words_of(text)
    return " ".join(words) in _BACKCHANNEL_PHRASES or (len(words) <= 3 and all(word in _BACKCHANNELS for word in words))


def silence_needed_ms(text: str, expected: Expected) -> int:
    """How long the caller must be silent after these words for the turn to be over."""
    words = words_of(text)
    trailing = text.rstrip().endswith((",", "...", "…", "-"))
    if trailing or (words and words[-1] in _OPEN_ENDS):
        return _UNFINISHED_MS
    if expected is Expected.DIGITS and sum(c.isdigit() for c in text) >= _WHOLE_NUMBER_DIGITS:
        return _FINISHED_MS[Expected.ANYTHING]
    if expected is Expected.SPELLING and _is_full_name(words):
        return _FINISHED_MS[Expected.ANYTHING]
    return _FINISHED_MS[expected]


def _is_full_name(words: list[str]) -> bool:
    """Two names and no letters: nobody begins to spell after that."""
    names = [word for word in words if word not in _BEFORE_A_NAME]
    return len(names) >= 2 and all(len(word) > 1 for word in names)


_ASKS_DIGITS = re.compile(r"\b(number|digits|code|pin|date of birth)\b", re.I)
_ASKS_SPELLING = re.compile(r"\b(name|spell|e-?mail|address)\b", re.I)
_ASKS_YES_NO = re.compile(r"^(is|are|shall|would|do|does|did)\b|\b(anything else|right|correct)\?", re.I)


def expected_answer(question: str) -> Expected:
    """What the last sentence the agent said asks for."""
    last = re.split(r"(?<=[.!?])\s+", question.strip())[-1]
    if not last.endswith("?") and not _ASKS_DIGITS.search(last) and not _ASKS_SPELLING.search(last):
        return Expected.ANYTHING
    if _ASKS_DIGITS.search(last) and not _ASKS_YES_NO.search(last):
        return Expected.DIGITS
    if _ASKS_SPELLING.search(last):
        return Expected.SPELLING
    return Expected.YES_OR_NO if _ASKS_YES_NO.search(last) else Expected.ANYTHING
