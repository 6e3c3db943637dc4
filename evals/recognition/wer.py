"""Word error rate: substitutions, deletions and insertions over the words that were said.

The alignment is rapidfuzz's (Levenshtein over word lists). A rate over few clips is a rough figure: its interval comes
from the clips drawn anew with replacement (percentile bootstrap; Bisani and Ney, ICASSP 2004).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

DRAWS = 2000
SEED = 5
COVERAGE = 0.95


@dataclass(frozen=True, slots=True)
class Errors:
    """Counts of words; `said` is the reference's length."""

    said: int
    substituted: int = 0
    deleted: int = 0
    inserted: int = 0

    @property
    def wrong(self) -> int:
        return self.substituted + self.deleted + self.inserted


def errors(said: Sequence[str], heard: Sequence[str]) -> Errors:
    """The fewest edits that turn what was said into what was heard. Both as `normalisation.words` gives them."""
    counts = {"replace": 0, "delete": 0, "insert": 0}
    for edit in Levenshtein.editops(list(said), list(heard)):
        counts[edit.tag] += 1
    return Errors(len(said), counts["replace"], counts["delete"], counts["insert"])


def rate(clips: Sequence[Errors]) -> float | None:
    """Wrong words over words said, all clips as one text; None when nothing was said."""
    said = sum(one.said for one in clips)
    return sum(one.wrong for one in clips) / said if said else None


def interval(clips: Sequence[Errors], draws: int = DRAWS, seed: int = SEED) -> tuple[float, float] | None:
    """(low, high) that hold 95 % of the rates of clips drawn anew; None for fewer than two clips with words."""
    if sum(one.said > 0 for one in clips) < 2:
        return None
    # Clips without words stay in: what is heard in them counts as inserted, in the rate and here.
    said = np.array([one.said for one in clips])
    wrong = np.array([one.wrong for one in clips])
    drawn = np.random.default_rng(seed).integers(0, len(clips), (draws, len(clips)))
    rates = wrong[drawn].sum(axis=1) / np.maximum(said[drawn].sum(axis=1), 1)
    low, high = np.quantile(rates, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)
