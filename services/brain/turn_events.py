"""What goes into the turn machine and what comes out of it. Times are call times in microseconds."""

from dataclasses import dataclass, field
from enum import Enum, auto

from services.brain.turn_profile import Situation

# Events.


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    utterance: int
    at_us: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    utterance: int
    at_us: int


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words of an utterance, empty for none, and how sure recognition is of them (0 to 1)."""

    utterance: int
    text: str
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Partial:
    """Words of an utterance that may go on."""

    utterance: int
    text: str
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class EndLikely:
    """What the sound says: that the caller has finished with the speech up to `at_us`, 0 to 1."""

    utterance: int
    at_us: int
    probability: float


@dataclass(frozen=True, slots=True)
class Digit:
    digit: str


@dataclass(frozen=True, slots=True)
class Audible:
    """Agent audio of this utterance is ready to be released."""

    utterance_id: int


@dataclass(frozen=True, slots=True)
class Played:
    """The caller heard the last of this utterance, or it was stopped."""

    utterance_id: int


@dataclass(frozen=True, slots=True)
class ReplyBegan:
    """The agent speaks by itself: greeting, a text that must be heard, going on after a transfer came back."""

    situation: Situation = Situation.SPEAKING


@dataclass(frozen=True, slots=True)
class ReplyDone:
    """Nothing more will be said in this reply."""


@dataclass(frozen=True, slots=True)
class Closing:
    """The reply in hand is the last: hang up when it was heard."""


@dataclass(frozen=True, slots=True)
class TransferBegan:
    pass


@dataclass(frozen=True, slots=True)
class TransferReturned:
    pass


@dataclass(frozen=True, slots=True)
class HearingLost:
    """asr is gone: what has no words yet is heard again by another one, as a new utterance, or never."""


@dataclass(frozen=True, slots=True)
class HoldChanged:
    """The caller's side put the call on hold, or took it back."""

    on_hold: bool


@dataclass(frozen=True, slots=True)
class Silenced:
    """Nothing is to be said until the caller is back."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Another brain had the call; it is the caller's turn."""


@dataclass(frozen=True, slots=True)
class HungUp:
    pass


Event = (
    SpeechStarted
    | SpeechStopped
    | Transcript
    | Partial
    | EndLikely
    | Digit
    | Audible
    | Played
    | ReplyBegan
    | ReplyDone
    | Closing
    | TransferBegan
    | TransferReturned
    | HearingLost
    | HoldChanged
    | Silenced
    | TakenOver
    | HungUp
)

# Outputs.

OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Respond:
    """The caller's turn is over: answer `text`.

    With `amends` the caller went on before any of the last answer was heard: `text` holds those words too, `added` the
    new ones alone.
    """

    text: str
    added: str
    started_us: int
    stopped_us: int
    amends: bool = False
    keyed: bool = False
    """`text` are keys."""
    why: str = field(default="", compare=False)
    """What ended the turn: a value of voice.endpointing.why. Two turns of the same words are the same."""


@dataclass(frozen=True, slots=True)
class Speculate:
    """The turn is probably over: make its answer, release nothing. The same turn as Respond, or Discard, follows."""

    turn: Respond


@dataclass(frozen=True, slots=True)
class Discard:
    """The turn was not over: what was made for it never was."""


class Say(Enum):
    """Sentences of the agent's own that no model is asked for."""

    MISSED = auto()
    FILLER = auto()
    STILL_THERE = auto()
    GOODBYE = auto()
    TROUBLE = auto()


@dataclass(frozen=True, slots=True)
class Release:
    utterance_id: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence now; the position is kept."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on from a word boundary."""


@dataclass(frozen=True, slots=True)
class StopSpeaking:
    """The caller took the turn: forget what was not heard, and stop making more of it."""

    why: str = field(default="", compare=False)
    """By what the interruption was known: a value of voice.barge_in.why. OVERDUE: no answer came in time."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """What the caller's side made was no turn: a cough, a click, an "mm-hm"."""

    why: str = field(default="", compare=False)
    """By what that was known, where it was over the agent: a value of voice.barge_in.why."""


@dataclass(frozen=True, slots=True)
class HangUp:
    pass


Output = Respond | Speculate | Discard | Say | Release | Pause | Resume | StopSpeaking | Ignored | HangUp
