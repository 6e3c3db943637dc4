"""Has the caller finished? What the words, the question asked, the sound and the caller's own pauses say about it."""

import re
from dataclasses import dataclass

from services.brain.completeness import Completeness, closes, completeness
from services.brain.pauses import Pauses
from services.brain.question import Expected


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known when the caller falls silent."""

    text: str
    """The turn so far, as it was recognised"""
    expected: Expected
    end_probability: float | None
    """What the sound says, 0 to 1; None when it was not judged"""
    pauses: Pauses
    language: str = "en"
    """BCP 47"""
    digits: str = ""
    """Keys pressed in this turn"""
    confidence: float = 1.0
    """Recognition's, of the last words, 0 to 1; 0 when it gives none"""


@dataclass(frozen=True, slots=True)
class _Silence:
    """Milliseconds after the last speech sample, by what the sound says: over, nothing, going on."""

    over: int
    untold: int
    goes_on: int


# The answer's path costs 75 ms after the decision, and the words are known 350 to 400 ms after the last sample: below
# that nothing is gained. People pause about 0.2 s inside a phrase, 0.5 s between phrases, and up to 1 s between the
# groups of a telephone number (agents#3701). The sound calls most unfinished sentences finished, and hardly ever a
# finished one unfinished: its "over" counts for little where the words could go on, its "goes on" for much.
_SILENCE = {
    Completeness.ANSWERED: _Silence(300, 360, 560),
    Completeness.FINISHED: _Silence(340, 500, 780),
    Completeness.MAY_GO_ON: _Silence(740, 800, 1080),
    Completeness.NEARLY: _Silence(800, 900, 1100),
    Completeness.HALF: _Silence(1200, 1250, 1300),
    Completeness.OPEN: _Silence(1250, 1300, 1400),
}
# The sound's word, from "goes on" to "over"; between them the silence is in proportion.
_GOES_ON, _OVER = 0.2, 0.7
# How much of the caller's own pauses counts. A full answer has nothing left to pause in.
_PAUSES_COUNT = {Completeness.ANSWERED: 0.3, Completeness.FINISHED: 0.6}
_SHORTEST_MS, _LONGEST_MS = 280, 1500
# Words heard with less confidence may be others: half a sentence misheard as a whole one ("go harvesting it" for "well,
# the thing is") has 0.26 to 0.5 in the tune split of bench.turns, as 2 of 18 finished turns have. Digits have 0.43 to
# 0.6 when right.
_HEARD_WELL, _HEARD_BADLY = 0.51, 0.45
_BADLY = _Silence(980, 1050, 1250)
_DIGITS = frozenset({Expected.PHONE, Expected.DIGITS, Expected.DATE_OF_BIRTH, Expected.NUMBER})
# A statement that nothing asked for and nothing closes may be followed by where, when, why; half of the pauses are
# shorter than 0.5 s, and 0.13 s pass until their end is noticed.
_STATED = _Silence(640, 720, 850)
# One name of two, or one that will be spelled: a pause of 0.9 s, and the 0.15 s after which its end is noticed.
_ONE_NAME = _Silence(1060, 1080, 1150)
# Under this the sound is sure: in the tune split no finished turn was there, and a third of the open pauses.
_SURELY_GOES_ON, _SURELY_MS = 0.05, 1080


# "No, that's all." Thanks and a goodbye follow as a rule, and nothing is in a hurry any more.
_DONE = re.compile(
    r"\b(?:that(?:'s| is| was| will be|'ll be) (?:all|it|everything)|nothing else|das (?:ist|war'?s?) alles|c'est tout"
    r"|eso es todo|è tutto|dat is alles|é (?:só isso|tudo))\W*$",
    re.IGNORECASE,
)


def silence_needed_ms(evidence: Evidence) -> int:
    """Silence after the last speech sample that ends the turn, ms; from 280 to 1500."""
    words = completeness(evidence.text, evidence.expected, evidence.language, evidence.digits)
    silence, probability = _silence(words, evidence), evidence.end_probability
    if probability is None:
        needed: float = silence.untold
    else:
        over = min(1.0, max(0.0, (probability - _GOES_ON) / (_OVER - _GOES_ON)))
        needed = silence.goes_on + over * (silence.over - silence.goes_on)
        if probability < _SURELY_GOES_ON and words is not Completeness.ANSWERED:
            needed = max(needed, _SURELY_MS)
    needed += _PAUSES_COUNT.get(words, 1.0) * evidence.pauses.shift_ms()
    return round(min(_LONGEST_MS, max(_SHORTEST_MS, needed)))


def _silence(words: Completeness, evidence: Evidence) -> _Silence:
    if words is Completeness.NEARLY and evidence.expected in (Expected.NAME, Expected.SPELLING):
        return _ONE_NAME
    if words in (Completeness.ANSWERED, Completeness.FINISHED) and evidence.expected not in _DIGITS:
        if 0 < evidence.confidence < _HEARD_BADLY:
            return _BADLY
        if 0 < evidence.confidence < _HEARD_WELL:
            return _SILENCE[Completeness.MAY_GO_ON]
    if words in (Completeness.ANSWERED, Completeness.FINISHED) and _DONE.search(evidence.text):
        return _STATED
    if words is Completeness.FINISHED and evidence.expected is Expected.ANYTHING and not closes(evidence.text):
        return _STATED
    return _SILENCE[words]
