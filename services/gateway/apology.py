"""What the caller hears when no brain can be had; in memory, so that it needs nobody."""

import wave
from functools import cache
from pathlib import Path

from services.common.media.frame import END_OF_UTTERANCE, AudioFrame, samples_per_frame
from services.gateway.g711 import SAMPLE_RATE_HZ

APOLOGY_WAV = Path(__file__).parent / "prompts" / "apology.wav"
# The highest id there is: no brain counts so far in one call.
UTTERANCE_ID = 0xFFFFFFFF


@cache
def apology() -> tuple[AudioFrame, ...]:
    """The apology as an utterance. Raises OSError, wave.Error or ValueError when the file is not 8 kHz mono s16."""
    with wave.open(str(APOLOGY_WAV), "rb") as wav:
        if (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) != (SAMPLE_RATE_HZ, 1, 2):
            raise ValueError(f"{APOLOGY_WAV}: expected 8 kHz, mono, 16 bit")
        pcm = wav.readframes(wav.getnframes())
    size = 2 * samples_per_frame(SAMPLE_RATE_HZ)
    pieces = [pcm[at : at + size].ljust(size, b"\0") for at in range(0, len(pcm), size)]
    return tuple(
        AudioFrame(
            sequence, 0, SAMPLE_RATE_HZ, piece, UTTERANCE_ID, END_OF_UTTERANCE if sequence == len(pieces) - 1 else 0
        )
        for sequence, piece in enumerate(pieces)
    )
