"""What the caller heard, to the word."""

import pytest

from services.brain.heard import AlignedWord, HeardText

WORDS = [AlignedWord("We", 0, 1000), AlignedWord("open", 1000, 3000), AlignedWord("at", 3500, 4000)]


@pytest.mark.parametrize(
    ("played", "text"),
    [(0, ""), (499, ""), (500, "We"), (1999, "We"), (2000, "We open"), (3750, "We open at"), (9000, "We open at")],
)
def test_a_word_is_heard_by_its_half(played: int, text: str) -> None:
    assert HeardText(list(WORDS), played).text() == text


@pytest.mark.parametrize(("played", "resume"), [(0, 0), (500, 0), (1500, 1000), (3200, 1000), (3600, 3500)])
def test_resume_at_the_word_that_was_cut(played: int, resume: int) -> None:
    assert HeardText(list(WORDS), played).resume_sample() == resume
