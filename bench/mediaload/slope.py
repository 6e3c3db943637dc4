"""Does memory grow? A line through the samples, and how far it is to be trusted. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FLAT_PCT = 1.0
"""What grows by less than this over the whole run is no leak that a night would show."""


@dataclass(frozen=True, slots=True)
class Slope:
    """`spread` is two standard errors: the true slope is within it in 19 of 20 runs."""

    per_minute: float
    spread: float
    growth_pct: float
    """Over the run, of the level at its begin."""

    @property
    def flat(self) -> bool:
        """The samples do not show that anything grows, or what grows is too small to matter."""
        return self.per_minute - self.spread <= 0 or self.growth_pct < FLAT_PCT


def slope(minutes: Sequence[float], values: Sequence[float]) -> Slope:
    """Least squares. Memory moves slowly, so neighbours are alike and tell less than they seem to: the error is
    widened by their correlation (AR(1), effective sample size). Raises ValueError for fewer than 4 samples."""
    if len(minutes) < 4 or len(minutes) != len(values):
        raise ValueError(f"{len(minutes)} samples: a slope wants at least 4")
    at, level = np.asarray(minutes, float), np.asarray(values, float)
    centred = at - at.mean()
    squares = float((centred**2).sum())
    per_minute = float((centred * level).sum()) / squares
    left = level - level.mean() - per_minute * centred
    energy = float((left**2).sum())
    alike = float((left[1:] * left[:-1]).sum()) / energy if energy > 0 else 0.0
    alike = min(max(alike, 0.0), 0.95)
    error = (energy / (len(at) - 2) / squares * (1 + alike) / (1 - alike)) ** 0.5
    begin = level.mean() + per_minute * centred[0]
    return Slope(per_minute, 2 * error, 100 * per_minute * float(at[-1] - at[0]) / begin if begin else 0.0)
