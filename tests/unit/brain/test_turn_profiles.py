"""Each thing that the agent does has a patience of its own."""

import pytest

from services.brain.turn_events import (
    Audible,
    Ignored,
    Partial,
    Pause,
    Played,
    Release,
    ReplyBegan,
    ReplyDone,
    Resume,
    StopSpeaking,
)
from services.brain.turn_profile import PROFILES, Situation, with_changes
from tests.unit.brain.turn_tables import ANSWER, GREETING, QUESTION, a_machine, play, respond, start, stop, words

SPEAKING = [*GREETING, *QUESTION, *ANSWER]


def test_a_text_that_must_be_heard_is_read_to_its_end_and_then_the_caller_is_answered() -> None:
    no = respond("No, wait a moment.", 1000, 2000)
    play(
        a_machine(),
        [
            (0, ReplyBegan(Situation.LEGAL_TEXT), []),
            (30, Audible(1), [Release(1)]),
            (31, ReplyDone(), []),
            (1100, start(1000), []),
            (2300, stop(2000), []),
            (2500, words(no.text), [Ignored()]),
            (30000, Played(1), [no]),
        ],
    )


def test_the_greeting_yields_to_one_clear_word() -> None:
    greeting = [(0, ReplyBegan(Situation.GREETING), []), (30, Audible(1), [Release(1)]), (31, ReplyDone(), [])]
    play(a_machine(), [*greeting, (600, start(500), [Pause()]), (1000, Partial(1, "Appointment"), [StopSpeaking()])])


@pytest.mark.parametrize(
    ("text", "confidence", "expected"),
    [
        ("Can you", 0.9, [StopSpeaking()]),
        ("Wait", 0.9, [StopSpeaking()]),
        ("Appointment", 0.9, []),  # may be half a word of something else
        ("Okay", 0.9, []),
        ("Can you", 0.2, []),  # a hum
        ("", 0.0, []),
    ],
)
def test_words_so_far_decide_an_interruption_early(text: str, confidence: float, expected: list[StopSpeaking]) -> None:
    play(a_machine(), [*SPEAKING, (5100, start(5000, 2), [Pause()]), (5600, Partial(2, text, confidence), expected)])


def test_a_sound_without_words_may_last_longer() -> None:
    """A television, somebody else in the room: asr finds no words in it."""
    rows = [*SPEAKING, (5100, start(5000, 2), [Pause()]), (5700, Partial(2, "", 0.0), [])]
    play(a_machine(), [*rows, (6900, stop(6800, 2), []), (7100, words("", 2), [Ignored(), Resume()])])
    play(a_machine(), [*rows, (7399, None, []), (7400, None, [StopSpeaking()])])


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"shouting": {}}, "no turn profile 'shouting'"), ({"speaking": {"barge": 1}}, "'speaking' has no barge")],
)
def test_changes_to_what_does_not_exist_are_refused(changes: dict[str, dict[str, int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_changes(PROFILES, changes)
