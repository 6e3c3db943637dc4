"""Makes synthesized speech ready for the line: silence off, one level, no clipping, the call's sample rate.

Pure. Samples are float32 in [-1, 1] until `to_pcm`.
"""

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# The level of the speech itself, pauses not counted (as ITU-T P.56 has it): loud enough through G.711 beside a person's
# voice, which trunks carry at some -20 dBFS, with room for a limiter above.
SPEECH_LEVEL_DBFS = -20.0
# A clause of whispered consonants must not be blown up to a shout.
LARGEST_GAIN_DB = 15.0
# -1 dBFS: µ-law's own ceiling less the overshoot of a carrier's resampler.
CEILING = 0.89
_WINDOW_MS = 5
# Below the clause's loudest parts. The engines' silence lies 50 dB and more below them, an "h" or "f" some 30.
_SILENCE_BELOW_PEAK_DB = 38.0
_KEEP_BEFORE_MS = 5
_KEEP_BEHIND_MS = 30
_FADE_MS = 2


def levels(samples: Samples, rate_hz: int, window_ms: int = _WINDOW_MS) -> NDArray[np.float32]:
    """RMS of each whole or last window, linear."""
    size = max(rate_hz * window_ms // 1000, 1)
    padded = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
    rms: NDArray[np.float32] = np.sqrt(np.mean(padded * padded, axis=1, dtype=np.float32))
    return rms


def sounding(samples: Samples, rate_hz: int) -> tuple[int, int]:
    """[first, last) sample to keep: the speech, 5 ms before it and 30 ms behind. (0, 0) when there is none."""
    rms = levels(samples, rate_hz)
    if not len(rms) or not (loudest := float(np.percentile(rms, 95))) > 1e-4:
        return 0, 0
    loud = np.flatnonzero(rms > loudest * 10 ** (-_SILENCE_BELOW_PEAK_DB / 20))
    window = rate_hz * _WINDOW_MS // 1000
    first = int(loud[0]) * window - rate_hz * _KEEP_BEFORE_MS // 1000
    last = (int(loud[-1]) + 1) * window + rate_hz * _KEEP_BEHIND_MS // 1000
    return max(first, 0), min(last, len(samples))


def speech_level(samples: Samples, rate_hz: int) -> float:
    """RMS of the windows that hold speech, linear; 0 when there is none."""
    rms = levels(samples, rate_hz, 20)
    if not len(rms):
        return 0.0
    active = rms[rms > 0.1 * np.percentile(rms, 95)]
    return float(np.sqrt(np.mean(active * active))) if len(active) else 0.0


def level(samples: Samples, rate_hz: int, target_dbfs: float = SPEECH_LEVEL_DBFS) -> Samples:
    """The samples with their speech at the target level, peaks limited to -1 dBFS."""
    now = speech_level(samples, rate_hz)
    if now <= 0:
        return samples
    gain = min(10 ** (target_dbfs / 20) / now, 10 ** (LARGEST_GAIN_DB / 20))
    return limit(samples * np.float32(gain), rate_hz)


def limit(samples: Samples, rate_hz: int) -> Samples:
    """Turns down what would pass the ceiling, smoothly: 5 ms of look-ahead and release."""
    size = np.abs(samples)
    if not len(samples) or float(size.max()) <= CEILING:
        return samples
    wanted = np.minimum(CEILING / np.maximum(size, 1e-9), 1.0)
    half = max(rate_hz * _WINDOW_MS // 1000, 1)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(wanted, half, constant_values=1.0), 2 * half + 1)
    lowest = windows.min(axis=1)
    kernel = np.hanning(half + 2)[1:-1]
    smooth = np.convolve(np.pad(lowest, half, mode="edge"), kernel / kernel.sum(), mode="same")[half:-half]
    # The smoothing may leave a hair above the ceiling; a hair of clipping is not heard.
    limited: Samples = np.clip(samples * smooth, -CEILING, CEILING).astype(np.float32)
    return limited


def fade(samples: Samples, rate_hz: int) -> Samples:
    """No click where silence was cut off."""
    count = min(rate_hz * _FADE_MS // 1000, len(samples) // 2)
    if count:
        ramp = np.linspace(0, 1, count, endpoint=False, dtype=np.float32)
        samples = samples.copy()
        samples[:count] *= ramp
        samples[-count:] *= ramp[::-1]
    return samples


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Linear phase: a sample's time does not move."""
    if from_hz == to_hz or not len(samples):
        return samples
    out: Samples = soxr.resample(samples, from_hz, to_hz, quality="HQ").astype(np.float32)
    return out


def to_pcm(samples: Samples) -> NDArray[np.int16]:
    """Full scale is 32767."""
    pcm: NDArray[np.int16] = np.clip(np.rint(samples * 32767.0), -32768, 32767).astype(np.int16)
    return pcm
