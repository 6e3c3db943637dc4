"""Words stay where they are heard, whatever happens to the samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tts.alignment import AlignedWord, at_rate, by_length, cut_out, placed, written
from services.tts.spoken import Piece, speak

SPANS = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)).map(lambda p: tuple(sorted(p))), max_size=12)


def test_cutting_silence_moves_words() -> None:
    assert cut_out([(7200, 9600), (9600, 30000)], 7000, 24000) == [(200, 2600), (2600, 17000)]


def test_resampling_moves_words() -> None:
    assert at_rate([(0, 2400), (2400, 4801)], 24000, 8000, 1600) == [(0, 800), (800, 1600)]


def test_time_by_letters() -> None:
    assert by_length(["aa", "aaaaa"], 900) == [(0, 300), (300, 900)]
    assert by_length([], 900) == []


def test_written_words_share_what_is_said_for_them() -> None:
    pieces = speak("At 10:30 a.m. 😀 we open.")
    spoken = [(0, 10), (10, 20), (20, 30), (30, 50), (60, 70), (70, 100)]
    assert written(pieces, spoken) == [
        AlignedWord("At", 0, 10),
        AlignedWord("10:30", 10, 31),
        AlignedWord("a.m.", 31, 50),
        AlignedWord("😀", 50, 50),
        AlignedWord("we", 60, 70),
        AlignedWord("open.", 70, 100),
    ]


def test_a_word_without_sound_is_empty() -> None:
    assert written([Piece(("a",), "a"), Piece(("b",), "b")], [(5, 9), (0, 0)]) == [
        AlignedWord("a", 5, 9),
        AlignedWord("b", 9, 9),
    ]


def test_placed_behind_what_was_said_before() -> None:
    assert placed([AlignedWord("a", 1, 2)], 100) == [AlignedWord("a", 101, 102)]


@given(SPANS, st.integers(0, 5000), st.integers(0, 5000), st.sampled_from([8000, 16000, 24000]))
def test_words_never_overlap_and_stay_inside(spans: list[tuple[int, int]], one: int, other: int, rate_hz: int) -> None:
    first, last = sorted((one, other))
    kept = last - first
    samples = len(np.zeros(kept)[:: 24000 // rate_hz]) if kept else 0
    moved = at_rate(cut_out(spans, first, last), 24000, rate_hz, samples)
    at = 0
    for word in written([Piece((f"w{n}",), f"w{n}") for n in range(len(spans))], moved):
        assert at <= word.start <= word.end <= samples
        at = word.end


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_rounding_never_leaves_the_samples(rate_hz: int) -> None:
    assert at_rate([(23999, 24000)], 24000, rate_hz, rate_hz)[0][1] == rate_hz


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4)), min_size=1, max_size=8),
    st.lists(st.integers(0, 400), min_size=64, max_size=64),
    st.integers(0, 300),
)
def test_barge_in_at_any_sample_finds_the_word(shapes: list[tuple[int, int]], steps: list[int], behind: int) -> None:
    """FIELD, barge-in: what was heard is told to the word, at clause ends and inside "10:30 a.m." too.

    Words are monotone; a piece's words tile its time; the first and the last heard word reach the clause's ends, and
    between them only the speech's own gaps are nobody's.
    """
    pieces = [
        Piece(tuple(f"w{index}{n}" for n in range(words)), " ".join("said" for _ in range(spoken)))
        for index, (words, spoken) in enumerate(shapes)
    ]
    edges = np.cumsum(steps).tolist()
    count = sum(spoken for _, spoken in shapes)
    spans = [(edges[2 * index], edges[2 * index + 1]) for index in range(count)]
    samples = (spans[-1][1] if spans else 0) + behind
    words = written(pieces, spans, samples)
    assert [word.text for word in words] == [text for piece in pieces for text in piece.written]
    at = 0
    for word in words:
        assert at <= word.start <= word.end <= samples
        at = word.end
    heard = [word for word in words if word.end > word.start]
    if not heard:
        return
    assert (heard[0].start, heard[-1].end) == (0, samples)
    covered = sum(word.end - word.start for word in heard)
    index, gaps, last = 0, 0, None
    for piece in pieces:
        own = [span for span in spans[index : index + len(piece.spoken.split())] if span[1] > span[0]]
        index += len(piece.spoken.split())
        if own:
            gaps += own[0][0] - last if last is not None else 0
            last = own[-1][1]
    assert covered == samples - gaps
