"""Where the agent's own voice comes back: the delay, the linear part of the way, and the power in bands.

All sound here is float32 at 8 kHz in units of 16-bit samples. A lag is in samples: sample n of the caller's sound holds
what was played at n - lag.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]
Bands = NDArray[np.float32]

RATE_HZ = 8000
FRAME = RATE_HZ // 50
BLOCK_FRAMES = 16
BLOCK = BLOCK_FRAMES * FRAME
# The order of arrival tells the true delay to some frames only, so an echo may seem to come before its cause.
LEAST_LAG, MOST_LAG = -FRAME * 5, FRAME * 37
TAPS = 256  # 32 ms: a hybrid's whole response, a room's direct sound and first reflections
LEAD = 24  # taps before the strongest one: the way's response begins a little before its peak

# 24 bins from 266 Hz to 3.33 kHz: what any telephone carries; below lies hum.
_BINS_HZ = 266.0 + 133.3 * np.arange(24)
BANDS = len(_BINS_HZ)


def _analysis() -> Sound:
    n = np.arange(FRAME)
    phase = 2 * np.pi / RATE_HZ * np.outer(n, _BINS_HZ)
    window = np.hanning(FRAME + 2)[1:-1, None]
    return np.hstack([np.cos(phase) * window, np.sin(phase) * window]).astype(np.float32)


_ANALYSIS = _analysis()


def band_powers(frames: Sound) -> Bands:
    """(n, FRAME) to (n, BANDS): power of each frame in each band."""
    bins = np.dot(frames, _ANALYSIS)
    bins *= bins
    powers: Bands = bins[:, :BANDS] + bins[:, BANDS:]
    return powers


class Peak(NamedTuple):
    """The likeliest lag of a block, and how far it stands out: the correlation there in units of its spread."""

    lag: int
    prominence: float


_REACH = (BLOCK + MOST_LAG - LEAST_LAG) // 2
_SEARCH = 4860  # a length that the FFT is fast with; longer than _REACH, so that no lag wraps round
_LAGS = (MOST_LAG - LEAST_LAG) // 2
_LOW = round(300 / (RATE_HZ / 2) * _SEARCH)
_BIN = 8  # lags that vote together: 2 ms
_BINS = _LAGS // _BIN
# A block's lag that stands out by less is chance. Speech of two people has lags of 10 now and then, but elsewhere in
# the next block; an echo in a bad room has 5 to 9, in the same place.
_CHANCE = 3.5
_FADES = np.float32(0.85)
CERTAIN = 9.0
_NEAR = 24


def correlation(played: Sound, caller: Sound) -> Sound:
    """Generalised cross-correlation (Knapp and Carter, 1976) of BLOCK samples of the caller's, by lag.

    `played` begins MOST_LAG before the block's first sample and ends -LEAST_LAG after its last. Entry k is for the lag
    MOST_LAG - 2 k, in units of the correlation's spread.
    """
    reference = np.fft.rfft(played[0::2] + played[1::2], _SEARCH)
    heard = np.fft.rfft(caller[0::2] + caller[1::2], _SEARCH)
    cross = reference * heard.conj()
    cross[:_LOW] = 0
    size = np.abs(cross)
    size += 1e-3 * float(size.max()) + 1e-9
    # To the power of a quarter. Magnitudes taken out wholly (PHAT) let noise in bands without speech vote as loudly as
    # the speech; left in, they make every pitch period a peak.
    size = np.sqrt(size)
    cross /= size * np.sqrt(size)
    lags = np.abs(np.fft.irfft(cross, _SEARCH)[:_LAGS])
    lags /= float(np.sqrt(lags.dot(lags) / _LAGS)) + 1e-9
    return np.asarray(lags, np.float32)


class DelaySearch:
    """Blocks vote for lags, and their votes fade."""

    def __init__(self) -> None:
        self._votes = np.zeros(_BINS, np.float32)

    def block(self, played: Sound, caller: Sound, expected: int | None = None) -> tuple[Peak, Peak | None]:
        """(the best lag of all or near the `expected` one, the elected lag if there is one). See `correlation`."""
        lags = correlation(played, caller)
        self._votes *= _FADES
        self._votes += np.maximum(lags[: _BINS * _BIN].reshape(_BINS, _BIN).max(axis=1) - _CHANCE, 0)
        pairs = self._votes[1:] + self._votes[:-1]
        at = int(pairs.argmax())
        elected = _peak(lags, at * _BIN, (at + 2) * _BIN) if pairs[at] > CERTAIN else None
        if expected is None:
            return _peak(lags, 0, _LAGS), elected
        centre = (MOST_LAG - expected) // 2
        return _peak(lags, max(centre - _NEAR // 2, 0), min(centre + _NEAR // 2, _LAGS)), elected


def _peak(lags: Sound, first: int, end: int) -> Peak:
    if end <= first:
        return Peak(MOST_LAG, 0.0)
    at = first + int(lags[first:end].argmax())
    return Peak(MOST_LAG - 2 * at, float(lags[at]))


_FIT = 3072  # BLOCK + TAPS and some, so that the response's tail does not wrap round


def response(played: Sound, caller: Sound) -> Sound:
    """TAPS samples of the linear response, the last of them first: as `linear_echo` takes them.

    `played`: BLOCK + TAPS - 1 samples, the last of which is the block's last at the first tap's lag.
    """
    reference = np.fft.rfft(played, _FIT)
    heard = np.zeros(len(played), np.float32)
    heard[TAPS - 1 :] = caller
    cross = np.fft.rfft(heard, _FIT) * reference.conj()
    power = reference.real**2 + reference.imag**2
    taps = np.fft.irfft(cross / (power + 0.02 * float(power.mean()) + 1e-6), _FIT)[:TAPS]
    return np.ascontiguousarray(taps[::-1], np.float32)


def linear_echo(played: Sound, reversed_response: Sound) -> Sound:
    """What the response makes of n + TAPS - 1 played samples: the last n of the caller's samples at that lag."""
    echo: Sound = np.correlate(played, reversed_response, "valid")
    return echo
