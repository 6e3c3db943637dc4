"""Is what the caller says over the agent an interruption? What the words say; how long it lasts is the machine's."""

from services.brain.backchannels import is_backchannel, takes_the_turn
from services.brain.endpoint import words_of
from services.brain.turn_profile import TurnProfile


def interrupts(text: str, language: str, profile: TurnProfile) -> bool:
    """All the words of an utterance, or of several: anything but "go on" is one."""
    return bool(profile.interruptible and text) and not is_backchannel(text, language)


def surely_interrupts(text: str, language: str, profile: TurnProfile) -> bool:
    """The words so far, of an utterance that goes on."""
    if not interrupts(text, language, profile):
        return False
    return len(words_of(text)) >= profile.barge_in_words or takes_the_turn(text, language)


def intelligible(text: str, confidence: float, profile: TurnProfile) -> str:
    """The words, or none: Whisper makes some of a hum over the agent's voice."""
    return text if confidence * 100 >= profile.interruption_confidence_pct else ""
