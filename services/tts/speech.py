"""What an engine gives, whichever it is."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Speech:
    """Synthesized sound.

    `samples` float32 in [-1, 1] at `rate_hz`, with whatever silence the engine puts around them. `words` are the
    [start, end) samples of each white-space-separated word of the text, in order; a word with no sound is empty.
    """

    samples: NDArray[np.float32]
    rate_hz: int
    words: tuple[tuple[int, int], ...]


class VoiceUnknown(ValueError):
    """The engine has no such voice."""


class Engine(Protocol):
    """Text to sound. `synthesize` is called from several threads at once and blocks."""

    @property
    def name(self) -> str: ...

    @property
    def model_sha256(self) -> str:
        """Of the weights: part of a phrase's key in the cache."""
        ...

    def voice(self, name: str) -> str:
        """The voice that a name means, the default for an empty one. Raises VoiceUnknown."""
        ...

    def synthesize(self, text: str, voice: str) -> Speech: ...
