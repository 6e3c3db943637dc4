"""The turn machine as tables: what happens, at which millisecond of call time, and what follows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.brain.turn_events import (
    Audible,
    Closing,
    Digit,
    Event,
    HangUp,
    HearingLost,
    HungUp,
    Ignored,
    Pause,
    Played,
    Release,
    ReplyBegan,
    ReplyDone,
    Respond,
    Resume,
    Say,
    SpeechStarted,
    SpeechStopped,
    StopSpeaking,
    TakenOver,
    Transcript,
    TransferBegan,
    TransferReturned,
)
from services.brain.turn_state import State
from tests.unit.brain.turn_tables import (
    ANSWER,
    GREETING,
    QUESTION,
    a_machine,
    play,
    respond,
    run_to,
    start,
    stop,
    words,
)


def test_simple_turn() -> None:
    machine = a_machine()
    play(machine, [*GREETING, *QUESTION, *ANSWER, (7000, Played(2), [])])
    assert machine.state is State.LISTENING


def test_transcript_later_than_the_silence_decides_at_once() -> None:
    play(
        a_machine(),
        [
            *GREETING,
            (3000, start(2900), []),
            (4200, stop(4000), []),
            (4900, words("Hi."), [respond("Hi.", 2900, 4000)]),
        ],
    )


def test_pause_inside_a_turn_joins_its_words() -> None:
    play(
        a_machine(),
        [
            *GREETING,
            (3000, start(2900), []),
            (4200, stop(4000), []),
            (4300, start(4250, 2), []),
            (4400, words("My number is"), []),
            (5600, stop(5400, 2), []),
            (5800, words("five five five.", 2), []),
            (5950, None, [respond("My number is five five five.", 2900, 5400)]),
        ],
    )


@pytest.mark.parametrize(("text", "silence_ms"), [("I'd like an appointment.", 550), ("I'd like to come on", 1200)])
def test_silence_that_ends_a_turn(text: str, silence_ms: int) -> None:
    play(
        a_machine(),
        [
            *GREETING,
            (3000, start(2900), []),
            (4200, stop(4000), []),
            (4250, words(text), []),
            (4000 + silence_ms - 1, None, []),
            (4000 + silence_ms, None, [respond(text, 2900, 4000)]),
        ],
    )


def test_speech_without_words_is_answered() -> None:
    """pipecat#5240: VAD fires and ASR is empty."""
    heard = [*GREETING, (3000, start(2900), []), (4200, stop(3500), []), (4300, words(""), [])]
    play(a_machine(), [*heard, (4600, None, [Say.MISSED])])
    on = [(4400, start(4350, 2), []), (5200, stop(5000, 2), []), (5300, words("What are your opening hours?", 2), [])]
    play(a_machine(), [*heard, *on, (5600, None, [respond("What are your opening hours?", 2900, 5000)])])


def test_a_cough_is_not_answered() -> None:
    machine = a_machine()
    play(machine, [*GREETING, (3000, start(2900), []), (3300, stop(3100), []), (3400, words(""), [Ignored()])])
    assert machine.state is State.LISTENING


def test_a_transcript_that_never_comes_is_waited_for_a_bounded_time() -> None:
    play(a_machine(), [*GREETING, (3000, start(2900), []), (4200, stop(4000), []), (7200, None, [Say.MISSED])])


def test_interruption_by_words() -> None:
    play(
        a_machine(),
        [
            *GREETING,
            *QUESTION,
            *ANSWER,
            (5100, start(5000), [Pause()]),
            (5600, stop(5400), []),
            (5700, words("No, wait."), [StopSpeaking()]),
            (5950, None, [respond("No, wait.", 5000, 5400)]),
        ],
    )


def test_long_speech_interrupts_before_its_words_are_known() -> None:
    machine = a_machine()
    play(machine, [*GREETING, *QUESTION, *ANSWER, (5100, start(5000), [Pause()]), (6200, None, [StopSpeaking()])])
    assert machine.state is State.HEARING
    play(
        machine,
        [
            (7000, stop(6800), []),
            (7200, words("Actually I want to book."), []),
            (7350, None, [respond("Actually I want to book.", 5000, 6800)]),
        ],
    )


