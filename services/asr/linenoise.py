"""How loud the line is by itself: hiss, hum, a babble of voices, a television. Pure: powers of frames in, a level out.

The network calls babble speech, so its word cannot tell noise from the caller; a running floor can. The floor is a low
quantile of the frames in which nobody had the turn, so that a caller who begins does not raise it. How far noise rises
above its floor is read off the same frames, from their lower half: hiss stays within 3 dB, five talkers do not.
While an utterance lasts the floor follows the quietest moments in it: those are the line's, not the caller's.
"""

from collections import deque

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
"""Times the distance from the floor to the median, where the network hears speech in the noise: with MARGIN_DB above
it lie 1 to 5 of 100 stretches of 100 ms of babble. Other noise is taken by its median."""
MOST_RISE_DB = 8.0
"""A caller's own words have wider gaps below them, and are no floor."""
LIFTED_DB, NEW_RISE_DB = 3.0, 6.0
"""When the quietest moments lie so far above the floor, noise began while the caller spoke; how far it rises above its
own floor is not known then."""
UNSTEADY_DB, VOICED_SHARE = 1.2, 0.2
"""Babble and television: the median lies 2 to 6 dB above the floor, in hiss, hum and pink noise 0.1 to 0.8; there the
network hears speech in no window at all, in babble in a sixth of them at the median."""
MARGIN_DB, STEADY_DB = 3.0, 1.0
"""Steady noise is looked at 5 ms at a time, in which it reaches higher."""
SILENT = 32768.0**2 * 10 ** (-66.0 / 10)
"""-66 dBFS: what a gate or a codec leaves of a pause says nothing of the noise behind speech."""
LEAST_FRAMES, ENOUGH_FRAMES, LATEST_FRAMES = 5, 25, 10
REFRESH_FRAMES = 5
"""Once it is well known it hardly moves in 100 ms."""

_FRAMES = int(MEMORY_S * 1000) // FRAME_MS


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

    @property
    def kept(self) -> NDArray[np.float64]:
        return self._kept[: len(self)]


def _quantiles_db(power: NDArray[np.float64], *quantiles: float) -> list[float]:
    ranks = [int(quantile * (len(power) - 1)) for quantile in quantiles]
    parted = np.partition(power, ranks)
    return [10 * float(np.log10(max(parted[rank], SILENT))) for rank in ranks]


class LineNoise:
    """One call's. Powers are means of squared 16-bit samples over 20 ms."""

    def __init__(self) -> None:
        self._all = _Ring()
        self._idle = _Ring()
        self._voiced = _Ring()  # of the idle frames, 1 where the network heard speech
        self._latest: deque[tuple[float, float]] = deque()  # (power, voiced): perhaps an utterance begins in them
        self._ceiling = 0.0
        self._murmurs = False
        self._gated = False  # pauses on this line may be silent
        self._spoken = False  # until then nothing tells an unsteady line on which the network hears no speech
        self._stale = 0  # frames since they were taken

    def hear(self, power: float, idle: bool, voiced: bool) -> None:
        """The next 20 ms; `idle`: no utterance is under way; `voiced`: the network calls it speech."""
        self._all.push(power)
        self._stale += 1
        if idle:
            self._latest.append((power, float(voiced)))
            if len(self._latest) > LATEST_FRAMES:
                self._keep(*self._latest.popleft())

    def speech_began(self) -> None:
        """The latest frames are the caller's."""
        self._latest.clear()
        self._spoken = True

    def speech_ended(self, since: NDArray[np.float64], voiced: bool) -> None:
        """`since`: powers of the frames after its end, heard before it was known."""
        for power in since:
            self._keep(float(power), float(voiced))

    @property
    def murmurs(self) -> bool:
        """Is it such that the network calls it speech, or may? Only then must the level decide."""
        self._take()
        return self._murmurs

    @property
    def ceiling(self) -> float:
        """The power that the line's own sound stays under, over 40 ms or more; 0 while too little was heard."""
        self._take()
        return self._ceiling

    def _keep(self, power: float, voiced: float) -> None:
        if power <= SILENT:
            self._gated = True
            return
        self._idle.push(power)
        self._voiced.push(voiced)

    def _take(self) -> None:
        if self._stale < (REFRESH_FRAMES if len(self._idle) == _FRAMES else 1):
            return
        self._stale = 0
        idle, voiced = self._idle.kept, self._voiced.kept
        if len(idle) < ENOUGH_FRAMES and self._latest and not self._gated:  # a call begins
            latest = np.array(self._latest)
            idle, voiced = np.concatenate([idle, latest[:, 0]]), np.concatenate([voiced, latest[:, 1]])
        if len(idle) < LEAST_FRAMES:
            if len(self._all) < 2 * ENOUGH_FRAMES:
                self._murmurs, self._ceiling = False, 0.0
                return
            idle, voiced = np.full(1, SILENT), np.zeros(1)
        floor, median = _quantiles_db(idle, FLOOR_QUANTILE, 0.5)
        (quietest,) = _quantiles_db(self._all.kept, QUIETEST_QUANTILE)
        share = float(voiced.mean())
        unsteady = median - floor >= UNSTEADY_DB and (share > 0 or not self._spoken)
        self._murmurs = unsteady or share >= VOICED_SHARE
        rise = min(RISE * (median - floor), MOST_RISE_DB) if self._murmurs else median - floor + STEADY_DB
        if quietest > floor + LIFTED_DB:
            floor, rise = quietest, max(rise, NEW_RISE_DB)
        floor = min(floor, quietest + QUIETEST_DB)
        self._ceiling = float(10 ** ((floor + rise + MARGIN_DB) / 10))
