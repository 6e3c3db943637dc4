"""Kokoro-82M as int8 ONNX: 28 English voices, too slow to answer with on a small CPU (0.45 to 0.75 of real time)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.common.models.store import sha256_of
from services.tts.durations import open_model
from services.tts.phonemes import Phonemizer
from services.tts.phrasing import synthesize
from services.tts.speech import Speech, VoiceUnknown

DEFAULT_VOICE = "af_heart"
_RATE_HZ = 24000
_DURATIONS = "/encoder/Clip_output_0"
# Its position table has 512 places, its style table one row for each length up to 510.
_LONGEST = 512
_STYLE_SIZE = 256


class KokoroEngine:
    """Voices by Kokoro's names, 24 kHz."""

    name = "kokoro"

    def __init__(self, folder: Path, speed: float = 1.0, threads: int = 1) -> None:
        """`folder` holds model.onnx and voices/*.bin, as the model store lays them out."""
        model = folder / "model.onnx"
        self.model_sha256 = sha256_of(model)
        self._session, self._tells = open_model(model, threads, _DURATIONS)
        self._styles = {
            path.stem: np.fromfile(path, np.float32).reshape(-1, _STYLE_SIZE)
            for path in sorted((folder / "voices").glob("[ab]?_*.bin"))
        }
        self._american = Phonemizer()
        british = any(name.startswith("b") for name in self._styles)
        self._british = Phonemizer(british=True) if british else self._american
        self._speed = np.asarray([speed], np.float32)

    def voice(self, name: str) -> str:
        name = {"": DEFAULT_VOICE, "heart": DEFAULT_VOICE}.get(name, name)
        if name not in self._styles:
            raise VoiceUnknown(f"engine kokoro has no voice {name!r}; it has {', '.join(self._styles)}")
        return name

    def synthesize(self, text: str, voice: str) -> Speech:
        styles = self._styles[voice]

        def run(ids: list[int]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
            # A style for each number of phonemes, pads not counted.
            style = styles[min(max(len(ids) - 3, 0), len(styles) - 1)][None]
            out = self._session.run(None, {"tokens": np.asarray([ids], np.int64), "style": style, "speed": self._speed})
            return out[0], np.ravel(out[1]) if self._tells else None

        phonemizer = self._british if voice.startswith("b") else self._american
        return synthesize(text, phonemizer, run, _RATE_HZ, _LONGEST)
