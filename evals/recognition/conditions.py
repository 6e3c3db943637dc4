"""What a line does to a recording: three conditions, each made by rule and the same at every run.

- clean_16k: 16 kHz, as recorded, its active speech at -26 dBov (ITU-T P.56's nominal level).
- ulaw: soxr to 8 kHz, G.711 µ-law and back.
- ulaw_snr10: the same with noise 10 dB under the active speech, added before µ-law: half its power is babble (the
  sum of the 4 voices of evals/voices, 3 streams each), half white noise. Both are seeded by the clip's name.

In each, a second of the line's own sound comes before and a second and a half after: on a call nobody speaks at once.
"""

import zlib
from collections.abc import Mapping
from functools import cache

import numpy as np
import soxr
import yaml
from numpy.typing import NDArray

from evals.caller import g711, wav
from evals.caller.phrases import VOICES

Sound = NDArray[np.float64]
"""Samples in int16's range."""
Samples = NDArray[np.int16]

WIDE_HZ, LINE_HZ = 16_000, 8_000
RATE_HZ: Mapping[str, int] = {"clean_16k": WIDE_HZ, "ulaw": LINE_HZ, "ulaw_snr10": LINE_HZ}
SPEECH_DBOV = -26.0
SNR_DB = 10.0
BEFORE_S, AFTER_S = 1.0, 1.5
STREAMS_A_VOICE = 3

_FULL_SCALE = 32768.0
_FRAME_S = 0.02
_ACTIVE_RANGE_DB = 30.0


def made(name: str, samples: Samples, rate_hz: int, condition: str) -> Samples:
    """A recording as it comes down the line under `condition`, at RATE_HZ[condition].

    Raises ValueError for an unknown condition, and for clean_16k of a recording below 16 kHz.
    """
    if condition not in RATE_HZ:
        raise ValueError(f"condition {condition!r}: expected one of {', '.join(RATE_HZ)}")
    target_hz = RATE_HZ[condition]
    if rate_hz < target_hz:
        raise ValueError(f"{name}: recorded at {rate_hz} Hz, {condition} needs {target_hz} Hz")
    sound = samples.astype(np.float64)
    if rate_hz != target_hz:
        sound = np.asarray(soxr.resample(sound, rate_hz, target_hz, quality="HQ"), np.float64)
    sound = sound * (_FULL_SCALE * 10 ** (SPEECH_DBOV / 20) / np.sqrt(active_power(sound, target_hz)))
    sound = np.concatenate([np.zeros(int(BEFORE_S * target_hz)), sound, np.zeros(int(AFTER_S * target_hz))])
    if condition == "ulaw_snr10":
        sound = mixed(sound, noise(name, len(sound)), SNR_DB, target_hz)
    line = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
    return line if condition == "clean_16k" else g711.decode(g711.encode(line, g711.PCMU), g711.PCMU)


def active_power(sound: Sound, rate_hz: int) -> float:
    """Mean power of the 20 ms frames within 30 dB of the loudest: speech without its pauses, close to ITU-T P.56.

    1.0 for silence, so that it can be divided by.
    """
    frame = int(_FRAME_S * rate_hz)
    whole = len(sound) // frame * frame
    power = (sound[:whole].reshape(-1, frame) ** 2).mean(axis=1)
    if not len(power) or power.max() <= 0:
        return 1.0
    return float(power[power >= power.max() * 10 ** (-_ACTIVE_RANGE_DB / 10)].mean())


def mixed(speech: Sound, noise: Sound, snr_db: float, rate_hz: int) -> Sound:
    """Speech and noise of the same length, the noise `snr_db` under the active speech."""
    wanted = active_power(speech, rate_hz) / 10 ** (snr_db / 10)
    scaled: Sound = noise * np.sqrt(wanted / max(float((noise**2).mean()), 1e-12))
    return speech + scaled


def noise(name: str, length: int) -> Sound:
    """Babble and white noise of equal power at 8 kHz, mean power 1; the same for the same name and length."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    babble = np.zeros(length)
    for talker in _talkers():
        for _ in range(STREAMS_A_VOICE):
            babble += np.take(talker, np.arange(length) + rng.integers(len(talker)), mode="wrap")
    babble /= np.sqrt(float((babble**2).mean()))
    white = rng.standard_normal(length)
    white /= np.sqrt(float((white**2).mean()))
    both: Sound = (babble + white) / np.sqrt(float(((babble + white) ** 2).mean()))
    return both


@cache
def _talkers() -> tuple[Sound, ...]:
    """Each voice's phrases one behind the other, at one level."""
    names = sorted(yaml.safe_load((VOICES / "phrases.yaml").read_text("utf-8")))
    folders = sorted(one for one in VOICES.iterdir() if any(one.glob("*.wav")))
    streams = []
    for folder in folders:
        stream = np.concatenate([wav.read(folder / f"{name}.wav") for name in names]).astype(np.float64)
        streams.append(stream / np.sqrt(active_power(stream, LINE_HZ)))
    return tuple(streams)