@pytest.mark.parametrize("text", ["", "Mm-hm.", "Okay.", "Uh-huh, yeah.", "I see."])
def test_backchannels_and_coughs_do_not_interrupt(text: str) -> None:
    """agents#1229, AVA#467: mute after a cough."""
    machine = a_machine()
    play(
        machine,
        [
            *GREETING,
            *QUESTION,
            *ANSWER,
            (5100, start(5000), [Pause()]),
            (5500, stop(5300), []),
            (5600, words(text), [Ignored(), Resume()]),
            (9000, Played(2), []),
        ],
    )
    assert machine.state is State.LISTENING


def test_a_hum_that_became_words_does_not_interrupt() -> None:
    """Whisper hears "We're hammer" in a hummed "mm-hm", and is not sure."""
    play(
        a_machine(),
        [
            *GREETING,
            *QUESTION,
            *ANSWER,
            (5100, start(5000), [Pause()]),
            (5900, stop(5700), []),
            (6000, Transcript(1, "We're hammer.", 0.36), [Ignored(), Resume()]),
        ],
    )


def test_yes_over_the_last_words_is_an_answer() -> None:
    play(
        a_machine(),
        [
            *GREETING,
            *QUESTION,
            *ANSWER,
            (5100, start(5000), [Pause()]),
            (5500, stop(5300), []),
            (5600, words("Yes."), [Ignored(), Resume()]),
            (5900, Played(2), [respond("Yes.", 5000, 5300)]),
        ],
    )


def test_caller_goes_on_before_the_answer_is_heard() -> None:
    machine = a_machine()
    play(
        machine,
        [
            *GREETING,
            *QUESTION,
            (4700, start(4650, 2), []),
            (4750, Audible(2), []),
            (5400, stop(5200, 2), []),
            (5500, words("On Saturday.", 2), [StopSpeaking()]),
        ],
    )
    text = "What are your opening hours? On Saturday."
    assert run_to(machine, 5750) == [Respond(text, "On Saturday.", 2900_000, 5200_000, amends=True)]


def test_a_question_is_answered_though_noise_broke_into_the_making_of_the_answer() -> None:
    question = "What are your opening hours?"
    play(
        a_machine(),
        [
            *GREETING,
            *QUESTION,
            (4700, start(4650, 2), []),
            (5450, None, [StopSpeaking()]),
            (6500, stop(6300, 2), []),
            (6600, words("", 2), [Respond(question, "", 2900_000, 4000_000, amends=True)]),
        ],
    )


def test_a_sound_while_thinking_holds_the_answer_back_only_until_it_is_clear() -> None:
    play(
        a_machine(),
        [
            *GREETING,
            *QUESTION,
            (4700, start(4650, 2), []),
            (4750, Audible(2), []),
            (5000, stop(4900, 2), []),
            (5100, words("", 2), [Ignored(), Release(2)]),
        ],
    )


def test_slow_answer_is_bridged_by_fillers_and_then_apologised_for() -> None:
    machine = a_machine()
    play(machine, [*GREETING, *QUESTION, (5450, None, [Say.FILLER]), (5500, Audible(2), [Release(2)])])
    play(
        machine,
        [(6500, Played(2), []), (12500, None, [Say.FILLER]), (21500, None, [Say.FILLER, StopSpeaking(), Say.TROUBLE])],
    )


def test_silent_caller_is_asked_and_then_let_go() -> None:
    machine = a_machine()
    play(machine, [*GREETING, (10000, None, [Say.STILL_THERE])])
    play(machine, [(10050, Audible(2), [Release(2)]), (10051, ReplyDone(), []), (11000, Played(2), [])])
    play(machine, [(19000, None, [Say.STILL_THERE]), (19050, Audible(3), [Release(3)]), (19051, ReplyDone(), [])])
    play(machine, [(20000, Played(3), []), (28000, None, [Say.GOODBYE]), (28050, Audible(4), [Release(4)])])
    play(machine, [(28051, ReplyDone(), []), (30000, Played(4), [HangUp()])])
    assert machine.state is State.ENDED


def test_goodbye_hangs_up_when_it_was_heard() -> None:
    play(a_machine(), [*GREETING, *QUESTION, (4580, Closing(), []), *ANSWER, (6000, Played(2), [HangUp()])])


