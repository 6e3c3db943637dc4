"""How patient the turn machine is, by what the agent is doing: the profiles of DESIGN §6, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from types import MappingProxyType


class Situation(StrEnum):
    """What the agent is doing when the caller makes a sound; the names of profiles in agent.yaml."""

    GREETING = "greeting"
    SPEAKING = "speaking"
    THINKING = "thinking"
    COLLECTING_DIGITS = "collecting_digits"
    LEGAL_TEXT = "legal_text"
    TRANSFERRING = "transferring"


@dataclass(frozen=True, slots=True)
class TurnProfile:
    """The machine's patience, in milliseconds of call time where nothing else is said."""

    # Silence at the first sound, until it is clear whether it is an interruption. 0 or 1.
    pause_at_speech: int = 1
    # Words over the agent are an interruption, or are answered when all was said. 0 or 1.
    interruptible: int = 1
    # Speech this long over the agent is an interruption whatever was said; backchannels and coughs are shorter, also
    # with the 0.3 s of silence after them that asr needs to tell. The agent is paused meanwhile.
    barge_in_after_ms: int = 1200
    # The same where a pass over it found no words: a television, somebody else in the room.
    barge_in_wordless_ms: int = 2400
    # Words that are no backchannel, before an utterance is over: one may be half of another word, or a hummed sound.
    barge_in_words: int = 2
    # Percent. Whisper makes words of a hummed "mm-hm" with 25 to 36, of clear words of a caller with 44 and more.
    interruption_confidence_pct: int = 40
    # A word or two in less speech than this, heard with less confidence (percent), are a backchannel misheard: on the
    # line "got it" is heard as "Garry." with 40 to 60.
    short_words_ms: int = 600
    short_words_confidence_pct: int = 60
    # A transcript normally takes 0.3 s; a caller waits no longer than this for one that does not come.
    final_overdue_ms: int = 3000
    # Answers made before the turn is surely over; each costs what an answer costs. 0: none.
    speculations: int = 2
    # Past this, after the decision, the gap is felt as dead air; answers of the default model come well before.
    filler_after_ms: int = 900
    filler_again_ms: int = 6000
    reply_overdue_ms: int = 15000
    silence_prompt_ms: int = 8000
    silence_prompts: int = 2
    # After a transfer went through the caller's side ends the call within a second.
    left_behind_ms: int = 5000
    digits_ms: int = 2500
    # Wordless sound shorter than this is a cough or a click, and not worth a "sorry, I missed that".
    missed_speech_ms: int = 400
    # Silence after such a sound before it is said: words that were not understood may go on like any others.
    missed_after_ms: int = 1000
    # "Yes" over the last words of a question is its answer, not a backchannel.
    late_answer_ms: int = 2000


Profiles = Mapping[Situation, TurnProfile]

_SPEAKING = TurnProfile()

PROFILES: Profiles = MappingProxyType(
    {
        Situation.SPEAKING: _SPEAKING,
        # Who rings often says "hello" into the greeting, and then what for; one clear word is enough to listen.
        Situation.GREETING: replace(_SPEAKING, barge_in_after_ms=900, barge_in_words=1),
        # Nothing is heard that could be paused. Who goes on has not finished the turn.
        Situation.THINKING: replace(_SPEAKING, pause_at_speech=0, barge_in_after_ms=800, barge_in_words=1),
        # Between keys people look at their card.
        Situation.COLLECTING_DIGITS: replace(_SPEAKING, silence_prompt_ms=12000),
        # To be read in full: what the caller says meanwhile is answered behind it, however long ago it was.
        Situation.LEGAL_TEXT: replace(_SPEAKING, pause_at_speech=0, interruptible=0, late_answer_ms=120_000),
        Situation.TRANSFERRING: _SPEAKING,
    }
)


def with_changes(profiles: Profiles, changes: Mapping[str, Mapping[str, int]]) -> Profiles:
    """`profiles` with fields set otherwise: {"speaking": {"barge_in_after_ms": 1000}}.

    Raises ValueError for a profile or a field that does not exist.
    """
    changed = dict(profiles)
    known = {one.name for one in fields(TurnProfile)}
    for name, values in changes.items():
        if name not in changed:
            raise ValueError(f"no turn profile {name!r}; there are {', '.join(PROFILES)}")
        if unknown := sorted(set(values) - known):
            raise ValueError(f"turn profile {name!r} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        changed[Situation(name)] = replace(changed[Situation(name)], **values)
    return MappingProxyType(changed)
