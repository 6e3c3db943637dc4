"""What a line does to a recording: rates, levels, noise at its ratio, the same at every run."""

import numpy as np
import pytest

from evals.recognition import conditions
from evals.recognition.conditions import AFTER_S, BEFORE_S, LINE_HZ, WIDE_HZ, active_power, made, mixed, noise

SECONDS = 2


def tone(rate_hz: int, amplitude: float = 3000.0) -> np.ndarray:
    time_s = np.arange(SECONDS * rate_hz) / rate_hz
    return np.asarray(amplitude * np.sin(2 * np.pi * 700 * time_s), np.int16)


def decibel(ratio: float) -> float:
    return float(10 * np.log10(ratio))


@pytest.mark.parametrize("condition", list(conditions.RATE_HZ))
def test_the_speech_is_at_its_level_and_in_the_middle(condition: str) -> None:
    rate_hz = conditions.RATE_HZ[condition]
    sound = made("a", tone(48_000), 48_000, condition).astype(float)
    assert len(sound) == pytest.approx((BEFORE_S + SECONDS + AFTER_S) * rate_hz, abs=2)
    speech = sound[int((BEFORE_S + 0.1) * rate_hz) : int((BEFORE_S + SECONDS - 0.1) * rate_hz)]
    noise_db = decibel(1.1) if condition == "ulaw_snr10" else 0.0
    assert decibel((speech**2).mean() / 32768**2) == pytest.approx(-26 + noise_db, abs=0.3)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_noise_is_mixed_at_the_ratio_to_the_active_speech(snr_db: float) -> None:
    pause = np.zeros(4 * LINE_HZ)
    speech = np.concatenate([pause, tone(LINE_HZ).astype(float), pause])
    added = mixed(speech, noise("a", len(speech)), snr_db, LINE_HZ) - speech
    assert decibel(active_power(speech, LINE_HZ) / (added**2).mean()) == pytest.approx(snr_db, abs=0.01)


def test_pauses_do_not_lower_the_active_power() -> None:
    speech = tone(LINE_HZ).astype(float)
    padded = np.concatenate([speech, np.zeros(10 * LINE_HZ)])
    assert active_power(padded, LINE_HZ) == pytest.approx(active_power(speech, LINE_HZ))


def test_noise_depends_on_the_clip_and_on_nothing_else() -> None:
    assert np.array_equal(noise("a", LINE_HZ), noise("a", LINE_HZ))
    assert not np.array_equal(noise("a", LINE_HZ), noise("b", LINE_HZ))
    assert float((noise("a", LINE_HZ) ** 2).mean()) == pytest.approx(1)


def test_silence_stays_silence() -> None:
    assert not made("a", np.zeros(WIDE_HZ, np.int16), WIDE_HZ, "clean_16k").any()


def test_a_telephone_recording_is_not_made_wide() -> None:
    with pytest.raises(ValueError, match="clean_16k needs 16000 Hz"):
        made("a", tone(LINE_HZ), LINE_HZ, "clean_16k")


def test_an_unknown_condition_is_named() -> None:
    with pytest.raises(ValueError, match="'alaw': expected one of clean_16k"):
        made("a", tone(LINE_HZ), LINE_HZ, "alaw")
