"""What the turn machine keeps: its states, its timers, what the caller has said so far."""

from dataclasses import dataclass
from enum import Enum, auto


class State(Enum):
    """Whose turn it is."""

    LISTENING = auto()  # nobody speaks; the caller has the turn
    HEARING = auto()  # the caller speaks
    ENDPOINTING = auto()  # the caller stopped: for good?
    THINKING = auto()  # the caller's turn is over, the answer is not audible yet
    SPEAKING = auto()  # the agent is heard
    DOUBTING = auto()  # the caller made a sound while it was not their turn; the agent is silent until it is clear
    TRANSFERRING = auto()  # the call is being moved to a person, or the caller talks with one
    ENDED = auto()


class Timer(Enum):
    """What the machine waits for at most so long."""

    ENDPOINT = auto()
    FINAL_OVERDUE = auto()
    BARGE_IN = auto()
    FILLER = auto()
    REPLY_OVERDUE = auto()
    SILENCE = auto()
    DIGITS = auto()
    LEFT_BEHIND = auto()


@dataclass(slots=True)
class CallerUtterance:
    """What the caller said between two silences; None for what is not known yet."""

    started_us: int
    stopped_us: int | None = None
    text: str | None = None
