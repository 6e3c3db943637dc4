"""The language of a call: the one its agent names, or what the first utterances are heard to be in. Pure."""

from typing import Protocol

AUTO = "auto"
MOST_TRIES = 3
"""Utterances that may leave it open; then the call is held in the default."""


class Heard(Protocol):
    """A transcript: `language` is what it was decoded in, the probability is 0 where nothing was detected."""

    @property
    def text(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def language_probability(self) -> float: ...


class CallLanguage:
    """`now` is what the next pass is to be told: an ISO 639-1 code, or "auto" while the language is open."""

    def __init__(self, wanted: str, default: str, least_probability: float) -> None:
        """`wanted`: a code, or "auto"; `default`: a code, for a call that stays undecided."""
        self.now = wanted
        self._default = default
        self._least_probability = least_probability
        self._tries = 0

    @property
    def named(self) -> str:
        """A code even while the language is open."""
        return self._default if self.now == AUTO else self.now

    def heard(self, transcript: Heard) -> None:
        """A final came. Fixed for the call from the first one with words and a probability above the bound."""
        if self.now != AUTO or not transcript.text:
            return
        self._tries += 1
        if transcript.language_probability >= self._least_probability:
            self.now = transcript.language
        elif self._tries >= MOST_TRIES:
            self.now = self._default


def primary(language: str) -> str:
    """The primary subtag of a BCP 47 tag: "en" of "en-GB"."""
    return language.split("-")[0].lower()
