"""What the caller hears when no brain can be had; in memory, so that it needs nobody."""

import wave
from functools import cache
from pathlib import Path

import numpy as np
import soxr

from services.common.media.frame import END_OF_UTTERANCE, AudioFrame, samples_per_frame

APOLOGY_WAV = Path(__file__).parent / "prompts" / "apology.wav"
_WAV_HZ = 8000
# The highest id there is: no brain counts so far in one call.
UTTERANCE_ID = 0xFFFFFFFF


@cache
def apology(sample_rate_hz: int) -> tuple[AudioFrame, ...]:
    """The apology as an utterance. Raises OSError, wave.Error or ValueError when the file is not 8 kHz mono s16."""
    with wave.open(str(APOLOGY_WAV), "rb") as wav:
        if (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) != (_WAV_HZ, 1, 2):
            raise ValueError(f"{APOLOGY_WAV}: expected 8 kHz, mono, 16 bit")
        pcm = wav.readframes(wav.getnframes())
    if sample_rate_hz != _WAV_HZ:
        pcm = soxr.resample(np.frombuffer(pcm, "<i2"), _WAV_HZ, sample_rate_hz).tobytes()
    size = 2 * samples_per_frame(sample_rate_hz)
    pieces = [pcm[at : at + size].ljust(size, b"\0") for at in range(0, len(pcm), size)]
    last = len(pieces) - 1
    return tuple(
        AudioFrame(sequence, 0, sample_rate_hz, piece, UTTERANCE_ID, END_OF_UTTERANCE if sequence == last else 0)
        for sequence, piece in enumerate(pieces)
    )
