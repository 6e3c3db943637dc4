"""Cuts text, as it is generated, into clauses that can be spoken: early for the first, at sentence ends after that.

Pure. What is cut depends on the text alone, never on the pieces it came in.
"""

import math
import re
from dataclasses import dataclass
from enum import Enum

# The first clause is what the caller waits for: a comma after four words is early enough to be heard soon and late
# enough to sound like speech, and after six words a new phrase will do. Later clauses are made while earlier ones play,
# and whole sentences sound better.
FIRST_COMMA_WORDS = 4
FIRST_CONJUNCTION_WORDS = 5
FIRST_PHRASE_WORDS = 6
LATER_COMMA_WORDS = 12
LATER_CONJUNCTION_WORDS = 18
# No model of ours reads well past some 400 phonemes at once; text without punctuation is cut all the same.
LONGEST_CHARS = 200

_CONJUNCTIONS = frozenset({"and", "but", "or", "so", "because", "then"})
# Phrases begin with these, and a voice may draw breath before them.
_PHRASES = frozenset(
    {"after", "at", "before", "between", "from", "if", "on", "until", "when", "where", "which", "while", "who"}
)
# With these too, but "for you" would be left alone: the next word decides.
_PREPOSITIONS = frozenset({"by", "for", "with"})
_PRONOUNS = frozenset({"you", "me", "us", "it", "him", "her", "them", "this", "that", "now"})
# A period after these ends nothing.
_TITLES = frozenset(
    {"approx", "apt", "capt", "col", "dept", "dr", "est", "ext", "fig", "gen", "hon", "inc", "jr", "lt", "ltd"}
    | {"mr", "mrs", "ms", "nos", "prof", "ref", "rev", "sgt", "sr", "st", "tel", "vs"}
    | {"bzw", "ca", "env", "excl", "ggf", "incl", "inkl", "nr", "núm", "sra", "tél"}
)
# Neither, unless a capital letter follows: "at 10 a.m. We open", "e.g. this".
_DOTTED = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]?$")
_CLOSERS = "\"'”’)]}*_`»"
_OPENERS = "\"'“‘([{*_`«"
_LIST_NUMBER = re.compile(r"\d{1,2}[.)]$")
_ORDINAL_DOT = re.compile(r"(?<!\d)\d{1,2}\.$")
_FENCE = ("```", "~~~")
# A slow engine's clauses grow with what plays while they are made, but not below what sounds like speech.
_SHORTEST_LIMIT = 24


class Break(Enum):
    """How a clause ends, and so how long the pause behind it is."""

    SENTENCE = "sentence"
    COMMA = "comma"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Clause:
    """Text as written, without the white space around it. `silent`: code, which is not for the ear."""

    text: str
    ends: Break
    silent: bool = False


class ClauseSplitter:
    """Feed it text; it answers with the clauses that are now whole. `flush` gives the rest."""

    def __init__(self, cost: float = 0.0, ordinal_dots: bool = False) -> None:
        """`cost`: seconds of synthesis for a second of speech, below 1 if playout is to keep up at all.

        `ordinal_dots`: "3." is the third, as in German, and ends nothing.
        """
        self._cost = min(max(cost, 0.0), 1.0)
        self._ordinal_dots = ordinal_dots
        self._first_heard = 0
        self._cut_heard = 0
        self._fenced = False
        self._fence_line = False
        self._words: list[str] = []
        self._word = ""
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

    def _end_word(self, clauses: list[Clause]) -> None:
        word, self._word = self._word, ""
        count = len(self._words)
        fence = not count and word.startswith(_FENCE)
        if fence and not (len(word) > 3 and word.endswith(_FENCE)):
            # The line of the fence itself is code too: "```json".
            self._words.append(word)
            self._fenced = not self._fenced
            self._fence_line = True
            return
        heard, limit = sum(map(_heard, [*self._words, word])), self._limit()
        long = sum(map(len, self._words)) + count + len(word) > LONGEST_CHARS or heard > limit
        if count and (long or self._begins_anew(word.lower(), count)):
            self._cut(Break.NONE, clauses)
        elif self._began_anew(word, count):
            preposition = self._words.pop()
            self._cut(Break.NONE, clauses)
            self._words.append(preposition)
        self._words.append(word)
        ends = _break_behind(word, alone=len(self._words) == 1)
        if ends is Break.NONE:
            return
        if self._ordinal_dots and _ORDINAL_DOT.search(word):
            return
        # Near the limit any comma is better than the middle of a phrase.
        if ends is Break.COMMA and len(self._words) < self._comma_words() and heard < limit / 2:
            return
        if _needs_next_letter(word):
            self._pending = ends
        else:
            self._cut(ends, clauses)

    def _cut(self, ends: Break, clauses: list[Clause]) -> None:
        self._pending = None
        if self._words:
            text = " ".join(self._words)
            silent = self._fenced or self._fence_line
            clauses.append(Clause(text, ends, silent))
            self._words = []
            self._fence_line = False
            if not silent:
                heard = sum(map(_heard, text.split()))
                self._first_heard = self._first_heard or heard
                self._cut_heard += heard
                self._first = False

    def _began_anew(self, word: str, count: int) -> bool:
        """Whether the word before this one began a phrase; a sentence's last two words stay with it."""
        return (
            self._first
            and count > FIRST_PHRASE_WORDS
            and self._words[-1].lower() in _PREPOSITIONS
            and word.lower().strip(_CLOSERS) not in _PRONOUNS
            and word[-1].isalnum()
        )

    def _limit(self) -> float:
        """How long a clause may get, in letters heard, so that it is made before what was cut earlier has been played.

        Clause n + 1 is made in time when cost * next <= cost * first + (1 - cost) * all before it: the first clause's
        own synthesis came before anything played.
        """
        if self._first or not self._cost:
            return math.inf
        room = self._first_heard + self._cut_heard * (1 - self._cost) / self._cost
        return max(room, _SHORTEST_LIMIT)

    def _comma_words(self) -> int:
        return FIRST_COMMA_WORDS if self._first else LATER_COMMA_WORDS

    def _begins_anew(self, word: str, count: int) -> bool:
        if word in _CONJUNCTIONS:
            return count >= (FIRST_CONJUNCTION_WORDS if self._first else LATER_CONJUNCTION_WORDS)
        return self._first and count >= FIRST_PHRASE_WORDS and word in _PHRASES


def _heard(word: str) -> int:
    """Letters of what will be heard for a word and the space behind it: a digit is some five."""
    return len(word) + 1 + 4 * sum(character.isdecimal() for character in word)


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
