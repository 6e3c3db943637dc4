"""What Whisper makes up is told from what was said, by the tokens alone."""

import pytest

from services.asr.whisper import WordHeard, compression, doubled, fitting, joined, loops, silent, spread

EOT, STAMP = 50_257, 50_364
A = list(range(100, 120))  # twenty different tokens: some four seconds of speech


def stamp(seconds: float) -> int:
    return STAMP + round(seconds / 0.02)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], False),
        (A, False),
        ([5, 5, 5], False),  # "five five five"
        ([5] * 6, True),
        ([1, 2] * 5, True),
        ([1, 2, 3] * 3, False),
        ([1, 2, 3] * 4, True),
        ([9, 9, *A[:6] * 3, 8], True),
    ],
)
def test_loops(tokens: list[int], expected: bool) -> None:
    assert loops(tokens) is expected


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [(A, False), (A[:5] * 2, True), ([7, *A[:12] * 2, 8], True), (A[:4] * 2, False)],
)
def test_doubled(tokens: list[int], expected: bool) -> None:
    assert doubled(tokens) is expected


def test_a_last_segment_that_cannot_have_been_said_is_cut_off() -> None:
    said = [stamp(0), *A, stamp(7.0)]
    assert fitting([*said, stamp(7.0), *A[2:18]], EOT, STAMP, 7.4) == (said, True)
    assert fitting([*said, stamp(7.0), *range(300, 316)], EOT, STAMP, 7.4) == (said, False)
    assert fitting([*said, stamp(7.0), 300, 301, 302], EOT, STAMP, 7.4) == ([*said, stamp(7.0), 300, 301, 302], False)
    assert fitting([stamp(0), *A], EOT, STAMP, 0.3) == ([stamp(0), *A], False)


@pytest.mark.parametrize(
    ("no_speech", "logprob", "expected"),
    [
        (0.55, -0.56, False),  # speech in noise
        (0.92, -1.00, True),  # silence: " you"
        (0.99, -0.69, True),  # silence, tiny.en
        (0.77, -1.65, True),  # a tone
        (0.44, -1.62, True),  # a cough: " I'm sorry."
        (0.04, -1.00, False),  # "Okay."
    ],
)
def test_silent(no_speech: float, logprob: float, expected: bool) -> None:
    assert silent(no_speech, logprob) is expected


def test_compression_tells_repetition() -> None:
    assert compression("") == 0
    assert compression("I'd like to book an appointment for next Tuesday at ten.") < 1.2
    assert compression("Thank you for watching. " * 10) > 2.4


def test_pieces_become_words() -> None:
    pieces = [
        WordHeard(" Kow", 0.0, 0.2, 0.9),
        WordHeard("alski", 0.2, 0.5, 0.6),
        WordHeard(".", 0.5, 0.6, 0.1),
        WordHeard(" Yes", 0.6, 0.8, 1.0),
    ]
    assert joined(pieces) == (WordHeard("Kowalski.", 0.0, 0.6, 0.6), WordHeard("Yes", 0.6, 0.8, 1.0))


class Letters:
    """A tokenizer in which a token below the end token is a word of as many letters."""

    eot, timestamp_begin = EOT, STAMP

    def decode(self, tokens: list[int]) -> str:
        return " ".join("x" * token for token in tokens)


def test_words_are_spread_over_their_segment_by_length() -> None:
    words = spread([stamp(0), 1, 3, stamp(1.0), stamp(2.0), 2, stamp(9.0)], Letters(), 3.0, 0.5)
    assert [(word.text, word.start_s, word.end_s) for word in words] == [
        ("x", 0.0, pytest.approx(0.25)),
        ("xxx", pytest.approx(0.25), pytest.approx(1.0)),
        ("xx", pytest.approx(2.0), pytest.approx(3.0)),
    ]
