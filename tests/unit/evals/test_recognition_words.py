"""Counting words right and wrong: the normalisation, the error rate and its interval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.recognition import wer
from evals.recognition.normalisation import words


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("five five five zero one four two", "555-0142."),
        ("five five five, oh one nine nine", "555 0199"),
        ("ten of clubs", "10 of clubs"),
        ("two nine three four zero", "29340"),
        ("next Tuesday at ten thirty", "Next Tuesday at 10:30."),
        ("one thousand two hundred", "1,200"),
        ("ten a.m.", "10 AM"),
        ("the tenth of May", "The 10th of May"),
        ("the first one", "the 1st 1"),
        ("mister Dashwood", "Mr. Dashwood"),
        ("an ill-disposed man", "an ill disposed man"),
        ("Uh, well, okay", "Well, ok."),
        ("Mm-hm.", ""),
        ("That's right", "that’s right"),
        ("K, O, W, A", "K-O-W-A"),
        ("ten metres", "10 meters"),
    ],
)
def test_what_sounds_the_same_is_written_the_same(said: str, heard: str) -> None:
    assert words(said) == words(heard)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("seven of clubs", "7F clubs."),
        ("that's it", "that is it"),
        ("I'd like to", "I would like to"),
        ("five five", "five"),
        ("oh no", "no"),
        ("first", "fourth"),
    ],
)
def test_what_sounds_different_stays_different(said: str, heard: str) -> None:
    assert words(said) != words(heard)


def test_numbers_are_single_digits() -> None:
    assert words("At ten, two hundred and five people.") == ["at", "1", "0", "2", "0", "5", "people"]


@given(st.text(max_size=60))
def test_any_text_has_words_without_signs(text: str) -> None:
    assert all(word.isalnum() for word in words(text))


@pytest.mark.parametrize(
    ("said", "heard", "expected"),
    [
        ("a b c", "a b c", wer.Errors(3)),
        ("a b c", "a x c", wer.Errors(3, substituted=1)),
        ("a b c", "a c", wer.Errors(3, deleted=1)),
        ("a b c", "a b b c", wer.Errors(3, inserted=1)),
        ("a b c", "", wer.Errors(3, deleted=3)),
        ("", "a b", wer.Errors(0, inserted=2)),
        ("ill disposed", "ill deposed man", wer.Errors(2, substituted=1, inserted=1)),
    ],
)
def test_errors_are_counted_by_kind(said: str, heard: str, expected: wer.Errors) -> None:
    assert wer.errors(said.split(), heard.split()) == expected


def test_the_rate_is_over_all_words_and_not_a_mean_of_clips() -> None:
    assert wer.rate([wer.Errors(1, 1), wer.Errors(9)]) == pytest.approx(0.1)
    assert wer.rate([]) is None


def test_the_interval_holds_the_rate_and_is_the_same_each_time() -> None:
    clips = [wer.Errors(10, number % 3) for number in range(20)]
    found = wer.interval(clips)
    rate = wer.rate(clips)
    assert found is not None
    assert rate is not None
    assert found[0] < rate < found[1]
    assert found == wer.interval(clips)


def test_one_clip_has_no_interval() -> None:
    assert wer.interval([wer.Errors(10, 1)]) is None
    assert wer.interval([wer.Errors(10, 1), wer.Errors(0)]) is None


def test_words_heard_where_none_were_said_are_in_the_interval() -> None:
    found = wer.interval([*[wer.Errors(10)] * 10, *[wer.Errors(0, inserted=5)] * 10])
    assert found is not None
    assert found[0] > 0
