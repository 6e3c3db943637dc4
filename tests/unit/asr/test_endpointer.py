"""Speech begins and ends where the energy does, and only when the network agrees."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.endpointer import STALL_US, Endpointer, Event, Lull, SpeechBegan, SpeechEnded

RATE_HZ = 8000
FRAME_US = 20_000
LOUD, MURMUR, QUIET = 3000, 300, 0  # peak of a tone: speech, 20 dB below it, silence

Stretch = tuple[int, int, float]
"""(milliseconds, peak, probability)"""


def sound(stretches: Sequence[Stretch]) -> tuple[np.ndarray, np.ndarray]:
    """Samples and, for each, the network's probability."""
    parts, judged = [], []
    for ms, peak, probability in stretches:
        count = ms * RATE_HZ // 1000
        parts.append(np.sin(2 * np.pi * 400 * np.arange(count) / RATE_HZ) * peak)
        judged.append(np.full(count, probability))
    return np.concatenate(parts).astype(np.int16), np.concatenate(judged)


def heard(endpointer: Endpointer, stretches: Sequence[Stretch], from_us: int = 0) -> list[tuple[int, Event]]:
    """(call time at which it was told, event); frames of 20 ms, windows of 32 ms."""
    samples, judged = sound(stretches)
    told: list[tuple[int, Event]] = []
    window = 256
    for start in range(0, len(samples) - 159, 160):
        for end in range(start + 1, start + 161):
            if end % window == 0:
                endpointer.judge(from_us + end * 125, float(judged[end - window : end].mean()))
        for event in endpointer.hear(from_us + start * 125, samples[start : start + 160]):
            told.append((from_us + start * 125 + FRAME_US, event))
    return told


