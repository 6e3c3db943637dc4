"""Is what the caller says over the agent an interruption? What the words say; how long it lasts is the machine's."""

from dataclasses import dataclass

from services.brain.backchannels import is_backchannel, takes_the_turn
from services.brain.caller_turn import CallerTurn
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


def words_to_come(caller: CallerTurn, language: str, profile: TurnProfile) -> int:
    """Call time up to which a long sound over the agent is waited for, for it may be none of the caller's; 0 when its
    words are an interruption, or are not known."""
    words = caller.words_so_far()
    if words is None or not is_backchannel(words, language):
        return 0
    return max(one.started_us for one in caller.utterances.values()) + profile.barge_in_wordless_ms * 1000


def settled(
    caller: CallerTurn, playing: bool, language: str, profile: TurnProfile, expected: Expected
) -> tuple[bool, str] | None:
    """Whether the caller's sound over the agent was an interruption, and by what that is known; None while it is not.

    `playing`: the agent is heard, or paused.
    """
    text = caller.text
    # Before any of the answer is heard, a short word goes on with the turn.
    said = OverAgent(text, caller.confidence if playing else 1.0, caller.speech_us // 1000)
    if interrupts(said, language, profile, expected):
        return True, "words"
    if not caller.understood:
        return None
    if not text:
        return False, "no words"
    return False, "backchannel" if profile.interruptible else "read in full"


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
