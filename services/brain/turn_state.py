"""What the turn machine keeps: its states and its timers."""

from dataclasses import dataclass, field
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
class Deadlines:
    """The timers that run, and the call time (microseconds) at which each is due."""

    due: dict[Timer, int] = field(default_factory=dict)

    def set(self, timer: Timer, at_us: int) -> None:
        self.due[timer] = at_us

    def cancel(self, *timers: Timer) -> None:
        for timer in timers:
            self.due.pop(timer, None)

    def clear(self) -> None:
        self.due.clear()

    @property
    def next_us(self) -> int | None:
        return min(self.due.values(), default=None)

    def pop_due(self, now_us: int) -> Timer | None:
        """The earliest one that is due by now, which then no longer runs."""
        first = min(self.due, key=self.due.__getitem__, default=None)
        if first is None or self.due[first] > now_us:
            return None
        del self.due[first]
        return first
