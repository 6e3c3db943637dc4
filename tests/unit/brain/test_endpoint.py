"""The silence that ends a turn: what the words, the sound, the question and the caller's pauses make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.brain.endpoint import Evidence, silence_needed_ms
from services.brain.pauses import Pauses
from services.brain.question import Expected


def needed(
    text: str,
    expected: Expected = Expected.ANYTHING,
    sound: float | None = None,
    pauses: tuple[int, ...] = (),
    language: str = "en",
    digits: str = "",
    confidence: float = 1.0,
) -> int:
    caller = Pauses()
    for pause in pauses:
        caller.went_on(pause)
    return silence_needed_ms(Evidence(text, expected, sound, caller, language, digits, confidence))


@pytest.mark.parametrize(
    ("text", "expected", "over", "untold", "goes_on"),
    [
        ("Yes.", Expected.YES_OR_NO, 300, 360, 560),
        ("202 555 0142", Expected.PHONE, 300, 360, 560),
        ("Is it far?", Expected.ANYTHING, 340, 500, 780),
        ("I'd like an appointment, please.", Expected.ANYTHING, 340, 500, 780),
        ("My tooth hurts.", Expected.ANYTHING, 640, 720, 850),
        ("It's Kowalski.", Expected.NAME, 1060, 1080, 1150),
        ("Hello.", Expected.ANYTHING, 740, 800, 1080),
        ("I'd like an appointment.", Expected.ANYTHING, 740, 800, 1080),
        ("Next Tuesday.", Expected.DATE, 800, 900, 1100),
        ("202 555", Expected.PHONE, 1200, 1250, 1300),
        ("Kowalski, K-O-W", Expected.SPELLING, 1200, 1250, 1300),
        ("maria dot lopez", Expected.EMAIL, 1200, 1250, 1300),
        ("I'd like to come on", Expected.ANYTHING, 1250, 1300, 1400),
        ("Next Tuesday, um...", Expected.ANYTHING, 1250, 1300, 1400),
    ],
)
def test_silence_by_words_and_sound(text: str, expected: Expected, over: int, untold: int, goes_on: int) -> None:
    assert [needed(text, expected, sound) for sound in (0.95, None, 0.05)] == [over, untold, goes_on]


def test_a_sound_in_doubt_lies_between() -> None:
    assert 340 < needed("Is it far?", sound=0.5) < needed("Is it far?", sound=0.3) < 780


@pytest.mark.parametrize("sound", [0.99, None, 0.01])
@pytest.mark.parametrize("text", ["07700", "07700 900", "It's 020 7946", "zero seven seven double zero", "202 555"])
def test_agents_3701_phone_number_is_not_cut_off(text: str, sound: float | None) -> None:
    """The groups of a telephone number pause up to 0.9 s; asked for or not."""
    assert needed(text, Expected.PHONE, sound) >= 950
    assert needed(f"You can reach me at the number {text}", Expected.ANYTHING, sound) >= 950


@pytest.mark.parametrize("sound", [0.99, None, 0.01])
@pytest.mark.parametrize("text", ["maria", "maria dot lopez", "maria at", "maria at example", "maria at example dot"])
def test_agents_3701_email_is_not_cut_off(text: str, sound: float | None) -> None:
    assert needed(text, Expected.EMAIL, sound) >= 950


def test_a_sound_that_surely_goes_on_is_believed() -> None:
    """Nothing but a full answer ends on it."""
    assert needed("I'd like you.", sound=0.02) == needed("Is it far?", sound=0.02) == 1080
    assert needed("Yes.", Expected.YES_OR_NO, 0.02) == 560


def test_words_that_were_heard_badly_may_be_others() -> None:
    """ "Go harvesting it" was "well, the thing is"."""
    said = "Go harvesting it."
    assert [needed(said, sound=0.9, confidence=one) for one in (0.4, 0.48, 0.6)] == [980, 740, 640]
    assert needed("Cool off.", Expected.NAME, 0.9, confidence=0.4) == 980


def test_digits_are_heard_with_little_confidence_and_right() -> None:
    assert needed("202 555 0142", Expected.PHONE, 0.9, confidence=0.4) == 300


def test_keys_and_words_make_one_number() -> None:
    assert needed("It's 202", Expected.PHONE, 0.9) >= 950
    assert needed("It's 202", Expected.PHONE, 0.9, digits="5550142") == 300


def test_a_caller_who_pauses_long_gets_more_time() -> None:
    text = "Is it far?"
    slow = needed(text, sound=0.9, pauses=(900, 1100, 950, 1000, 1200))
    assert needed(text, sound=0.9) < slow <= 600
    assert needed("Yes.", Expected.YES_OR_NO, 0.9, (900, 1100, 950, 1000, 1200)) <= 420


def test_a_caller_without_pauses_is_answered_sooner() -> None:
    text = "I'd like to book."
    assert needed(text, pauses=(200,) * 16) < needed(text)


def test_the_language_of_the_call_counts() -> None:
    assert needed("Ich hätte gern einen", language="de-DE") == 1300
    assert needed("Je voudrais un rendez-vous pour", language="fr") == 1300


def test_a_language_that_is_not_known_is_waited_for_as_for_any_sentence() -> None:
    assert needed("Haluaisin varata ajan", language="fi") == 720


@given(
    st.text(max_size=60),
    st.sampled_from(list(Expected)),
    st.none() | st.floats(0, 1),
    st.lists(st.integers(-100, 10_000), max_size=30),
    st.sampled_from(["en", "en-GB", "de", "fr", "es", "it", "nl", "pt", "fi"]),
    st.text("0123456789*", max_size=20),
)
def test_bounds(
    text: str, expected: Expected, sound: float | None, pauses: list[int], language: str, digits: str
) -> None:
    assert 280 <= needed(text, expected, sound, tuple(pauses), language, digits) <= 1500


@given(st.text(max_size=40), st.sampled_from(list(Expected)), st.floats(0, 1), st.floats(0, 1))
def test_a_sound_that_is_more_over_never_waits_longer(text: str, expected: Expected, one: float, other: float) -> None:
    assert needed(text, expected, max(one, other)) <= needed(text, expected, min(one, other))


@pytest.mark.parametrize(
    ("text", "at_least", "at_most"),
    [("No, that's all.", 600, 700), ("No, that's all. Thank you, goodbye.", 280, 400), ("Das ist alles.", 600, 700)],
)
def test_who_is_done_is_given_time_to_say_goodbye(text: str, at_least: int, at_most: int) -> None:
    evidence = Evidence(text, Expected.YES_OR_NO, 0.9, Pauses())
    assert at_least <= silence_needed_ms(evidence) <= at_most
