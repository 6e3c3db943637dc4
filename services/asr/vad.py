"""Voice activity: Silero's network, one probability for each 32 ms of sound.

The network keeps a state and the tail of the window before, a call each; the session is shared by all calls.
Source: snakers4/silero-vad, version 6 (MIT): 256 samples and a context of 32 at 8 kHz, 512 and 64 at 16 kHz.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.asr.onnx import one_thread_session

WINDOW_MS = 32
WINDOW_US = WINDOW_MS * 1000
_CONTEXT_MS = 4
_STATE_SHAPE = (2, 1, 128)


class SileroModel:
    """The loaded network. Threads may share it: it holds no state of a call."""

    def __init__(self, path: Path) -> None:
        """Raises onnxruntime's errors when the file is no such model."""
        # A window costs 0.1-0.2 ms: waking a second thread would cost more than it saves.
        self._session = one_thread_session(path)

    def run(
        self, sound: NDArray[np.float32], state: NDArray[np.float32], sample_rate_hz: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.float32]]:
        """Context and window as one row of floats in -1..1 → (probability of speech, next state)."""
        probability, state = self._session.run(None, {"input": sound, "state": state, "sr": sample_rate_hz})
        return float(probability[0, 0]), state


class Vad:
    """One call's voice activity. Takes any lengths of sound, answers for each whole window in them."""

    def __init__(self, model: SileroModel, sample_rate_hz: int) -> None:
        self._model = model
        self._rate = np.array(sample_rate_hz, np.int64)
        self._window = sample_rate_hz * WINDOW_MS // 1000
        context = sample_rate_hz * _CONTEXT_MS // 1000
        self._context = context
        # Context, then the window being filled.
        self._sound = np.zeros((1, context + self._window), np.float32)
        self._filled = 0
        self._state = np.zeros(_STATE_SHAPE, np.float32)

    def hear(self, samples: NDArray[np.int16]) -> list[tuple[int, float]]:
        """(number of these samples at which a window was full, probability of speech 0..1), in order."""
        judged: list[tuple[int, float]] = []
        taken = 0
        while taken < len(samples):
            count = min(self._window - self._filled, len(samples) - taken)
            at = self._context + self._filled
            self._sound[0, at : at + count] = samples[taken : taken + count] * np.float32(1 / 32768)
            self._filled += count
            taken += count
            if self._filled == self._window:
                probability, self._state = self._model.run(self._sound, self._state, self._rate)
                self._sound[0, : self._context] = self._sound[0, -self._context :]
                self._filled = 0
                judged.append((taken, probability))
        return judged
