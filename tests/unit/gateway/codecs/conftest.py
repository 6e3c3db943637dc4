from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Samples = NDArray[np.int16]


def _speech(rate_hz: int, seconds: float = 2.0) -> Samples:
    """Harmonics of a gliding pitch under three formants, in syllables with a pause each: like a vowel to a codec."""
    at = np.arange(round(rate_hz * seconds)) / rate_hz
    pitch_hz = 130 + 30 * np.sin(2 * np.pi * 1.3 * at)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    voice = np.zeros(len(at))
    for harmonic in range(1, 25):
        hz = harmonic * 130
        strength = sum(
            weight / (1 + ((hz - formant) / 150) ** 2) for formant, weight in ((600, 1), (1300, 0.6), (2500, 0.3))
        )
        voice += strength * np.sin(harmonic * phase)
    syllables = np.clip(1.6 * np.sin(2 * np.pi * 2.1 * at), 0, 1)
    return np.rint(9000 * voice / np.abs(voice).max() * syllables).astype("<i2")


@pytest.fixture(scope="session")
def speech() -> Callable[[int], Samples]:
    """A speech-like signal of 2 s, int16, at a rate in Hz."""
    return _speech


def _snr_db(reference: Samples, heard: Samples, latest: int = 400) -> float:
    width = len(reference) - latest
    first = reference[:width].astype(float)
    best = -np.inf
    for delay in range(latest):
        second = heard[delay : delay + width].astype(float)
        if len(second) < width:
            break
        error = np.sum((first - second) ** 2)
        best = max(best, 10 * np.log10(np.sum(first**2) / (error + 1e-9)))
    return float(best)


@pytest.fixture(scope="session")
def snr_db() -> Callable[..., float]:
    """Signal to noise of (reference, heard) at the delay of up to `latest` samples where it is best."""
    return _snr_db
