"""One clause from text to samples for the line, by any engine."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.tts import alignment, loudness
from services.tts.alignment import AlignedWord
from services.tts.lexicon import EMPTY, Lexicon
from services.tts.speech import Engine
from services.tts.spoken import Piece, speak

# Part of every cached phrase's key: raise it when what follows here changes how a clause sounds.
RENDERING = 3


@dataclass(frozen=True, slots=True)
class ClauseAudio:
    """A clause as the caller hears it: PCM at `rate_hz` without silence around it; words counted from its start."""

    samples: NDArray[np.int16]
    rate_hz: int
    words: tuple[AlignedWord, ...]


def spoken_text(pieces: list[Piece]) -> str:
    return " ".join(piece.spoken for piece in pieces if piece.spoken)


def unsaid(text: str, rate_hz: int) -> ClauseAudio:
    """A clause that is not for the ear: its words are there, with no sound."""
    return ClauseAudio(np.zeros(0, np.int16), rate_hz, tuple(AlignedWord(word, 0, 0) for word in text.split()))


def render(
    text: str,
    engine: Engine,
    voice: str,
    rate_hz: int,
    level_dbfs: float,
    language: str = "",
    lexicon: Lexicon = EMPTY,
) -> ClauseAudio:
    """Blocks for the synthesis; for a thread. `language` is a BCP 47 tag. Raises whatever the engine raises."""
    pieces = speak(text, language, lexicon)
    said = spoken_text(pieces)
    if not any(character.isalnum() for character in said):
        return unsaid(text, rate_hz)
    speech = engine.synthesize(said, voice)
    # What sounds is judged as the line carries it: a "th" that lives above 4 kHz is silence on a telephone.
    line = loudness.resample(speech.samples, speech.rate_hz, rate_hz)
    first, last = loudness.sounding(line, rate_hz)
    out = loudness.level(loudness.fade(line[first:last], rate_hz), rate_hz, level_dbfs)
    spans = alignment.cut_out(alignment.at_rate(speech.words, speech.rate_hz, rate_hz, len(line)), first, last)
    return ClauseAudio(loudness.to_pcm(out), rate_hz, tuple(alignment.written(pieces, spans, len(out))))
