"""Other people on the line: what of a call reaches the turn machine while the caller talks with them.

Pure, as the machine. While the agent only listens nothing that is said asks for an answer; when the caller is alone
again, the agent is there.
"""

from dataclasses import dataclass

from services.brain.turn import TurnMachine
from services.brain.turn_events import (
    Audible,
    Event,
    HoldChanged,
    HungUp,
    Output,
    ReplyBegan,
    ReplyDone,
    Say,
    Silenced,
    StopSpeaking,
    TakenOver,
    TransferBegan,
    TransferReturned,
)
from services.brain.turn_state import State
from tandem.v1.brain_pb2 import BridgeChanged
from tandem.v1.call_pb2 import BRIDGED_AI_COACHES, BRIDGED_AI_SPEAKS


@dataclass(frozen=True, slots=True)
class Bridged:
    """The caller talks with other people, or is on hold; `speaks`: the agent takes part."""

    speaks: bool


@dataclass(frozen=True, slots=True)
class Unbridged:
    """The caller is alone with the agent again."""


CompanyEvent = Event | Bridged | Unbridged


def bridge_event(change: BridgeChanged) -> Bridged | Unbridged:
    """What the gateway tells, for `Company`."""
    if not change.HasField("joined"):
        return Unbridged()
    return Bridged(change.joined.ai in (BRIDGED_AI_SPEAKS, BRIDGED_AI_COACHES))


class Company:
    """Stands before the machine of one call: events go in by `handle`; timers are the machine's own."""

    def __init__(self, machine: TurnMachine) -> None:
        self._machine = machine
        self._bridged = False
        self._silent = False
        self._on_hold = False
        self._handing_over = False
        """While silent: a transfer's outcome is still to come, and its reply waits for it."""

    def handle(self, event: CompanyEvent, now_us: int) -> list[Output]:
        """What follows from one event."""
        machine = self._machine
        if machine.state is State.ENDED:
            return []
        match event:
            case Bridged():
                return self._joined(event.speaks, now_us)
            case Unbridged():
                return self._alone(now_us)
            case HoldChanged():
                self._on_hold = event.on_hold
                return self._unprompted(now_us)
        if not self._silent or isinstance(event, HungUp):
            return machine.handle(event, now_us)
        match event:
            case TransferBegan():
                self._handing_over = True
            case TransferReturned() | ReplyDone():
                self._handing_over = False
            case Audible() if not self._handing_over:
                return [StopSpeaking()]
        return []

    def _joined(self, speaks: bool, now_us: int) -> list[Output]:
        self._bridged = True
        out = self._unprompted(now_us)
        if speaks:
            return out + self._speak_again(TakenOver(), now_us)
        if self._silent:
            return out
        transferring = self._machine.state is State.TRANSFERRING
        # Once a transfer went through the machine waits for our leg to end; before that it waits for nothing.
        self._handing_over = transferring and self._machine.next_deadline() is None
        self._silent = True
        silenced = self._machine.handle(Silenced(), now_us)
        # Of a transfer nothing is being said, and its reply is not to be stopped.
        return out if transferring else out + silenced

    def _alone(self, now_us: int) -> list[Output]:
        self._bridged = False
        out = self._unprompted(now_us)
        if not self._silent:
            return out
        out += self._speak_again(ReplyBegan(), now_us)
        # The caller hears at once that somebody is there.
        return out if self._machine.state is State.TRANSFERRING else [*out, Say.STILL_THERE]

    def _speak_again(self, event: Event, now_us: int) -> list[Output]:
        """The machine gets what is said again, and begins with `event`."""
        if not self._silent:
            return []
        self._silent = False
        return self._machine.handle(TransferBegan() if self._handing_over else event, now_us)

    def _unprompted(self, now_us: int) -> list[Output]:
        """Who is on hold, or talks with others, is not asked whether they are still there."""
        return self._machine.handle(HoldChanged(self._on_hold or self._bridged), now_us)
