"""Which written word lies at which sample of the utterance, followed through trimming and resampling.

Pure. A span is [start, end) in samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.tts.spoken import Piece

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class AlignedWord:
    """A word as written, and its samples counted from the utterance's first (or the clause's, before it is placed)."""

    text: str
    start: int
    end: int


def cut_out(spans: Sequence[Span], first: int, last: int) -> list[Span]:
    """The spans after everything outside [first, last) was cut off."""
    return [(_clamp(start, first, last) - first, _clamp(end, first, last) - first) for start, end in spans]


def at_rate(spans: Sequence[Span], from_hz: int, to_hz: int, samples: int) -> list[Span]:
    """The spans after resampling to `samples` samples at `to_hz`."""
    return [(min(start * to_hz // from_hz, samples), min(-(-end * to_hz // from_hz), samples)) for start, end in spans]


def by_length(words: Sequence[str], samples: int) -> list[Span]:
    """What can be said without an engine's durations: time in proportion to the letters."""
    weights = [len(word) + 1 for word in words]
    total = sum(weights) or 1
    spans, at = [], 0
    for weight in weights:
        spans.append((at * samples // total, (at + weight) * samples // total))
        at += weight
    return spans


def written(pieces: Sequence[Piece], spans: Sequence[Span], samples: int | None = None) -> list[AlignedWord]:
    """From the spans of the spoken words to the written ones, in order and never overlapping.

    A piece's written words share its time by their length; one for which nothing is said is empty, where the speech
    then is. With `samples`, the clause's length, the first and the last word that are heard reach to its ends: what
    sounds there is theirs, and a caller who hears the clause out has heard its last word.
    """
    words: list[AlignedWord] = []
    at, now = 0, 0
    for piece in pieces:
        count = len(piece.spoken.split())
        said = [span for span in spans[at : at + count] if span[1] > span[0]]
        at += count
        start = max(min((span[0] for span in said), default=now), now)
        end = max(max((span[1] for span in said), default=start), start)
        for text, (first, last) in zip(piece.written, by_length(piece.written, end - start), strict=True):
            words.append(AlignedWord(text, start + first, start + last))
        now = end
    heard = [index for index, word in enumerate(words) if word.end > word.start]
    if samples is not None and heard:
        first, last = heard[0], heard[-1]
        words[first] = AlignedWord(words[first].text, 0, words[first].end)
        words[last] = AlignedWord(words[last].text, words[last].start, max(samples, words[last].end))
        words[:first] = [AlignedWord(word.text, 0, 0) for word in words[:first]]
        words[last + 1 :] = [AlignedWord(word.text, words[last].end, words[last].end) for word in words[last + 1 :]]
    return words


def placed(words: Sequence[AlignedWord], offset: int) -> list[AlignedWord]:
    """A clause's words where the clause lies in the utterance."""
    return [AlignedWord(word.text, word.start + offset, word.end + offset) for word in words]


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))
