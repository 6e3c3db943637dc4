"""Smart Turn: does the sound of the last seconds say that the caller has finished?

The network hears what a caller hears of another: intonation, a drawl, the rhythm of a phrase. It knows no words of the
question, so it never decides alone.
Source: pipecat-ai/smart-turn, version 3.2 (BSD-2-Clause): Whisper tiny's encoder and a small head, over 8 s.
"""

from pathlib import Path

import numpy as np
import soxr
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from services.asr.onnx import one_thread_session
from services.asr.segment import Segment

RATE_HZ = 16_000
WINDOW_S = 8
BANDS = 80
FRAMES = 800
"""10 ms each."""

_SAMPLES = WINDOW_S * RATE_HZ
_LEAST_VARIANCE = 1e-7  # as in transformers' WhisperFeatureExtractor: silence must not be divided by 0


class SmartTurn:
    """The loaded network. 50 ms of one core (EPYC) a judgement, 3 ms of it for the features."""

    def __init__(self, path: Path) -> None:
        """Raises onnxruntime's errors when the file is no such model."""
        # Judgements run beside passes that fill the other cores: more threads would only wait for each other.
        self._session = one_thread_session(path)
        self._mel = FeatureExtractor(feature_size=BANDS, chunk_length=WINDOW_S)

    def __call__(self, clip: Segment) -> float:
        """That the turn whose sound ends with this clip is over, 0 to 1. The last 8 s count."""
        logits = self._session.run(None, {"input_features": self.features(clip.samples, clip.sample_rate_hz)})
        return float(logits[0][0, 0])  # called logits, but the sigmoid is inside

    def features(self, samples: NDArray[np.int16], sample_rate_hz: int) -> NDArray[np.float32]:
        """Whisper's log-mel spectrogram of the last 8 s, shape (1, 80, 800); a shorter clip has silence before it."""
        sound = samples[-WINDOW_S * sample_rate_hz :].astype(np.float32) * np.float32(1 / 32768)
        if sample_rate_hz != RATE_HZ:
            sound = np.asarray(soxr.resample(sound, sample_rate_hz, RATE_HZ, quality="HQ"), np.float32)
        window = np.zeros(_SAMPLES, np.float32)
        if len(sound):
            sound = sound[-_SAMPLES:]
            window[-len(sound) :] = sound
        window = (window - window.mean()) / np.sqrt(window.var() + _LEAST_VARIANCE)
        mel: NDArray[np.float32] = np.asarray(self._mel(window, padding=0), np.float32)
        return mel[np.newaxis, :, :FRAMES]
