"""hibari: Kokoro's af_heart distilled to 8 MB, some 100 times faster than real time on one core. The default.

Its package is used as a library for phonemes and signal processing; the network runs in our own session, so that the
phoneme durations can be read and nothing is ever downloaded (the package would fetch its other voices by itself).
"""

from pathlib import Path

import numpy as np
from hibari import dsp
from numpy.typing import NDArray

from services.common.models.store import sha256_of
from services.tts.durations import open_model
from services.tts.phonemes import Phonemizer
from services.tts.phrasing import synthesize
from services.tts.speech import Speech, VoiceUnknown

VOICE = "heart"
# The same voice by Kokoro's name, so that an agent can name one voice for both engines.
_ALIASES = {"", VOICE, "af_heart"}
_DURATIONS = "/Clip_output_0"
_LONGEST = 400


class HibariEngine:
    """One voice, 24 kHz. Two threads may synthesize at once: the session and the signal processing keep no state."""

    name = "hibari"

    def __init__(self, model: Path, speed: float = 1.0) -> None:
        """`speed` 1.0 is the teacher's pace, 0.5 to 2.0."""
        self.model_sha256 = sha256_of(model)
        # More threads don't help a network this small; clauses side by side do.
        self._session, self._tells = open_model(model, 1, _DURATIONS)
        self._phonemizer = Phonemizer()
        self._speed = np.asarray([speed], np.float32)

    def voice(self, name: str) -> str:
        if name not in _ALIASES:
            raise VoiceUnknown(f"engine hibari has the voice {VOICE!r}, not {name!r}")
        return VOICE

    def synthesize(self, text: str, voice: str) -> Speech:
        return synthesize(text, self._phonemizer, self._run, dsp.SR, _LONGEST)

    def _run(self, ids: list[int]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        out = self._session.run(None, {"ids": np.asarray([ids], np.int64), "speed": self._speed})
        spectrum = [one[0] for one in out[:6]]
        # The breath noise is drawn from a fixed seed: the same text is the same sound, here and on another worker.
        samples: NDArray[np.float32] = dsp.synth(*spectrum, np.random.default_rng(0))
        return samples, np.ravel(out[6]) if self._tells else None
