"""How long this caller pauses inside a turn, learned while the call runs. Pure.

Only pauses after which the caller went on are counted. The machine cannot see one that is longer than the silence it
waits for, unless the caller goes on before the answer is audible; so what is seen is a lower bound, and moves the
needed silence up more than down.
"""

from bisect import insort
from collections import deque
from dataclasses import dataclass, field

# Pauses inside turns are log-normal with a median near 0.45 s in spontaneous speech (Campione and Véronis 2002; Heldner
# and Edlund 2010). Five quantiles of it stand in for pauses heard before the call.
_PRIOR_MS = (240, 340, 450, 600, 840)
_QUANTILE = 0.8
_PRIOR_QUANTILE_MS = 648.0
_SHORTEST_MS = 120  # the closure of a plosive, not a pause
_LONGEST_MS = 3000  # looking for a card, talking to somebody else
_KEPT = 16
_FEW = 4
_LEAST_SHIFT_MS = -40
_GREATEST_SHIFT_MS = 350


@dataclass(slots=True)
class Pauses:
    """One a call."""

    _seen_ms: deque[int] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def went_on(self, pause_ms: int) -> None:
        """The caller was silent for so long inside a turn, and then spoke on."""
        if _SHORTEST_MS <= pause_ms <= _LONGEST_MS:
            self._seen_ms.append(pause_ms)

    @property
    def count(self) -> int:
        """Pauses the statistics rest on; at most the last 16."""
        return len(self._seen_ms)

    def usual_longest_ms(self) -> float:
        """The 80 % quantile of this caller's pauses; of everybody's, while few were heard."""
        ordered = list(_PRIOR_MS)
        for pause in self._seen_ms:
            insort(ordered, pause)
        place = _QUANTILE * (len(ordered) - 1)
        below = int(place)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (place - below) * (ordered[above] - ordered[below])

    def shift_ms(self) -> int:
        """What to add to the silence that ends a turn of an average caller; from -40 to 350."""
        shift = round(self.usual_longest_ms() - _PRIOR_QUANTILE_MS)
        # One short pause says nothing of the longer ones.
        least = _LEAST_SHIFT_MS if self.count >= _FEW else 0
        return max(least, min(_GREATEST_SHIFT_MS, shift))
