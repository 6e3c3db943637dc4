"""Hearing that a caller loses patience, and what to do about it: be brief, then offer a person.

Pure: what happens goes in, with its call time where time matters, and a level comes out. Each sign adds to a score,
each calm turn takes some of it away. A sign misread costs a short answer; so one is enough for that, and the offer
needs several.
"""

from collections import deque
from enum import Enum, auto

from rapidfuzz import fuzz

from services.brain.impatience_words import spoken, words_for
from services.brain.question import Expected


class Level(Enum):
    """How to treat the caller from here on."""

    CALM = auto()
    IMPATIENT = auto()  # short answers, no pleasantries, no chatty fillers
    OFFER_PERSON = auto()  # the same, and ask once whether they want a person


_SIGN = 1.0
_SWEARING = 2.0
# Asking for a person again is no hint but a wish.
_PERSON_AGAIN = 3.0
_INTERRUPTION = 0.5
_CALM_TURN = 0.5

# As long as people wait on the phone before they doubt the line; a "hello?" earlier may be a greeting, and one soon
# after "are you still there?" is the answer.
_SILENT_MS = 1500
_SILENT_AFTER_YES_OR_NO_MS = 4000
_MASHED_KEYS = 5
_MASHED_WITHIN_US = 2_000_000
_SAME_KEY = 4
_SAME_KEY_WITHIN_US = 5_000_000
# Fewer words are said again without being a question again: "yes, please".
_QUESTION_WORDS = 3
_REMEMBERED = 8
# Who asks again after that has forgotten the answer.
_REPEATED_WITHIN_US = 180_000_000
_ALIKE = 85.0
# "Agent!" is a wish for one; "your agent told me yesterday" is not.
_PERSON_WORDS_ALONE = 4


