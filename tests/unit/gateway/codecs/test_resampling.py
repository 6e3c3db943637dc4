"""Rates change without a wait, a lost sample or an edge."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.codecs.resampling import LATENCY_MS, Downsampler, Upsampler


def tone(hz: float, rate_hz: int, count: int) -> np.ndarray:
    return np.rint(8000 * np.sin(2 * np.pi * hz * np.arange(count) / rate_hz)).astype("<i2")


def level_db(samples: np.ndarray) -> float:
    return float(20 * np.log10(np.std(samples[200:-200].astype(float)) / (8000 / 2**0.5) + 1e-9))


@pytest.mark.parametrize("hz", [200, 1000, 2500, 3400])
def test_up_and_down_again_is_the_same_a_little_later(hz: int) -> None:
    samples = tone(hz, 8000, 4000)
    back = np.frombuffer(Downsampler().push(Upsampler().push(samples.tobytes())), "<i2")
    late = (23 + 22) / 2  # samples at 16 kHz, of which 8 kHz has half
    ideal = 8000 * np.sin(2 * np.pi * hz * (np.arange(4000) - late) / 8000)
    assert np.abs(back - ideal)[100:].max() < 60


@pytest.mark.parametrize(("hz", "most_db"), [(1000, 0.05), (3400, 0.05), (4600, -49), (6000, -58)])
def test_what_8_khz_can_not_carry_is_gone(hz: int, most_db: float) -> None:
    level = level_db(np.frombuffer(Downsampler().push(tone(hz, 16000, 8000).tobytes()), "<i2"))
    assert level <= most_db
    if hz < 4000:
        assert level >= -0.05


@pytest.mark.parametrize("hz", [300, 1000, 3400])
def test_no_image_above_4_khz(hz: int) -> None:
    spectrum = np.abs(np.fft.rfft(np.frombuffer(Upsampler().push(tone(hz, 8000, 8000).tobytes()), "<i2")[2000:14000]))
    at = round(hz * 12000 / 16000)
    assert np.argmax(spectrum) == at
    assert 20 * np.log10(spectrum[round(4600 * 0.75) :].max() / spectrum[at]) < -49


@given(st.lists(st.integers(0, 300), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_packets_of_any_length_are_one_stream(lengths: list[int], seed: int) -> None:
    samples = np.random.default_rng(seed).integers(-32768, 32768, 2 * sum(lengths)).astype("<i2")
    for whole, parts, each in ((Upsampler(), Upsampler(), 1), (Downsampler(), Downsampler(), 2)):
        pcm = samples[: each * sum(lengths)].tobytes()
        out, at = [], 0
        for length in lengths:
            out.append(parts.push(pcm[at : at + 2 * each * length]))
            at += 2 * each * length
            assert len(out[-1]) == (4 if each == 1 else 2) * length
        assert b"".join(out) == whole.push(pcm)


def test_full_scale_does_not_wrap() -> None:
    square = np.repeat(np.array([32767, -32768] * 20, "<i2"), 20)
    up = np.frombuffer(Upsampler().push(square.tobytes()), "<i2").astype(int)
    assert np.abs(np.diff(up[100:])).max() < 50000


def test_latency_is_told() -> None:
    click = np.zeros(160, "<i2")
    click[50] = 10000
    up = np.frombuffer(Upsampler().push(click.tobytes()), "<i2")
    assert np.argmax(up) - 100 == round(LATENCY_MS * 16)


def test_half_of_an_odd_number_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        Downsampler().push(bytes(6))
