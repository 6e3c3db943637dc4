"""Which silences the end of a turn is still to be judged in: each once. Pure; call times in microseconds."""

from dataclasses import dataclass

from services.asr.partials import COVERS_US

SAME_END_US = 15_000
"""Two findings of the last speech sample this close are the same: the level they are judged by moves a little."""


@dataclass(slots=True)
class Silences:
    """Of one call."""

    _judged_us: int | None = None

    def due(self, ended_us: int, heard_to_us: int) -> bool:
        """Is the silence behind the speech sample at ended_us, heard up to heard_to_us, long enough and not judged?"""
        if heard_to_us - ended_us < COVERS_US:
            return False
        return self._judged_us is None or abs(ended_us - self._judged_us) > SAME_END_US

    def judged(self, ended_us: int) -> None:
        self._judged_us = ended_us

    def over(self) -> None:
        """The caller speaks again."""
        self._judged_us = None
