"""How loud the line is by itself: hiss, hum, a babble of voices, a television. Pure: powers of frames in, a level out.

The network calls babble speech, so its word cannot tell noise from the caller; a running floor can. The floor is a low
quantile of the frames in which nobody had the turn, so that a caller who begins does not raise it. How far noise rises
above its floor is read off the same frames, from their lower half: hiss stays within 3 dB, five talkers do not.
While an utterance lasts the floor follows the quietest moments in it: those are the line's, not the caller's.
"""

import numpy as np
from numpy.typing import NDArray

FRAME_MS = 20
MEMORY_S = 3.0
"""Long enough for a phrase to leave gaps in it, short enough to follow a car that drives off."""
FLOOR_QUANTILE = 0.2
QUIETEST_QUANTILE = 0.05
QUIETEST_DB = 6.0
"""Furthest that the floor lies above the quietest moments of the last MEMORY_S: noise that ceased is forgotten."""
RISE = 2.0
"""Times the distance from the floor to the median; with MARGIN_DB it holds 98 of 100 frames of babble (100 ms each)."""
MOST_RISE_DB = 8.0
"""Clicks of keys and the caller's own words have wider gaps below them, and are no floor."""
MARGIN_DB = 3.0
LEAST_FRAMES = 5
REFRESH_FRAMES = 5
"""Once it is well known it hardly moves in 100 ms."""

_FRAMES = int(MEMORY_S * 1000) // FRAME_MS
_SILENT = 1e-3


class _Ring:
    """The latest _FRAMES numbers, in no order."""

    def __init__(self) -> None:
        self._kept = np.zeros(_FRAMES)
        self._seen = 0

    def push(self, value: float) -> None:
        self._kept[self._seen % _FRAMES] = value
        self._seen += 1

    def __len__(self) -> int:
        return min(self._seen, _FRAMES)

    def quantiles_db(self, *quantiles: float) -> list[float]:
        ranks = [int(quantile * (len(self) - 1)) for quantile in quantiles]
        parted: NDArray[np.float64] = np.partition(self._kept[: len(self)], ranks)
        return [10 * float(np.log10(max(parted[rank], _SILENT))) for rank in ranks]


class LineNoise:
    """One call's. Powers are means of squared 16-bit samples."""

    def __init__(self) -> None:
        self._all = _Ring()
        self._idle = _Ring()
        self._ceiling = 0.0
        self._stale = 0  # frames since it was taken

    def hear(self, power: float, idle: bool) -> None:
        """The next 20 ms; `idle`: no utterance is under way."""
        self._all.push(power)
        if idle:
            self._idle.push(power)
        self._stale += 1

    def ceiling(self) -> float:
        """The power that the line's own sound stays under, over 40 ms or more; 0 while too little was heard."""
        if self._stale >= (REFRESH_FRAMES if len(self._idle) == _FRAMES else 1):
            self._ceiling, self._stale = self._taken(), 0
        return self._ceiling

    def _taken(self) -> float:
        if len(self._idle) < LEAST_FRAMES:
            return 0.0
        floor, median = self._idle.quantiles_db(FLOOR_QUANTILE, 0.5)
        (quietest,) = self._all.quantiles_db(QUIETEST_QUANTILE)
        rise = min(RISE * (median - floor), MOST_RISE_DB)
        floor = max(quietest, min(floor, quietest + QUIETEST_DB))
        return float(10 ** ((floor + rise + MARGIN_DB) / 10))
