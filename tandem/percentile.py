"""Percentiles, said once: nearest rank, so that each is a value that was measured."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed. Raises ValueError without values."""
    if not values:
        raise ValueError("no values to take a percentile of")
    rank = max(1, math.ceil(percent / 100 * len(values)))
    return sorted(values)[rank - 1]
