"""Is what the caller says over the agent an interruption? What the words say; how long it lasts is the machine's."""

from dataclasses import dataclass

from services.brain.backchannels import is_backchannel, takes_the_turn
from services.brain.question import Expected
from services.brain.slots import Filling, filling
from services.brain.turn_profile import TurnProfile
from services.brain.words import words_of

_FEW_WORDS = 2


@dataclass(frozen=True, slots=True)
class OverAgent:
    """What the caller said over the agent. `confidence`: 0 to 1, of the least certain utterance."""

    text: str
    confidence: float = 1.0
    speech_ms: int | None = None
    """None while it goes on"""


def interrupts(said: OverAgent, language: str, profile: TurnProfile, expected: Expected) -> bool:
    """All the words of an utterance, or of several: anything but "go on" is one."""
    if not (profile.interruptible and said.text) or is_backchannel(said.text, language):
        return False
    return not _perhaps_backchannel(said, language, profile, expected)


def surely_interrupts(said: OverAgent, language: str, profile: TurnProfile, expected: Expected) -> bool:
    """The words so far, of an utterance that goes on."""
    if not interrupts(said, language, profile, expected):
        return False
    return len(words_of(said.text)) >= profile.barge_in_words or takes_the_turn(said.text, language)


def _perhaps_backchannel(said: OverAgent, language: str, profile: TurnProfile, expected: Expected) -> bool:
    """Short, a word or two, and not heard well: "Garry." is a "got it". No answer to the question asked is one."""
    if said.confidence * 100 >= profile.short_words_confidence_pct or takes_the_turn(said.text, language):
        return False
    if said.speech_ms is not None and said.speech_ms >= profile.short_words_ms:
        return False
    return len(words_of(said.text)) <= _FEW_WORDS and filling(said.text, expected, language) is Filling.NONE


def intelligible(text: str, confidence: float, profile: TurnProfile) -> str:
    """The words, or none: Whisper makes some of a hum over the agent's voice."""
    return text if confidence * 100 >= profile.interruption_confidence_pct else ""
