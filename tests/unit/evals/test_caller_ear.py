"""The ear finds the first and the last audible sample, and is fooled by neither clicks nor line noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.caller.ear import Answer, Ear, Speech, answer, stretches
from evals.caller.g711 import PCMA, PCMU, decode, encode


def tone(ms: float, dbfs: float = -20.0) -> np.ndarray:
    amplitude = 32768 * 10 ** (dbfs / 20) * np.sqrt(2)
    return np.round(amplitude * np.cos(2 * np.pi * 440 * np.arange(round(ms * 8)) / 8000)).astype(np.int16)


def quiet(ms: float, dbfs: float = -65.0) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 32768 * 10 ** (dbfs / 20), round(ms * 8)).round().astype(np.int16)


def spans(heard: list[Speech]) -> list[tuple[float, float]]:
    return [(one.from_ms, one.to_ms) for one in heard]


def assert_spans(heard: list[Speech], *expected: tuple[float, float]) -> None:
    assert len(heard) == len(expected)
    assert np.array(spans(heard)).ravel() == pytest.approx(np.array(expected).ravel(), abs=1.0)


SOUNDS = [
    ("nothing", [], []),
    ("digital silence", [np.zeros(8000, np.int16)], []),
    ("comfort noise", [quiet(2000)], []),
    ("noise under the threshold", [quiet(2000, -52)], []),
    ("one tone", [quiet(300), tone(200), quiet(300)], [(300, 500)]),
    ("soft, near the threshold", [quiet(300), tone(200, -48), quiet(300)], [(300, 500)]),
    ("from the first sample to the last", [tone(100)], [(0, 100)]),
    ("a click of 5 ms", [quiet(300), tone(5), quiet(300)], []),
    ("a click of 10 ms", [quiet(300), tone(10), quiet(300)], []),
    ("two clicks apart", [quiet(300), tone(5), quiet(50), tone(5), quiet(300)], []),
    ("the shortest speech", [quiet(300), tone(15), quiet(300)], [(300, 315)]),
    ("a click within speech's bridge", [quiet(300), tone(100), quiet(100), tone(5), quiet(300)], [(300, 505)]),
    ("a gap between words", [tone(100), quiet(150), tone(100), quiet(300)], [(0, 350)]),
    ("a pause", [tone(100), quiet(250), tone(100), quiet(300)], [(0, 100), (350, 450)]),
    ("off the 5 ms grid", [quiet(301.5), tone(200), quiet(300)], [(301.5, 501.5)]),
]


@pytest.mark.parametrize(("sounds", "expected"), [one[1:] for one in SOUNDS], ids=[one[0] for one in SOUNDS])
@pytest.mark.parametrize("law", [None, PCMU, PCMA])
def test_stretches_of_speech(sounds: list[np.ndarray], expected: list[tuple[float, float]], law: int | None) -> None:
    samples = np.concatenate([np.zeros(0, np.int16), *sounds])
    if law is not None:
        samples = decode(encode(samples, law), law)
    assert_spans(stretches(samples), *expected)


@given(start=st.integers(0, 4000), length=st.integers(400, 4000), frame=st.sampled_from([80, 160, 240]))
def test_frames_or_all_at_once_is_the_same(start: int, length: int, frame: int) -> None:
    samples = np.concatenate([quiet(start / 8), tone(length / 8), quiet(400)])
    samples = samples[: len(samples) // frame * frame]
    ear = Ear()
    for index in range(0, len(samples), frame):
        ear.hear(index / 8, samples[index : index + frame])
    assert spans(ear.speech) == spans(stretches(samples))
    assert ear.speech[0].from_ms == pytest.approx(start / 8, abs=1)
    assert ear.speech[0].to_ms == pytest.approx((start + length) / 8, abs=1)


def test_late_packets_count_when_they_came() -> None:
    ear = Ear()
    for at_ms in (0, 20, 95, 96, 115):  # the third packet came 55 ms late, the fourth right behind it
        ear.hear(at_ms, tone(20))
    assert_spans(ear.speech, (0, 135))


def test_no_packets_is_silence() -> None:
    ear = Ear()
    ear.hear(0, tone(100))
    assert ear.speaking
    ear.settle(250)
    assert ear.speaking
    assert ear.quiet_ms(250) == pytest.approx(150, abs=1)
    ear.settle(301)
    assert not ear.speaking
    ear.hear(900, tone(100))
    assert_spans(ear.speech, (0, 100), (900, 1000))


def test_speech_starts_are_not_joined_over_a_gap_without_packets() -> None:
    ear = Ear()
    for at_ms in (0, 500, 1000):
        ear.hear(at_ms, tone(10))  # three clicks with nothing between them
    assert ear.speech == []
    assert ear.quiet_ms(2000) == float("inf")


INF = float("inf")
ANSWERS = [
    ("plain", [(1500, 3000)], INF, Answer(1500, 3000, 500, None)),
    ("in two sentences", [(1500, 2000), (2400, 3000)], INF, Answer(1500, 3000, 500, None)),
    ("nothing", [], INF, Answer(None, None, None, None)),
    ("only before the phrase", [(100, 200)], INF, Answer(None, None, None, None)),
    ("interrupted speech is no answer", [(100, 800), (1500, 2000)], INF, Answer(1500, 2000, 500, None)),
    ("interrupted and never stopped", [(100, 1400)], INF, Answer(None, None, None, None)),
    ("cut in and kept talking", [(900, 2000)], INF, Answer(900, 2000, -100, 900)),
    ("cut in and yielded", [(700, 800), (1500, 2000)], INF, Answer(1500, 2000, 500, 700)),
    ("after the next phrase began", [(2500, 3000)], 2000, Answer(None, None, None, None)),
    ("still going when the next began", [(1500, 2500)], 2000, Answer(1500, 2000, 500, None)),
]


@pytest.mark.parametrize(("speech", "until", "expected"), [one[1:] for one in ANSWERS], ids=[one[0] for one in ANSWERS])
def test_the_answer_to_a_phrase_from_500_to_1000(
    speech: list[tuple[float, float]], until: float, expected: Answer
) -> None:
    assert answer(500, 1000, [Speech(*one) for one in speech], until) == expected
