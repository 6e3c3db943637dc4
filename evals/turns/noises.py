"""What else is on a line: noise of a given kind and level, and the sounds people make that are no words. Pure.

Sound is float64 in 16-bit units at 8 kHz, in the band of a telephone; every function takes its random generator.
"""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

RATE_HZ = 8000
FULL_SCALE = 32768.0

Sound = NDArray[np.float64]


def amplitude(dbov: float) -> float:
    """RMS in 16-bit units."""
    return FULL_SCALE * float(10 ** (dbov / 20))


def at_rms(sound: Sound, dbov: float) -> Sound:
    """The sound at this RMS over its whole length; silence stays silence."""
    rms = float(np.sqrt((sound**2).mean())) if len(sound) else 0.0
    return sound * (amplitude(dbov) / rms) if rms else sound


def band(sound: Sound, low_hz: float, high_hz: float, slope: float = 0.0) -> Sound:
    """The part between two frequencies; `slope` is the power of the frequency its amplitude falls with."""
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    gain = np.where((hz >= low_hz) & (hz <= high_hz), np.maximum(hz, 1.0) ** -slope, 0.0)
    return np.asarray(np.fft.irfft(spectrum * gain, len(sound)), np.float64)


def white(length: int, rng: Generator) -> Sound:
    return band(rng.standard_normal(length), 200, 3600)


def pink(length: int, rng: Generator) -> Sound:
    return band(rng.standard_normal(length), 200, 3600, slope=0.5)


def hum(length: int, rng: Generator) -> Sound:
    """50 Hz mains: what of its harmonics passes a telephone, and a little hiss."""
    t = np.arange(length) / RATE_HZ
    tones = [np.sin(2 * np.pi * 50 * n * t + rng.uniform(0, 2 * np.pi)) / n for n in (4, 5, 6, 7, 9, 11, 13)]
    return np.asarray(np.sum(tones, axis=0) + 0.02 * rng.standard_normal(length), np.float64)


def keys(length: int, rng: Generator) -> Sound:
    """Typing: a press and a softer release, four to seven a second with pauses between words."""
    sound = np.zeros(length)
    at = int(rng.uniform(0.0, 0.1) * RATE_HZ)
    while at < length:
        for delay_s, loudness in ((0.0, 1.0), (rng.uniform(0.05, 0.09), 0.4)):
            start = at + int(delay_s * RATE_HZ)
            click = rng.standard_normal(160) * np.exp(-np.arange(160) / rng.uniform(12, 30)) * loudness
            stop = min(start + len(click), length)
            if start < length:
                sound[start:stop] += click[: stop - start]
        at += int(rng.uniform(0.14, 0.25) * RATE_HZ) + (int(0.4 * RATE_HZ) if rng.random() < 0.15 else 0)
    return band(sound, 300, 3600)


def babble(length: int, voices: Sequence[Sound], rng: Generator) -> Sound:
    """Five talkers at once, each of several recordings in a row."""
    sum_ = np.zeros(length)
    for _ in range(5):
        parts: list[Sound] = []
        while sum(len(part) for part in parts) < length + RATE_HZ:
            parts.append(voices[int(rng.integers(len(voices)))])
        talk = np.concatenate(parts)
        start = int(rng.integers(0, RATE_HZ))
        sum_ += talk[start : start + length] * rng.uniform(0.5, 1.0)
    return sum_


def cough(rng: Generator) -> Sound:
    """One to three bursts: an explosion, then air with a little voice in it. Loudest about 12 dB over speech's mean."""
    bursts = []
    for _ in range(int(rng.integers(1, 4))):
        length = int(rng.uniform(0.18, 0.32) * RATE_HZ)
        t = np.arange(length) / RATE_HZ
        air = band(rng.standard_normal(length), 400, 3200, slope=0.3)
        air /= np.abs(air).max()
        burst = air * np.exp(-t / 0.035)
        wheeze = air * 0.35 * np.sin(np.pi * np.minimum(t / t[-1], 1.0)) ** 2
        pitch = 2 * np.pi * np.cumsum(rng.uniform(130, 200) * (1 - 0.4 * t / t[-1])) / RATE_HZ
        voice = sum(np.sin(n * pitch) / n for n in range(2, 12)) * 0.10 * np.sin(np.pi * t / t[-1]) ** 2
        bursts += [burst + wheeze + voice, np.zeros(int(rng.uniform(0.05, 0.18) * RATE_HZ))]
    return np.concatenate(bursts[:-1]) * amplitude(-8.0)


def breath(rng: Generator) -> Sound:
    """Air into the microphone, 0.5 to 1 s."""
    length = int(rng.uniform(0.5, 1.0) * RATE_HZ)
    air = band(rng.standard_normal(length), 300, 3000, slope=0.4)
    return at_rms(air * np.sin(np.pi * np.arange(length) / length) ** 1.5, rng.uniform(-38.0, -32.0))


def slam(rng: Generator) -> Sound:
    """A door: a crack and a boom that the room carries on."""
    length = int(0.5 * RATE_HZ)
    t = np.arange(length) / RATE_HZ
    crack = band(rng.standard_normal(length), 300, 3400, slope=0.6) * np.exp(-t / 0.03)
    room = band(rng.standard_normal(length), 250, 1200, slope=0.8) * np.exp(-t / rng.uniform(0.08, 0.14))
    both = crack / np.abs(crack).max() + 0.5 * room / np.abs(room).max()
    return np.asarray(both * amplitude(-9.0), np.float64)


def typing(rng: Generator) -> Sound:
    """Two seconds of keys close to the microphone."""
    sound = keys(2 * RATE_HZ, rng)
    return np.asarray(sound / np.abs(sound).max() * amplitude(-15.0), np.float64)


def distant(sound: Sound, rng: Generator) -> Sound:
    """As a room carries it from some metres away: late and dull, its direct sound weak."""
    length = int(0.35 * RATE_HZ)
    room = rng.standard_normal(length) * np.exp(-np.arange(length) / (0.07 * RATE_HZ)) * 0.12
    room[0] = 0.6
    return band(np.convolve(sound, room), 300, 2400, slope=0.3)
