"""The turn machine where things go wrong: ears that are lost, calls on hold, digits between words."""

from services.brain.turn_events import (
    Audible,
    Digit,
    HangUp,
    HearingLost,
    HoldChanged,
    Ignored,
    Pause,
    Played,
    Release,
    ReplyDone,
    Resume,
    Say,
    StopSpeaking,
    TakenOver,
    TransferBegan,
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


def test_an_apology_due_while_the_caller_makes_a_sound_waits_until_it_is_clear() -> None:
    machine = a_machine()
    play(
        machine,
        [
            *GREETING,
            *QUESTION,
            (5450, None, [Say.FILLER]),
            (11450, None, [Say.FILLER]),
            (17450, None, [Say.FILLER]),
            (19500, start(19400, 2), []),
            (19800, stop(19600, 2), []),
            (20000, None, []),
            (20100, words("", 2), [Ignored()]),
            (21000, None, [Say.FILLER]),
        ],
    )
    assert StopSpeaking() in run_to(machine, 35100)


def test_a_filler_that_ended_in_doubt_is_still_followed_by_an_answer_or_an_apology() -> None:
    machine = a_machine()
    play(
        machine,
        [
            *GREETING,
            *QUESTION,
            (5450, None, [Say.FILLER]),
            (5500, Audible(2), [Release(2)]),
            (6000, start(5900, 2), [Pause()]),
            (6001, Played(2), []),
            (6300, stop(6100, 2), []),
            (6400, words("", 2), [Ignored()]),
        ],
    )
    assert run_to(machine, 21400)[-2:] == [StopSpeaking(), Say.TROUBLE]


def test_ears_lost_in_the_middle_of_speech_do_not_stall_the_call() -> None:
    machine = a_machine()
    play(machine, [*GREETING, (3000, start(2900), []), (3500, HearingLost(), []), (6500, None, [Ignored()])])
    assert machine.state is State.LISTENING


def test_what_was_understood_before_the_ears_were_lost_is_answered() -> None:
    play(
        a_machine(),
        [
            *GREETING,
            (3000, start(2900), []),
            (4200, stop(4000), []),
            (4300, words("Do you open", 1), []),
            (4350, start(4250, 2), []),
            (4400, HearingLost(), []),
            (7400, None, [respond("Do you open", 2900, 4000)]),
        ],
    )


def test_speech_heard_again_after_the_ears_were_lost_is_waited_for_no_longer_than_any() -> None:
    play(
        a_machine(),
        [
            *GREETING,
            (3000, start(2900), []),
            (3500, HearingLost(), []),
            (3900, start(2900, 1_000_001), []),
            (4200, stop(4000, 1_000_001), []),
            (4350, words("Hi.", 1_000_001), []),
            (4550, None, [respond("Hi.", 2900, 4000)]),
        ],
    )


def test_ears_lost_over_the_agent_let_it_go_on() -> None:
    machine = a_machine()
    play(
        machine,
        [
            *GREETING,
            *QUESTION,
            *ANSWER,
            (5100, start(5000), [Pause()]),
            (5200, HearingLost(), []),
            (8200, None, [Ignored(), Resume()]),
        ],
    )
    assert machine.state is State.SPEAKING


def test_digits_pressed_after_words_belong_to_the_turn() -> None:
    machine = a_machine()
    play(
        machine,
        [
            *GREETING,
            (3000, start(2900), []),
            (4200, stop(4000), []),
            (4250, words("My code is five."), []),
            (4300, Digit("7"), []),
            (4550, None, [respond("My code is five. 7", 2900, 4000)]),
            (4600, Audible(2), [Release(2)]),
            (4601, ReplyDone(), []),
            (7000, Played(2), []),
            (8000, Digit("1"), []),
            (8100, Digit("#"), [respond("1", 8000, 8100)]),
        ],
    )


def test_digits_complete_while_the_caller_speaks_wait_for_the_words() -> None:
    play(
        a_machine(),
        [
            *GREETING,
            (3000, Digit("7"), []),
            (3100, start(3050), []),
            (6000, stop(5800), []),
            (6100, words("That is it."), []),
            (6350, None, [respond("That is it. 7", 3050, 5800)]),
        ],
    )


def test_digits_with_a_cough_are_still_a_turn() -> None:
    play(
        a_machine(),
        [
            *GREETING,
            (3000, Digit("7"), []),
            (3100, start(3050), []),
            (3400, stop(3200), []),
            (3500, words(""), [Ignored()]),
            (6000, None, [respond("7", 3000, 6000)]),
        ],
    )


def test_nobody_is_asked_whether_they_are_there_while_the_call_is_held() -> None:
    machine = a_machine()
    play(
        machine,
        [
            *GREETING,
            (3000, HoldChanged(True), []),
            (60000, None, []),
            (61000, HoldChanged(False), []),
            (69000, None, [Say.STILL_THERE]),
        ],
    )


def test_an_answer_that_ends_on_hold_is_not_followed_by_prompts() -> None:
    play(
        a_machine(),
        [*GREETING, *QUESTION, *ANSWER, (5000, HoldChanged(True), []), (7000, Played(2), []), (60000, None, [])],
    )


def test_a_call_taken_over_in_silence_is_not_silent_for_ever() -> None:
    play(a_machine(), [(60000, TakenOver(), []), (68000, None, [Say.STILL_THERE])])


def test_a_leg_that_a_finished_transfer_left_behind_is_hung_up() -> None:
    machine = a_machine()
    play(
        machine,
        [*GREETING, *QUESTION, (4600, TransferBegan(), []), (9000, ReplyDone(), []), (14000, None, [HangUp()])],
    )
    assert machine.state is State.ENDED
