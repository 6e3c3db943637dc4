"""From phonemes to one Speech: runs a model over the chunks of a text and puts the word times together."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from services.tts import alignment, loudness
from services.tts.durations import FRAME
from services.tts.phonemes import Chunk, Phonemizer
from services.tts.speech import Speech

# Ids in, samples and frames a phoneme (None: the model doesn't tell) out.
Voice = Callable[[list[int]], tuple[NDArray[np.float32], NDArray[np.float32] | None]]
# Both models sound a little before the frames that they count for a phoneme: 40 ms in the median of 23 onsets behind
# silence (-70 to -15).
_SOUNDS_EARLIER = 960
# Between the chunks of a clause too long for one pass.
_JOIN_MS = 60


def synthesize(text: str, phonemizer: Phonemizer, voice: Voice, rate_hz: int, longest: int) -> Speech:
    """`longest`: ids the model takes at once. Blocks."""
    words = phonemizer.words(text)
    spans: list[tuple[int, int]] = [(0, 0)] * len(words)
    parts: list[NDArray[np.float32]] = []
    at = 0
    for chunk in phonemizer.chunks(words, longest):
        samples, frames = voice(chunk.ids)
        first, last = loudness.sounding(samples, rate_hz) if parts else (0, len(samples))
        inside = _word_spans(chunk, frames, len(samples), words)
        for (word, _, _), (start, end) in zip(chunk.spans, alignment.cut_out(inside, first, last), strict=True):
            spans[word] = (at + start, at + end)
        parts += [samples[first:last], np.zeros(rate_hz * _JOIN_MS // 1000, np.float32)]
        at += sum(map(len, parts[-2:]))
    return Speech(np.concatenate(parts) if parts else np.zeros(0, np.float32), rate_hz, tuple(spans))


def _word_spans(
    chunk: Chunk, frames: NDArray[np.float32] | None, samples: int, words: list[str]
) -> list[tuple[int, int]]:
    if frames is None or len(frames) != len(chunk.ids):
        return alignment.by_length([words[word] for word, _, _ in chunk.spans], samples)
    edges = np.maximum(np.concatenate([[0], np.cumsum(frames)]) * FRAME - _SOUNDS_EARLIER, 0)
    return [(int(edges[first]), min(int(edges[last]), samples)) for _, first, last in chunk.spans]