class Impatience:
    """One a call. `can_offer`: there is a person to offer; `offer_after`: the score that it takes, about one a sign."""

    def __init__(
        self, language: str = "en", *, can_offer: bool = True, offer_after: float = 3, enabled: bool = True
    ) -> None:
        self._languages = words_for(language)
        self._offer_after = offer_after
        self._enabled = enabled
        self._may_offer = can_offer
        self._score = 0.0
        self._impatient = False
        self._turns: deque[tuple[int, list[str]]] = deque(maxlen=_REMEMBERED)
        self._has_spoken = False
        self._asked_for_person = False
        self._waited_ms = 0
        self._missed = 0
        self._broke_in = False
        self._interruptions = 0
        self._keys: deque[tuple[int, str]] = deque(maxlen=_MASHED_KEYS)
        self._same_key = 0
        self._mashing = False

    @property
    def level(self) -> Level:
        """CALM or IMPATIENT, as it is now."""
        return Level.IMPATIENT if self._impatient else Level.CALM

    def caller_said(self, text: str, expected: Expected, now_us: int) -> Level:
        """The caller's turn is over: its new words (`Respond.added`), and what the agent had asked for before it."""
        said = spoken(text)
        if not any(one.isalpha() for one in said) and self._mashing:
            return self._treatment()  # the keys of `key_pressed` as a turn; they were counted
        signs = self._signs(text, said, expected, now_us)
        calm = not signs and not self._broke_in
        self._interruptions = self._interruptions if self._broke_in else 0
        self._has_spoken, self._waited_ms, self._missed, self._broke_in = True, 0, 0, False
        if len(said.split()) >= _QUESTION_WORDS:
            self._turns.append((now_us, said.split()))
        if calm:
            # What was put well is answered, however it went before.
            self._calm_down()
            return self.level
        self._add(signs)
        return self._treatment()

    def key_pressed(self, digit: str, digits_expected: bool, now_us: int) -> None:
        """A key: many in haste, or one again and again, where no digits were asked for. A burst counts once."""
        before = self._keys[-1] if self._keys else (now_us - _SAME_KEY_WITHIN_US - 1, "")
        if now_us - before[0] > _MASHED_WITHIN_US:
            self._mashing = False
        again = digit == before[1] and now_us - before[0] <= _SAME_KEY_WITHIN_US
        self._same_key = self._same_key + 1 if again else 1
        self._keys.append((now_us, digit))
        if digits_expected:
            self._keys.clear()
            return
        hasty = len(self._keys) == _MASHED_KEYS and now_us - self._keys[0][0] <= _MASHED_WITHIN_US
        if not self._mashing and (hasty or self._same_key >= _SAME_KEY):
            self._mashing = True
            self._add(_SIGN)

    def missed(self) -> Level:
        """The agent did not get the words and says so. Once happens; twice in a row wears on people.

        OFFER_PERSON here belongs behind the "sorry, I missed that": it is not told again.
        """
        self._missed += 1
        if self._missed < 2:
            return self.level
        self._add(_SIGN)
        return self._treatment()

    def interrupted(self) -> None:
        """The caller took the turn from the agent, of which something was heard. Once is how people talk."""
        self._broke_in = True
        self._interruptions += 1
        if self._interruptions >= 2:
            self._add(_INTERRUPTION)

    def waited(self, silence_ms: int) -> None:
        """Nothing of the agent was heard for so long. Told before `caller_said`, it makes a "hello?" a sign."""
        self._waited_ms = silence_ms

    def _signs(self, text: str, said: str, expected: Expected, now_us: int) -> float:
        score = 0.0
        if any(words.hello.search(said) for words in self._languages):
            # The first one answers the greeting, and one to "are you still there?" answers that.
            unprompted = self._has_spoken and expected is Expected.ANYTHING
            silent_ms = _SILENT_AFTER_YES_OR_NO_MS if expected is Expected.YES_OR_NO else _SILENT_MS
            score += _SIGN if unprompted or self._waited_ms >= silent_ms else 0.0
        elif self._is_repeated(text, said, expected, now_us):
            score += _SIGN
        if any(words.told_you.search(said) for words in self._languages):
            score += _SIGN
        if any(words.swearing.search(said) for words in self._languages):
            score += _SWEARING
        if self._wants_person(said):
            score += _PERSON_AGAIN if self._asked_for_person else 0.0
            self._asked_for_person = True
        return score

    def _is_repeated(self, text: str, said: str, expected: Expected, now_us: int) -> bool:
        words = said.split()
        if len(words) < _QUESTION_WORDS or (expected is not Expected.ANYTHING and not text.rstrip().endswith("?")):
            return False  # what was asked for may be said again: a number, a name
        return any(now_us - at_us <= _REPEATED_WITHIN_US and _same(words, before) for at_us, before in self._turns)

    def _wants_person(self, said: str) -> bool:
        alone = len(said.split()) <= _PERSON_WORDS_ALONE
        return any(words.person.search(said) or (alone and words.person_word.search(said)) for words in self._languages)

    def _add(self, signs: float) -> None:
        if self._enabled:
            self._score += signs
            self._impatient = self._impatient or self._score >= _SIGN

    def _calm_down(self) -> None:
        self._score = max(0.0, self._score - _CALM_TURN)
        self._impatient = self._impatient and self._score > 0

    def _treatment(self) -> Level:
        if not self._may_offer or self._score < self._offer_after:
            return self.level
        self._may_offer = False
        return Level.OFFER_PERSON


def _same(one: list[str], other: list[str]) -> bool:
    """The same but for recognition's slips: every word that carries something has its like on the other side.

    A ratio over the whole sentence would call "on Saturday" and "on Sunday" the same question.
    """
    if not 0.7 <= len(one) / len(other) <= 1.4:
        return False
    return (
        fuzz.token_sort_ratio(" ".join(one), " ".join(other)) >= _ALIKE
        and _covered(one, other)
        and _covered(other, one)
    )


def _covered(words: list[str], by: list[str]) -> bool:
    telling = [word for word in words if len(word) > 3 or any(one.isdigit() for one in word)]
    return all(any(fuzz.ratio(word, like) >= _ALIKE for like in by) for word in telling)
