"""Cuts text, as it is generated, into clauses that can be spoken: early for the first, at sentence ends after that.

Pure. What is cut depends on the text alone, never on the pieces it came in.
"""

import re
from dataclasses import dataclass
from enum import Enum

# The first clause is what the caller waits for: a comma after five words is early enough to be heard soon and late
# enough to sound like speech. Later clauses are made while earlier ones play, and whole sentences sound better.
FIRST_COMMA_WORDS = 5
FIRST_CONJUNCTION_WORDS = 7
LATER_COMMA_WORDS = 12
LATER_CONJUNCTION_WORDS = 18
# No model of ours reads well past some 400 phonemes at once; text without punctuation is cut all the same.
LONGEST_CHARS = 200

_CONJUNCTIONS = frozenset({"and", "but", "or", "so", "because", "then"})
# A period after these ends nothing.
_TITLES = frozenset(
    {"approx", "apt", "capt", "col", "dept", "dr", "est", "ext", "fig", "gen", "hon", "inc", "jr", "lt", "ltd"}
    | {"mr", "mrs", "ms", "nos", "prof", "rev", "sgt", "sr", "st", "tel", "vs"}
)
# Neither, unless a capital letter follows: "at 10 a.m. We open", "e.g. this".
_DOTTED = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]?$")
_CLOSERS = "\"'”’)]}*_`»"
_OPENERS = "\"'“‘([{*_`«"
_LIST_NUMBER = re.compile(r"\d{1,2}[.)]$")


class Break(Enum):
    """How a clause ends, and so how long the pause behind it is."""

    SENTENCE = "sentence"
    COMMA = "comma"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Clause:
    """Text as written, without the white space around it."""

    text: str
    ends: Break


class ClauseSplitter:
    """Feed it text; it answers with the clauses that are now whole. `flush` gives the rest."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._gaps: list[str] = []
        self._word = ""
        self._gap = ""
        self._first = True
        # A possible break behind the last word, which only the next word's first letter can confirm.
        self._pending: Break | None = None

    def feed(self, text: str) -> list[Clause]:
        """The clauses completed by this piece."""
        clauses: list[Clause] = []
        for character in text:
            if character.isspace():
                self._space(character, clauses)
            else:
                self._letter(character, clauses)
        return clauses

    def flush(self) -> list[Clause]:
        """No more text comes."""
        clauses: list[Clause] = []
        if self._word:
            self._end_word(clauses)
        self._cut(Break.SENTENCE, clauses)
        return clauses

    def _letter(self, character: str, clauses: list[Clause]) -> None:
        if not self._word and self._pending is not None:
            held, self._pending = self._pending, None
            if _confirms(self._words[-1], character):
                self._cut(held, clauses)
        self._word += character

    def _space(self, character: str, clauses: list[Clause]) -> None:
        if self._word:
            self._end_word(clauses)
        if character == "\n" and self._words:
            # Lists and headings have no other end.
            self._pending = None
            self._cut(Break.SENTENCE, clauses)
        elif self._words:
            self._gap = " "

    def _end_word(self, clauses: list[Clause]) -> None:
        word, self._word = self._word, ""
        count = len(self._words)
        long = sum(map(len, self._words)) + count + len(word) > LONGEST_CHARS
        if count and (long or (word.lower() in _CONJUNCTIONS and count >= self._conjunction_words())):
            self._cut(Break.NONE, clauses)
        self._words.append(word)
        ends = _break_behind(word, alone=len(self._words) == 1)
        if ends is Break.COMMA and len(self._words) < self._comma_words():
            return
        if ends is Break.NONE:
            return
        if _needs_next_letter(word):
            self._pending = ends
        else:
            self._cut(ends, clauses)

    def _cut(self, ends: Break, clauses: list[Clause]) -> None:
        self._pending = None
        if self._words:
            clauses.append(Clause(" ".join(self._words), ends))
            self._words = []
            self._first = False

    def _comma_words(self) -> int:
        return FIRST_COMMA_WORDS if self._first else LATER_COMMA_WORDS

    def _conjunction_words(self) -> int:
        return FIRST_CONJUNCTION_WORDS if self._first else LATER_CONJUNCTION_WORDS


def _break_behind(word: str, alone: bool) -> Break:
    """What the word's own end says. `alone`: it is the clause's first."""
    bare = word.rstrip(_CLOSERS)
    if not bare:
        return Break.NONE
    if alone and _LIST_NUMBER.match(bare):
        return Break.NONE
    last = bare[-1]
    if last in "!?…。":
        return Break.SENTENCE
    if last == ".":
        stem = bare[:-1].lstrip(_OPENERS)
        if stem.lower() in _TITLES or (len(stem) == 1 and stem.isupper()):
            return Break.NONE
        return Break.SENTENCE
    if last in ",;:" or (bare in ("-", "–", "—") and not alone) or last == "—":
        return Break.COMMA
    return Break.NONE


def _needs_next_letter(word: str) -> bool:
    """Numbers may go on ("020, 7946", "March 3, 2026"); "a.m." and "No." may or may not end a sentence."""
    bare = word.strip(_CLOSERS + _OPENERS).rstrip(".,;:")
    return bare[-1:].isdigit() or bare.lower() == "no" or bool(_DOTTED.match(bare))


def _confirms(word: str, next_letter: str) -> bool:
    bare = word.rstrip(_CLOSERS)
    stem = bare.rstrip(".,;:")
    if stem[-1:].isdigit() or stem.lower() == "no":
        return not (next_letter.isdigit() or next_letter in "(+")
    if bare[-1] == ".":
        return next_letter.isupper() or next_letter in _OPENERS
    return True
