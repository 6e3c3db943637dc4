"""What a transcription server may answer, good and bad, as a transcript on the clip's time."""

import math
from typing import Any

import numpy as np
import pytest

from services.asr.openai_provider import transcript_of, wav
from services.asr.segment import Segment
from services.asr.whisper import WordHeard

RATED = [{"avg_logprob": -0.2, "no_speech_prob": 0.01}]


def test_verbose_json() -> None:
    answer = {
        "text": " Hello there, Tom. ",
        "language": "english",
        "segments": RATED,
        "words": [
            {"word": "Hello", "start": 0.3, "end": 0.6},
            {"word": "there", "start": 0.6, "end": 0.9},
            {"word": "Tom", "start": 1.0, "end": 2.7},
        ],
    }
    heard = transcript_of(answer, 2.0, "en")
    confidence = math.exp(-0.2)
    assert heard.text == "Hello there, Tom."
    assert (heard.confidence, heard.language, heard.language_probability) == (pytest.approx(confidence), "en", 0.0)
    assert heard.words == (
        WordHeard("Hello", 0.3, 0.6, confidence),
        WordHeard("there,", 0.6, 0.9, confidence),
        WordHeard("Tom.", 1.0, 2.0, confidence),
    )


@pytest.mark.parametrize("words", [None, [], [{"word": "one", "start": 0, "end": 1}]])
def test_words_without_times_are_laid_over_the_clip(words: Any) -> None:
    heard = transcript_of({"text": "ab cd", "words": words}, 2.0, "en")
    assert [(one.text, one.start_s, one.end_s) for one in heard.words] == [("ab", 0.0, 1.0), ("cd", 1.0, 2.0)]


@pytest.mark.parametrize(
    ("answer", "language", "probability"),
    [
        ({"text": "guten Tag", "language": "german"}, "de", 1.0),
        ({"text": "guten Tag", "language": "de"}, "de", 1.0),
        ({"text": "hello"}, "en", 1.0),
    ],
)
def test_a_language_that_was_open(answer: dict[str, str], language: str, probability: float) -> None:
    heard = transcript_of(answer, 1.0, "auto")
    assert (heard.language, heard.language_probability) == (language, probability)


@pytest.mark.parametrize(
    "answer",
    [
        {"text": "  "},
        {"text": "Bye!", "segments": [{"avg_logprob": -1.0, "no_speech_prob": 0.55}]},
        {"text": "Something.", "segments": [{"avg_logprob": -1.2, "no_speech_prob": 0.9}]},
    ],
)
def test_nothing_said(answer: dict[str, Any]) -> None:
    heard = transcript_of(answer, 1.0, "en")
    assert (heard.text, heard.words) == ("", ())
    assert heard.confidence <= 0.1


@pytest.mark.parametrize(
    "answer",
    [{}, [], "text", None, {"text": 5}, {"text": "a", "words": [{"word": "a"}]}, {"text": "a", "segments": 3}],
)
def test_nonsense_is_refused(answer: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        transcript_of(answer, 1.0, "en")


def test_a_clip_as_wav() -> None:
    sound = wav(Segment(np.arange(4, dtype=np.int16), 8000, ((0, 0),)))
    assert sound[:4] == b"RIFF"
    assert sound[-8:] == b"\0\0\1\0\2\0\3\0"