def test_a_wish_after_goodbye_keeps_the_call() -> None:
    machine = a_machine()
    play(
        machine,
        [
            *GREETING,
            *QUESTION,
            (4580, Closing(), []),
            *ANSWER,
            (5100, start(5000), [Pause()]),
            (5600, stop(5400), []),
            (5700, words("One more question."), [StopSpeaking()]),
            (5950, None, [respond("One more question.", 5000, 5400)]),
            (6000, Audible(3), [Release(3)]),
            (6001, ReplyDone(), []),
            (8000, Played(3), []),
        ],
    )
    assert machine.state is State.LISTENING


def test_digits_are_a_turn() -> None:
    """pipecat#4436: DTMF reaches the dialogue."""
    play(
        a_machine(),
        [
            *GREETING,
            (3000, Digit("5"), []),
            (3500, Digit("5"), []),
            (4000, Digit("1"), []),
            (6500, None, [respond("551", 3000, 6500)]),
        ],
    )


def test_hash_ends_digits_and_digits_interrupt() -> None:
    play(
        a_machine(),
        [
            *GREETING,
            *QUESTION,
            *ANSWER,
            (5000, Digit("0"), [StopSpeaking()]),
            (5200, Digit("#"), [respond("0", 5000, 5200)]),
        ],
    )


def test_nothing_is_said_or_heard_while_transferring() -> None:
    play(
        a_machine(),
        [
            *GREETING,
            *QUESTION,
            (4600, TransferBegan(), []),
            (6000, start(5900), []),
            (6500, stop(6400), []),
            (6600, words("Hello?"), []),
            (30000, TransferReturned(), []),
            (30050, Audible(3), [Release(3)]),
            (30051, ReplyDone(), []),
            (32000, Played(3), []),
        ],
    )


def test_nothing_follows_a_hang_up() -> None:
    machine = a_machine()
    play(machine, [*GREETING, *QUESTION, (4600, HungUp(), []), (4700, Audible(2), []), (60000, None, [])])
    assert machine.next_deadline() is None


_EVENTS = st.one_of(
    st.builds(lambda n, t: ("start", n, t), st.integers(1, 4), st.integers(0, 100)),
    st.builds(lambda n, t: ("stop", n, t), st.integers(1, 4), st.integers(0, 100)),
    st.builds(lambda n, t: ("words", n, t), st.integers(1, 4), st.sampled_from(["", "Yes.", "book an appointment"])),
    st.builds(lambda n: ("audible", n, 0), st.integers(1, 5)),
    st.builds(lambda n: ("played", n, 0), st.integers(1, 5)),
    st.sampled_from([(kind, 0, 0) for kind in ("done", "began", "closing", "digit", "away", "back", "lost", "taken")]),
)


def _event(kind: str, number: int, at_us: int, text: str) -> Event:
    events: dict[str, Event] = {
        "start": SpeechStarted(number, at_us),
        "stop": SpeechStopped(number, at_us),
        "words": Transcript(number, text),
        "audible": Audible(number),
        "played": Played(number),
        "done": ReplyDone(),
        "began": ReplyBegan(),
        "closing": Closing(),
        "digit": Digit("1"),
        "away": TransferBegan(),
        "back": TransferReturned(),
        "lost": HearingLost(),
        "taken": TakenOver(),
    }
    return events[kind]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3000), _EVENTS), max_size=60))
def test_the_machine_never_stalls(steps: list[tuple[int, tuple[str, int, object]]]) -> None:
    """Whatever comes in whatever order: no error, and unless the call is over somebody has a timer running."""
    machine, now_ms = a_machine(), 0
    machine.handle(ReplyBegan(), 0)
    for pause_ms, (kind, number, value) in steps:
        now_ms += pause_ms
        run_to(machine, now_ms)
        event = _event(kind, number, now_ms * 1000, str(value))
        machine.handle(event, now_ms * 1000)
        waits_for_others = machine.state in (State.ENDED, State.TRANSFERRING, State.SPEAKING, State.HEARING)
        assert waits_for_others or machine.next_deadline() is not None, machine.state
