"""Ways by which an agent's voice comes back on a telephone line, made by rule: a hybrid's and a speakerphone's.

All sound is float64 at 8 kHz in units of 16-bit samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evals.caller import g711, wav

RATE_HZ = 8000
FRAME = RATE_HZ // 50
VOICES = Path(__file__).parent / "voices"
HUMAN = Path(__file__).parent.parent / "tests" / "data" / "librivox_ill_disposed.wav"
Sound = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Way:
    """`level_db`: of the echo below the agent's voice. `jump_ms`: the delay grows by this half-way.

    `ends`: half-way the caller takes up the handset, and no echo comes any more.
    """

    kind: str  # "hybrid", "speakerphone" or "clean"
    delay_ms: int
    level_db: float
    jump_ms: int = 0
    ends: bool = False


def dbov(sound: Sound) -> float:
    """RMS level of the 20 ms frames within 30 dB of the loudest, in dB below full scale."""
    power = (sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME) ** 2).mean(axis=1)
    return float(10 * np.log10(power[power > power.max() * 1e-3].mean() / 32768**2))


def at_level(sound: Sound, level_dbov: float) -> Sound:
    """The same, as loud as asked."""
    return sound * 10 ** ((level_dbov - dbov(sound)) / 20)


def phrase(voice: str, name: str) -> Sound:
    """A recorded phrase."""
    return wav.read(VOICES / voice / f"{name}.wav").astype(np.float64)


def agent_voice(voice: str, seconds: float, rng: np.random.Generator) -> Sound:
    """Phrase after phrase with short pauses, -20 dBov."""
    names = sorted(path.stem for path in (VOICES / voice).glob("*.wav"))
    rng.shuffle(names)
    parts: list[Sound] = []
    for name in cycle(names):
        parts += [phrase(voice, name), np.zeros(int(rng.uniform(0.1, 0.4) * RATE_HZ))]
        if sum(map(len, parts)) > seconds * RATE_HZ:
            break
    return at_level(np.concatenate(parts)[: int(seconds * RATE_HZ)], -20.0)


def comes_back(played: Sound, way: Way, rng: np.random.Generator) -> Sound:
    """What of `played` the far end sends back, as long as `played`."""
    if way.kind == "clean":
        return np.zeros(len(played))
    sound = played
    if way.kind == "speakerphone":
        sound = np.tanh(played / 6000.0) * 6000.0  # a small loudspeaker driven hard: -20 dBov speech peaks near 12000
        length = int(0.3 * RATE_HZ)
        tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / (0.35 * RATE_HZ))  # T60 of 350 ms
        response = 0.12 * tail
        response[0] += 1.0
        response[: 6 * 8] += 0.3 * rng.standard_normal(48) * np.exp(-np.arange(48) / 16)
    else:
        response = rng.standard_normal(64) * np.exp(-np.arange(64) / 12)
    response = np.convolve(response, [-0.2, 0.9, -0.2])  # neither end carries the lowest and highest well
    echo = np.convolve(sound, response)[: len(played)]
    echo = echo * 10 ** ((dbov(played) + way.level_db - dbov(echo)) / 20)
    out = np.zeros(len(played))
    half = len(played) // 2
    for start, end, delay_ms in ((0, half, way.delay_ms), (half, len(played), way.delay_ms + way.jump_ms)):
        delay = delay_ms * RATE_HZ // 1000
        out[start:end] = np.concatenate([np.zeros(delay), echo])[start:end]
    if way.ends:
        out[half:] = 0
    return out


def companded(sound: Sound) -> Sound:
    """Through µ-law once."""
    samples = np.clip(np.round(sound), -32768, 32767).astype(np.int16)
    return g711.decode(g711.encode(samples, g711.PCMU), g711.PCMU).astype(np.float64)


def arrivals(frames: int, jitter_ms: int, rng: np.random.Generator) -> Iterator[int]:
    """The slot in which each caller frame arrives: late by up to twice `jitter_ms`, never out of order."""
    latest = 0
    for frame in range(frames):
        latest = max(latest, frame + round(rng.uniform(0, 2 * jitter_ms) / 20))
        yield latest
