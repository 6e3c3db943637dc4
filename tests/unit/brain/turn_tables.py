"""Tables for the turn machine: what happens, at which millisecond of call time, and what follows."""

from collections.abc import Callable

from services.brain.endpoint import Evidence
from services.brain.turn import TurnMachine
from services.brain.turn_events import (
    Audible,
    Event,
    Output,
    Played,
    Release,
    ReplyBegan,
    ReplyDone,
    Respond,
    SpeechStarted,
    SpeechStopped,
    Transcript,
)
from services.brain.turn_profile import PROFILES, Situation, with_changes

Row = tuple[int, Event | None, list[Output]]


def silence_by_last_word(evidence: Evidence) -> int:
    """550 ms; 1200 behind a word with which nothing ends. The real rules have tests of their own (test_endpoint.py)."""
    return 1200 if evidence.text.endswith((" is", " and", " on", "...")) else 550


def a_machine(
    silence_needed: Callable[[Evidence], int] = silence_by_last_word, speculations: int = 0, **changes: dict[str, int]
) -> TurnMachine:
    """A machine whose silences are easy to reckon with; it does not speculate unless told to. `changes` by profile."""
    quiet = with_changes(PROFILES, {situation: {"speculations": speculations} for situation in Situation})
    return TurnMachine(with_changes(quiet, changes), silence_needed=silence_needed)


def start(ms: int, utterance: int = 1) -> SpeechStarted:
    return SpeechStarted(utterance, ms * 1000)


def stop(ms: int, utterance: int = 1) -> SpeechStopped:
    return SpeechStopped(utterance, ms * 1000)


def words(text: str, utterance: int = 1) -> Transcript:
    return Transcript(utterance, text)


def respond(text: str, started: int, stopped: int) -> Respond:
    return Respond(text, text, started * 1000, stopped * 1000, keyed=text.isdecimal())


def play(machine: TurnMachine, rows: list[Row]) -> None:
    """Feeds (ms, event or None for "time passes", expected outputs); timers run when their time has come."""
    for ms, event, expected in rows:
        outputs = run_to(machine, ms)
        if event is not None:
            outputs += machine.handle(event, ms * 1000)
        assert outputs == expected, f"at {ms} ms"


def run_to(machine: TurnMachine, ms: int) -> list[Output]:
    outputs: list[Output] = []
    while (deadline := machine.next_deadline()) is not None and deadline <= ms * 1000:
        outputs += machine.expire(deadline)
    return outputs


GREETING: list[Row] = [
    (0, ReplyBegan(), []),
    (30, Audible(1), [Release(1)]),
    (31, ReplyDone(), []),
    (2000, Played(1), []),
]
QUESTION: list[Row] = [
    (3000, start(2900), []),
    (4200, stop(4000), []),
    (4350, words("What are your opening hours?"), []),
    (4550, None, [respond("What are your opening hours?", 2900, 4000)]),
]
ANSWER: list[Row] = [
    (4600, Audible(2), [Release(2)]),
    (4601, ReplyDone(), []),
]
