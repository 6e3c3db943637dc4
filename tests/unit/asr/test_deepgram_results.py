"""What a stream told is laid on the clip it was said in, over the gaps between utterances."""

import json
from typing import Any

import numpy as np
import pytest

from services.asr.deepgram_results import Results
from services.asr.segment import Segment

RATE = 8000


def clip(from_s: float, to_s: float) -> Segment:
    return Segment(np.ones(round((to_s - from_s) * RATE), np.int16), RATE, ((0, round(from_s * 1e6)),))


def told(words: list[tuple[str, float, float]], start: float, duration: float, **more: Any) -> str:
    spoken = [
        {"word": text.lower().strip("."), "punctuated_word": text, "start": begin, "end": end, "confidence": 0.9}
        for text, begin, end in words
    ]
    channel = {"alternatives": [{"transcript": "", "confidence": 0.9, "words": spoken}]}
    return json.dumps(
        {"type": "Results", "is_final": True, "start": start, "duration": duration, "channel": channel, **more}
    )


def test_only_what_is_new_is_sent() -> None:
    results = Results(RATE)
    assert len(results.unsent(clip(10.0, 11.0))) == 2 * RATE
    assert len(results.unsent(clip(10.0, 11.5))) == RATE
    assert results.unsent(clip(10.0, 11.5)) == b""
    assert len(results.unsent(clip(20.0, 21.0))) == 2 * RATE


def test_two_utterances_on_one_stream() -> None:
    results = Results(RATE)
    assert results.flushed
    first, second = clip(10.0, 12.0), clip(20.0, 21.0)
    results.unsent(first)
    assert not results.flushed
    results.take(told([("Hello", 0.5, 0.9)], 0.0, 1.0))
    assert not results.flushed
    results.take(told([("there.", 1.2, 1.6)], 1.0, 1.0))
    assert results.flushed
    heard = results.transcript(first, "en")
    assert heard.text == "Hello there."
    assert [time for one in heard.words for time in (one.start_s, one.end_s)] == pytest.approx([0.5, 0.9, 1.2, 1.6])
    assert (heard.confidence, heard.language) == (pytest.approx(0.9), "en")
    results.unsent(second)
    results.take(told([("Bye.", 2.3, 2.8)], 2.0, 1.0))
    heard = results.transcript(second, "en")
    assert heard.text == "Bye."
    assert (heard.words[0].start_s, heard.words[0].end_s) == pytest.approx((0.3, 0.8))


def test_interim_words_follow_the_final_ones_and_are_replaced() -> None:
    results, segment = Results(RATE), clip(0.0, 3.0)
    results.unsent(segment)
    results.take(told([("I", 0.2, 0.3)], 0.0, 1.0))
    results.take(told([("won", 1.2, 1.4)], 1.0, 1.0, is_final=False))
    results.take(told([("want", 1.2, 1.4), ("to", 1.5, 1.6)], 1.0, 1.0, is_final=False))
    assert results.transcript(segment, "en").text == "I want to"
    results.take(told([("want", 1.2, 1.4)], 1.0, 0.5))
    assert results.transcript(segment, "en").text == "I want"


def test_a_late_answer_to_an_earlier_finalize_flushes_nothing() -> None:
    results = Results(RATE)
    results.unsent(clip(0.0, 1.0))
    results.finalize()
    results.unsent(clip(0.0, 2.0))
    results.finalize()
    results.take(told([], 0.0, 0.9, from_finalize=True))
    assert not results.flushed
    assert results.open_s == pytest.approx(1.1)
    results.take(told([], 0.9, 0.5, from_finalize=True))
    assert results.flushed


def test_nothing_was_said() -> None:
    results, segment = Results(RATE), clip(0.0, 1.0)
    results.unsent(segment)
    results.take(told([], 0.0, 1.0))
    results.take(json.dumps({"type": "Metadata"}))
    heard = results.transcript(segment, "de")
    assert (heard.text, heard.words, heard.confidence, heard.language) == ("", (), 0.0, "de")


@pytest.mark.parametrize(
    "message",
    ["not json", "[]", "{}", '{"type": "Results"}', '{"type": "Error", "description": "no such model"}'],
)
def test_nonsense_is_refused(message: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Results(RATE).take(message)
