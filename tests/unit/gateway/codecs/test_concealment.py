"""What is made up sounds like what was, at both rates and in packets of any length, and fades."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.codecs.concealment import Concealer

RATES_HZ = [8000, 16000]


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(float)


def rms(pcm: bytes) -> float:
    return float(np.sqrt(np.mean(np.square(samples(pcm)))))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("packet_ms", [10, 20, 30, 60])
def test_a_tone_goes_on_in_phase_then_fades(rate_hz: int, packet_ms: int) -> None:
    count = packet_ms * rate_hz // 1000
    tone = np.rint(8000 * np.sin(2 * np.pi * 150 * np.arange(10 * count) / rate_hz)).astype("<i2")
    concealer = Concealer(rate_hz)
    for number in range(8):
        packet = tone[number * count : (number + 1) * count].tobytes()
        assert concealer.heard(packet) == packet
    made = samples(concealer.conceal(count))
    first_ms = 10 * rate_hz // 1000
    expected = tone[8 * count : 8 * count + first_ms].astype(float)
    # The lag is of whole samples: 150 Hz lies between two.
    assert np.abs(made[:first_ms] - expected).max() < 800
    for _ in range(6):
        concealer.conceal(count)
    assert concealer.conceal(count) == bytes(2 * count)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_one_length_of_loss_is_the_same_in_any_portions(rate_hz: int, speech: Callable) -> None:
    pcm = speech(rate_hz)[3000:].tobytes()
    step = 2 * rate_hz // 50
    whole, parts = Concealer(rate_hz), Concealer(rate_hz)
    for at in range(0, 5 * step, step):
        whole.heard(pcm[at : at + step])
        parts.heard(pcm[at : at + step])
    made = b"".join(parts.conceal(count) for count in (7, 100, rate_hz // 100, 1, 0))
    assert made == whole.conceal(len(made) // 2)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_it_begins_like_the_speech_and_is_as_loud(rate_hz: int, speech: Callable) -> None:
    voice = speech(rate_hz)
    step, first = rate_hz // 50, rate_hz // 200
    error, expected, loudness = 0.0, 0.0, 0.0
    for lost in range(5, 90, 6):
        concealer = Concealer(rate_hz)
        for number in range(lost - 4, lost):
            concealer.heard(voice[number * step : (number + 1) * step].tobytes())
        truth = voice[lost * step : (lost + 1) * step].astype(float)
        made = samples(concealer.conceal(step))
        # Later the pitch has glided on; waveforms no longer compare.
        error += float(np.sum((made - truth)[:first] ** 2))
        expected += float(np.sum(truth[:first] ** 2))
        loudness += float(np.sum(made[:first] ** 2))
    assert error < 0.5 * expected
    assert 0.7 * expected < loudness < 1.5 * expected


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_joint_after_a_loss_has_no_step(rate_hz: int) -> None:
    loud = np.full(rate_hz // 50, 12000, "<i2").tobytes()
    concealer = Concealer(rate_hz)
    concealer.heard(loud)
    made = concealer.conceal(rate_hz // 50)
    heard = concealer.heard(np.full(rate_hz // 50, -12000, "<i2").tobytes())
    steps = np.abs(np.diff(samples(made + heard)))
    assert steps.max() < 24000 / (4 * rate_hz // 1000) + 100
    assert samples(heard)[-1] == -12000


def test_nothing_heard_is_silence() -> None:
    concealer = Concealer(8000)
    assert concealer.conceal(160) == bytes(320)
    first = np.full(160, 5000, "<i2").tobytes()
    assert concealer.heard(first) == first


events = st.lists(
    st.one_of(st.binary(max_size=700).map(lambda data: data[: len(data) // 2 * 2]), st.integers(-5, 2000)), max_size=20
)


@given(events, st.sampled_from(RATES_HZ))
def test_lengths_hold_and_nothing_is_louder_than_what_was(happened: list[bytes | int], rate_hz: int) -> None:
    concealer = Concealer(rate_hz)
    loudest = 0.0
    for event in happened:
        if isinstance(event, bytes):
            loudest = max(loudest, *np.abs(samples(event)), 0.0) if event else loudest
            out = concealer.heard(event)
            assert len(out) == len(event)
        else:
            out = concealer.conceal(event)
            assert len(out) == 2 * max(0, event)
        assert not out or np.abs(samples(out)).max() <= loudest + 1
