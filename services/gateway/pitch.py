"""Joints in speech that nobody hears: one pitch period is like the next, so sound is cut and repeated by whole periods.

The method is waveform-similarity overlap-add (WSOLA), with the pitch search of ITU-T G.711 appendix I. Samples are PCM
s16le mono.
"""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

# Pitch of 66-400 Hz: 2.5-15 ms (appendix I §I.2.2 stops at 200 Hz; children speak higher).
SHORTEST_US = 2_500
LONGEST_US = 15_000
JOINT_US = 4_000
# RMS of a frame in a pause: -45 dBFS, above the noise of a line and below speech.
PAUSE_RMS = 184.0


def is_pause(samples: Samples) -> bool:
    """Whether nothing but the noise of a line is in them."""
    loud = samples.astype(np.float32)
    return float(np.dot(loud, loud)) <= PAUSE_RMS * PAUSE_RMS * len(samples)


def joined(before: Samples, after: Samples, sample_rate_hz: int) -> Samples:
    """`after`, whose first 4 ms fade in over what `before` (the sound that would have followed) begins with."""
    count = min(sample_rate_hz * JOINT_US // 1_000_000, len(before), len(after))
    rise = np.arange(1, count + 1, dtype=np.float32) / (count + 1)
    out = after.copy()
    out[:count] = np.rint(after[:count] * rise + before[:count] * (1 - rise)).astype(np.int16)
    return out


def likeness(first: Samples, second: Samples) -> float:
    """Normalised correlation of two stretches of the same length, -1 to 1; silence is like anything."""
    one, other = first.astype(np.float32), second.astype(np.float32)
    energy = float(np.dot(one, one)) * float(np.dot(other, other))
    return 1.0 if energy < 1.0 else float(np.dot(one, other)) / energy**0.5


def period(samples: Samples, sample_rate_hz: int) -> tuple[int, float]:
    """The lag, 2.5-15 ms in samples, at which the end of `samples` is most like what was before; and how like, -1 to 1.

    `samples` has 25 ms or more: the 10 ms at its end are compared.
    """
    window = sample_rate_hz // 100
    shortest, longest = sample_rate_hz * SHORTEST_US // 1_000_000, sample_rate_hz * LONGEST_US // 1_000_000
    sound = samples[-window - longest :].astype(np.float32)
    template = sound[-window:]
    past = sound[:-shortest]
    products = np.correlate(past, template, "valid")
    sums = np.concatenate((np.zeros(1, np.float64), np.cumsum(past.astype(np.float64) ** 2)))
    energies = sums[window:] - sums[:-window]
    own = float(np.dot(template, template))
    alike = products / np.sqrt(np.maximum(energies * own, 1.0))
    at = int(np.argmax(alike))
    return longest - at, float(alike[at])
