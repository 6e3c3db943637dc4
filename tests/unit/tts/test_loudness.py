"""Trimming and level, by tones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.tts import loudness

RATE = 24000


def tone(ms: int, level: float, hz: float = 440.0) -> NDArray[np.float32]:
    at = np.arange(RATE * ms // 1000) / RATE
    return (level * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def silence(ms: int, noise: float = 1e-4) -> NDArray[np.float32]:
    return (noise * np.random.default_rng(1).standard_normal(RATE * ms // 1000)).astype(np.float32)


@pytest.mark.parametrize("head_ms", [0, 3, 300, 317])
def test_head_and_tail_are_cut(head_ms: int) -> None:
    samples = np.concatenate([silence(head_ms), tone(400, 0.2), silence(480)])
    first, last = loudness.sounding(samples, RATE)
    onset = RATE * head_ms // 1000
    assert onset - RATE * 10 // 1000 <= first <= onset
    end = onset + RATE * 400 // 1000
    assert end <= last <= end + RATE * 40 // 1000


def test_a_soft_consonant_is_kept() -> None:
    """30 dB below the vowel behind it: an h."""
    samples = np.concatenate([silence(300), tone(60, 0.2 * 10 ** (-30 / 20), 2500), tone(300, 0.2)])
    first, _ = loudness.sounding(samples, RATE)
    assert first <= RATE * 300 // 1000


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros(4800, np.float32)])
def test_silence_has_nothing_to_keep(samples: NDArray[np.float32]) -> None:
    assert loudness.sounding(samples, RATE) == (0, 0)
    assert np.array_equal(loudness.level(samples, RATE), samples)


@pytest.mark.parametrize("amplitude", [0.03, 0.1, 0.5, 0.95])
def test_speech_comes_to_one_level_pauses_not_counted(amplitude: float) -> None:
    samples = np.concatenate([tone(500, amplitude), silence(500, 1e-5), tone(500, amplitude)])
    out = loudness.level(samples, RATE, -20.0)
    assert 20 * np.log10(loudness.speech_level(out, RATE)) == pytest.approx(-20.0, abs=0.3)


def test_gain_is_bounded() -> None:
    out = loudness.level(tone(500, 0.001), RATE)
    assert np.abs(out).max() == pytest.approx(0.001 * 10 ** (loudness.LARGEST_GAIN_DB / 20), rel=0.01)


def test_peaks_are_limited_and_the_rest_left_alone() -> None:
    samples = tone(1000, 0.3)
    samples[12000:12240] *= 5
    out = loudness.limit(samples, RATE)
    assert np.abs(out).max() <= loudness.CEILING
    far = np.r_[0:11000, 13500:24000]
    assert np.allclose(out[far], samples[far], atol=1e-6)


@given(st.floats(0.01, 40), st.integers(1, 4000))
def test_nothing_ever_clips(gain: float, count: int) -> None:
    samples = (gain * np.random.default_rng(count).standard_normal(count)).astype(np.float32)
    assert np.abs(loudness.limit(samples, 8000)).max() <= loudness.CEILING


@pytest.mark.parametrize("to_hz", [8000, 16000])
def test_resampling_does_not_move_a_sample(to_hz: int) -> None:
    samples = np.concatenate([np.zeros(2400, np.float32), tone(200, 0.5)])
    out = loudness.resample(samples, RATE, to_hz)
    assert len(out) == len(samples) * to_hz // RATE
    onset = np.flatnonzero(np.abs(out) > 0.1)[0]
    assert abs(onset - 0.1 * to_hz) <= to_hz / 1000
