"""A sound that is whispered to one leg of a bridge, once: what was given made into frames of 20 ms."""

import io
import wave
from collections.abc import Callable

import numpy as np
import soxr

from services.common.media.frame import SAMPLE_RATES_HZ, samples_per_frame

LONGEST_S = 60
_RATE_HZ = 16_000
_FILE_RATES_HZ = range(8_000, 48_001)
_WANTED = "a whisper is a WAV of PCM with 16 bit, mono or stereo, 8000-48000 Hz"


class WhisperInvalid(ValueError):
    """Bytes that can't be whispered."""


class WhisperedSound:
    """PCM s16le mono and the place in it. `next` is a bridge's source."""

    def __init__(self, pcm: bytes, sample_rate_hz: int) -> None:
        """Raises WhisperInvalid for none, half a sample, more than LONGEST_S or another rate than a call's."""
        if sample_rate_hz not in SAMPLE_RATES_HZ:
            known = " or ".join(str(one) for one in SAMPLE_RATES_HZ)
            raise WhisperInvalid(f"sample_rate_hz is {sample_rate_hz}; PCM is whispered at {known} Hz")
        if not pcm or len(pcm) % 2:
            raise WhisperInvalid(f"{len(pcm)} bytes of PCM: expected whole samples of 2 bytes, one at least")
        if len(pcm) > LONGEST_S * sample_rate_hz * 2:
            long_s = len(pcm) / 2 / sample_rate_hz
            raise WhisperInvalid(f"the sound has {long_s:.1f} s; a whisper has {LONGEST_S} s at most")
        self.sample_rate_hz = sample_rate_hz
        self.on_over: Callable[[], None] = lambda: None
        """Told once, when the last frame was taken; from within the mix of its bridge."""
        self._pcm = pcm
        self._size = 2 * samples_per_frame(sample_rate_hz)
        self._at = 0
        self._over = False

    @classmethod
    def from_wav(cls, data: bytes) -> "WhisperedSound":
        """Raises WhisperInvalid. Takes some 10 ms for a long one."""
        try:
            with wave.open(io.BytesIO(data), "rb") as wav:
                rate_hz, channels, width = wav.getframerate(), wav.getnchannels(), wav.getsampwidth()
                if width != 2 or channels not in (1, 2) or rate_hz not in _FILE_RATES_HZ:
                    raise WhisperInvalid(f"{8 * width} bit, {channels} channels, {rate_hz} Hz; {_WANTED}")
                pcm = wav.readframes(LONGEST_S * rate_hz + 1)
        except (wave.Error, EOFError, RuntimeError) as error:
            # A chunk longer than the file is a RuntimeError of the module's.
            raise WhisperInvalid(f"not readable as WAV ({error or 'it ends too early'}); {_WANTED}") from error
        samples = np.frombuffer(pcm[: len(pcm) // (2 * channels) * 2 * channels], "<i2")
        if len(samples) > LONGEST_S * rate_hz * channels:
            raise WhisperInvalid(f"the sound has more than {LONGEST_S} s, which a whisper has at most")
        if channels == 2:
            samples = np.rint(samples.reshape(-1, 2).mean(axis=1)).astype("<i2")
        if rate_hz not in SAMPLE_RATES_HZ:
            samples = np.asarray(soxr.resample(samples, rate_hz, _RATE_HZ, quality="HQ"), "<i2")
            rate_hz = _RATE_HZ
        return cls(samples[: LONGEST_S * rate_hz].tobytes(), rate_hz)

    @property
    def duration_ms(self) -> int:
        return len(self._pcm) * 1000 // (2 * self.sample_rate_hz)

    @property
    def over(self) -> bool:
        """All of it was taken."""
        return self._at >= len(self._pcm)

    def next(self) -> bytes | None:
        """The next 20 ms; None when it is over."""
        if self.over:
            if not self._over:
                self._over = True
                self.on_over()
            return None
        frame = self._pcm[self._at : self._at + self._size]
        self._at += self._size
        return frame