def ms(events: Sequence[tuple[int, Event]]) -> list[tuple[str, int]]:
    """Event and its own time in ms, without lulls."""
    return [(type(one).__name__, one.call_time_us // 1000) for _, one in events if not isinstance(one, Lull)]


TABLE: list[tuple[str, list[Stretch], list[tuple[str, int]]]] = [
    ("silence", [(2000, QUIET, 0.0)], []),
    ("a click", [(500, QUIET, 0.0), (40, LOUD, 0.6), (1000, QUIET, 0.0)], []),
    ("loud, but no speech", [(500, QUIET, 0.0), (800, LOUD, 0.1), (800, QUIET, 0.0)], []),
    (
        "one word",
        [(500, QUIET, 0.0), (300, LOUD, 0.9), (600, QUIET, 0.0)],
        [("SpeechBegan", 500), ("SpeechEnded", 800)],
    ),
    (
        "the network trails the end",
        [(500, QUIET, 0.0), (300, LOUD, 0.9), (120, QUIET, 0.8), (600, QUIET, 0.0)],
        [("SpeechBegan", 500), ("SpeechEnded", 800)],
    ),
    (
        "the network is late at the start",
        [(500, QUIET, 0.0), (100, LOUD, 0.2), (400, LOUD, 0.9), (600, QUIET, 0.0)],
        [("SpeechBegan", 500), ("SpeechEnded", 1000)],
    ),
    (
        "a last soft consonant, 20 dB down, that the network does not hear",
        [(500, QUIET, 0.0), (300, LOUD, 0.9), (80, MURMUR, 0.1), (600, QUIET, 0.0)],
        [("SpeechBegan", 500), ("SpeechEnded", 880)],
    ),
    (
        "a pause of 200 ms is inside the utterance",
        [(500, QUIET, 0.0), (300, LOUD, 0.9), (200, QUIET, 0.1), (300, LOUD, 0.9), (600, QUIET, 0.0)],
        [("SpeechBegan", 500), ("SpeechEnded", 1300)],
    ),
    (
        "a pause of 400 ms is between two",
        [(500, QUIET, 0.0), (300, LOUD, 0.9), (400, QUIET, 0.1), (300, LOUD, 0.9), (600, QUIET, 0.0)],
        [("SpeechBegan", 500), ("SpeechEnded", 800), ("SpeechBegan", 1200), ("SpeechEnded", 1500)],
    ),
    (
        "between the thresholds it stays what it was",
        [(500, QUIET, 0.0), (300, LOUD, 0.9), (600, LOUD, 0.4), (600, QUIET, 0.0)],
        [("SpeechBegan", 500), ("SpeechEnded", 1400)],
    ),
    (
        "a door after the word is no speech",
        [(500, QUIET, 0.0), (300, LOUD, 0.9), (180, QUIET, 0.0), (400, LOUD, 0.0), (800, QUIET, 0.0)],
        [("SpeechBegan", 500), ("SpeechEnded", 800)],
    ),
]


@pytest.mark.parametrize(("stretches", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_speech_is_found_to_within_5_ms(stretches: list[Stretch], expected: list[tuple[str, int]]) -> None:
    found = ms(heard(Endpointer(RATE_HZ), stretches))
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (_, found_ms), (_, expected_ms) in zip(found, expected, strict=True):
        assert found_ms == pytest.approx(expected_ms, abs=5)


def test_the_beginning_is_told_after_100_ms_and_the_end_after_the_least_silence() -> None:
    told = heard(Endpointer(RATE_HZ), [(512, QUIET, 0.0), (600, LOUD, 0.9), (800, QUIET, 0.0)])
    (began_at, began), (lull_at, lull), (ended_at, ended) = told
    assert isinstance(began, SpeechBegan)
    assert isinstance(lull, Lull)
    assert isinstance(ended, SpeechEnded)
    assert began_at - began.call_time_us <= 130_000
    assert lull_at - lull.call_time_us <= 120_000
    assert 240_000 <= ended_at - ended.call_time_us <= 265_000
    assert ended.call_time_us == lull.call_time_us


def test_a_phrase_that_dies_away_is_measured_by_how_the_caller_speaks() -> None:
    """Alone, the echo at -30 dB would be within 24 dB of the quiet last words."""
    echo = LOUD // 31
    told = heard(
        Endpointer(RATE_HZ),
        [
            (500, QUIET, 0.0),
            (2000, LOUD, 0.9),
            (400, QUIET, 0.0),
            (300, LOUD // 4, 0.9),
            (100, echo, 0.5),
            (800, QUIET, 0.0),
        ],
    )
    assert ms(told)[-1] == ("SpeechEnded", 3200)


def test_the_caller_may_be_20_db_quieter() -> None:
    told = heard(Endpointer(RATE_HZ), [(500, QUIET, 0.0), (300, LOUD // 10, 0.9), (600, QUIET, 0.0)])
    assert ms(told) == [("SpeechBegan", 500), ("SpeechEnded", 800)]


def test_25_s_without_a_pause_are_cut() -> None:
    told = ms(heard(Endpointer(RATE_HZ, max_utterance_ms=3000), [(500, QUIET, 0.0), (7000, LOUD, 0.9)]))
    assert told[:2] == [("SpeechBegan", 500), ("SpeechEnded", 3500)]
    assert [name for name, _ in told] == ["SpeechBegan", "SpeechEnded"] * 2 + ["SpeechBegan"]
    assert told[2][1] >= 3500


def test_audio_that_stalls_is_silence() -> None:
    endpointer = Endpointer(RATE_HZ)
    heard(endpointer, [(500, QUIET, 0.0), (500, LOUD, 0.9)])
    assert endpointer.lapse(1_000_000 + STALL_US - 1) == []
    assert endpointer.lapse(1_000_000 + STALL_US) == [SpeechEnded(1, 500_000, 1_000_000)]
    assert endpointer.lapse(9_000_000) == []


def test_a_hole_in_the_audio_ends_the_utterance_before_it() -> None:
    endpointer = Endpointer(RATE_HZ)
    heard(endpointer, [(500, QUIET, 0.0), (500, LOUD, 0.9)])
    after = heard(endpointer, [(500, LOUD, 0.9)], from_us=3_000_000)
    assert ms(after)[0] == ("SpeechEnded", 1000)
    assert ms(after)[1][0] == "SpeechBegan"
    assert ms(after)[1][1] >= 3000


# Noise: a babble is a tone whose level wavers, for the network it is speech throughout.

BABBLE = 0.9


def babble(ms: int, peak: int) -> list[Stretch]:
    """Wavers 4 dB up and down around this peak, a syllable at a time."""
    steps = [1.0, 0.7, 1.5, 0.8, 0.65, 1.2, 0.9, 1.45, 0.6, 1.1]
    return [(100, round(peak * steps[at % len(steps)]), BABBLE) for at in range(ms // 100)]


NOISY: list[tuple[str, list[Stretch], list[tuple[str, int]]]] = [
    ("babble alone begins nothing", babble(6000, 300), []),
    ("loud babble begins nothing", babble(6000, 3000), []),
    ("a hum that the network takes for speech begins nothing", [(5000, 1000, 0.8)], []),
    (
        "a caller 14 dB over the babble; the network never falls silent",
        [*babble(2000, 600), (600, LOUD, 0.9), *babble(3000, 600)],
        [("SpeechBegan", 2000), ("SpeechEnded", 2600)],
    ),
    (
        "in noise a pause of 300 ms is inside the utterance",
        [*babble(2000, 600), (600, LOUD, 0.9), *babble(300, 600), (600, LOUD, 0.9), *babble(2000, 600)],
        [("SpeechBegan", 2000), ("SpeechEnded", 3500)],
    ),
    (
        "babble that begins while the caller speaks",
        [(500, QUIET, 0.0), (1000, LOUD, 0.9), *babble(6000, 300)],
        [("SpeechBegan", 500), ("SpeechEnded", 1500)],
    ),
    (
        "a soft caller on a quiet line",
        [(500, QUIET, 0.0), (300, LOUD // 30, 0.9), (600, QUIET, 0.0)],
        [("SpeechBegan", 500), ("SpeechEnded", 800)],
    ),
    (
        "the caller goes on 12 dB more softly: not soft enough for somebody else",
        [(500, QUIET, 0.0), (1500, LOUD, 0.9), (600, QUIET, 0.0), (400, LOUD * 10 // 28, 0.9), (600, QUIET, 0.0)],
        [("SpeechBegan", 500), ("SpeechEnded", 2000), ("SpeechBegan", 2600), ("SpeechEnded", 3000)],
    ),
    (
        "somebody in the room, 20 dB below the caller",
        [(500, QUIET, 0.0), (1500, LOUD, 0.9), (600, QUIET, 0.0), (600, MURMUR, 0.9), (600, QUIET, 0.0)],
        [("SpeechBegan", 500), ("SpeechEnded", 2000)],
    ),
    (
        "the telephone is handed over to somebody 20 dB softer",
        [(500, QUIET, 0.0), (1500, LOUD, 0.9), (600, QUIET, 0.0), (1600, MURMUR, 0.9), (900, QUIET, 0.0)],
        [("SpeechBegan", 500), ("SpeechEnded", 2000), ("SpeechBegan", 2600), ("SpeechEnded", 4200)],
    ),
    (
        "half a minute later the caller's level is not held against them",
        [(500, QUIET, 0.0), (1500, LOUD, 0.9), (31_000, QUIET, 0.0), (400, MURMUR, 0.9), (600, QUIET, 0.0)],
        [("SpeechBegan", 500), ("SpeechEnded", 2000), ("SpeechBegan", 33_000), ("SpeechEnded", 33_400)],
    ),
]


@pytest.mark.parametrize(("stretches", "expected"), [row[1:] for row in NOISY], ids=[row[0] for row in NOISY])
def test_in_noise_the_level_has_a_say(stretches: list[Stretch], expected: list[tuple[str, int]]) -> None:
    found = ms(heard(Endpointer(RATE_HZ), stretches))
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (_, found_ms), (_, expected_ms) in zip(found, expected, strict=True):
        assert found_ms == pytest.approx(expected_ms, abs=25)


def test_an_utterance_in_noise_ends_after_360_ms_with_one_lull() -> None:
    told = heard(Endpointer(RATE_HZ), [*babble(2000, 600), (600, LOUD, 0.9), *babble(1000, 600)])
    (began_at, began), (lull_at, lull), (ended_at, ended) = told
    assert isinstance(lull, Lull)
    assert began_at - began.call_time_us <= 150_000
    assert 240_000 <= lull_at - lull.call_time_us <= 265_000
    assert 360_000 <= ended_at - ended.call_time_us <= 380_000


STRETCHES = st.lists(
    st.tuples(
        st.integers(20, 900),
        st.sampled_from([QUIET, 30, MURMUR, LOUD, 20_000]),
        st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.95]),
    ),
    min_size=1,
    max_size=12,
)


@given(STRETCHES, st.integers(0, 2_000_000))
def test_began_and_ended_alternate_and_times_never_go_back(stretches: list[Stretch], stall_us: int) -> None:
    endpointer = Endpointer(RATE_HZ, max_utterance_ms=2000)
    told = heard(endpointer, stretches)
    end_us = sum(one[0] for one in stretches) * 1000
    told += [(end_us + stall_us, event) for event in endpointer.lapse(end_us + stall_us)]
    edges = [one for _, one in told if not isinstance(one, Lull)]
    assert [type(one) for one in edges] == [SpeechBegan, SpeechEnded] * (len(edges) // 2) + [SpeechBegan] * (
        len(edges) % 2
    )
    assert [one.utterance for one in edges] == [1 + at // 2 for at in range(len(edges))]
    times = [one.call_time_us for one in edges]
    assert times == sorted(times)
    for at_us, event in told:
        assert event.call_time_us <= at_us
        if isinstance(event, Lull):
            assert any(isinstance(edge, SpeechBegan) and edge.utterance == event.utterance for edge in edges), (
                "a lull is inside an utterance"
            )
    assert endpointer.speaking == (len(edges) % 2 == 1)
