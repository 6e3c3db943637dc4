"""Which words over the agent's speech interrupt it."""

import pytest

from services.brain.barge_in import OverAgent, interrupts, surely_interrupts
from services.brain.question import Expected
from services.brain.turn_events import Ignored, Partial, Pause, Played, Resume, StopSpeaking, Transcript
from services.brain.turn_profile import PROFILES, Situation
from tests.unit.brain.turn_tables import ANSWER, GREETING, QUESTION, Row, a_machine, play, respond, start, stop


def stops(
    text: str,
    confidence: float,
    speech_ms: int | None,
    situation: Situation = Situation.SPEAKING,
    expected: Expected = Expected.ANYTHING,
) -> bool:
    return interrupts(OverAgent(text, confidence, speech_ms), "en", PROFILES[situation], expected)


@pytest.mark.parametrize(
    ("text", "confidence", "speech_ms", "stopped"),
    [
        ("Garry.", 0.5, 400, False),
        ("Gary, it.", 0.45, 450, False),
        ("Wednesday.", 0.8, 400, True),
        ("Wednesday.", 0.5, 700, True),
        ("Stop.", 0.5, 300, True),
        ("No.", 0.45, 250, True),
        ("That's not what I said.", 0.5, 500, True),
        ("Got it.", 0.9, 400, False),
        ("", 0.9, 400, False),
    ],
)
def test_a_short_word_heard_badly_is_no_interruption(
    text: str, confidence: float, speech_ms: int, stopped: bool
) -> None:
    assert stops(text, confidence, speech_ms) is stopped


def test_an_answer_to_the_question_counts_however_short() -> None:
    assert stops("Ten.", 0.5, 300, expected=Expected.TIME)
    assert not stops("Ten.", 0.5, 300)


def test_a_short_word_heard_badly_goes_on_with_a_turn_whose_answer_is_not_heard_yet() -> None:
    play(
        a_machine(),
        [
            *GREETING,
            *QUESTION,
            (4560, start(4555, 2), []),
            (4900, stop(4800, 2), []),
            (5000, Transcript(2, "Today.", 0.45), [StopSpeaking()]),
        ],
    )


def test_words_so_far_must_be_clear_or_more_than_two() -> None:
    profile = PROFILES[Situation.SPEAKING]
    for text, confidence, stopped in (
        ("Yeah, but", 0.45, False),
        ("Yeah, but", 0.7, True),
        ("What about Wednesday", 0.45, True),
    ):
        assert surely_interrupts(OverAgent(text, confidence), "en", profile, Expected.ANYTHING) is stopped


def test_a_text_that_must_be_heard_is_not_interrupted() -> None:
    assert not stops("Stop.", 0.9, 500, Situation.LEGAL_TEXT)


def test_a_drawn_out_yeah_is_no_interruption_yet() -> None:
    """Noise behind it keeps the utterance open."""
    yeah: list[Row] = [
        *GREETING,
        *QUESTION,
        *ANSWER,
        (5100, start(5000, 2), [Pause()]),
        (5600, Partial(2, "Yeah", 0.9), []),
    ]
    play(a_machine(), [*yeah, (7300, None, []), (7500, None, [StopSpeaking()])])
    play(a_machine(), [*yeah, (6100, Partial(2, "Yeah, but when", 0.9), [StopSpeaking()])])


def test_a_word_that_was_heard_badly_is_answered_behind_the_agents_speech() -> None:
    play(
        a_machine(),
        [
            *GREETING,
            *QUESTION,
            *ANSWER,
            (5100, start(5000, 2), [Pause()]),
            (5600, stop(5400, 2), []),
            (5700, Transcript(2, "Garry.", 0.5), [Ignored(), Resume()]),
            (6000, Played(2), [respond("Garry.", 5000, 5400)]),
        ],
    )
