"""What a Deepgram-style stream has said so far, on the call's clock. Pure."""

import json
from dataclasses import dataclass
from typing import Any

from services.asr.segment import Segment
from services.asr.whisper import Transcript, WordHeard

EARLY_US = 100_000
"""A word may be told to begin this long before the clip it was said in."""
REACHES_S = 0.1
"""Results that reach this close to the end of what was sent have all of it."""


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A word, in seconds of the stream."""

    text: str
    start_s: float
    end_s: float
    confidence: float


class Results:
    """Audio sent and results got on one socket. The stream has no gaps, the call has: marks tell which is where."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._sent = 0
        self._sent_to_us: int | None = None
        self._marks: list[tuple[float, int]] = []
        self._final: list[_Spoken] = []
        self._interim: list[_Spoken] = []
        self._language = ""
        self._final_to_s = 0.0
        self._asked = self._answered = 0
        self.flushed = True
        """Are there final results for all that was sent?"""

    @property
    def open_s(self) -> float:
        """Seconds sent for which there are no final results."""
        return self._seconds(self._sent) - self._final_to_s

    def finalize(self) -> str:
        """The message that asks for final results of all that was sent."""
        self._asked += 1
        return json.dumps({"type": "Finalize"})

    def unsent(self, segment: Segment) -> bytes:
        """The part of the clip that was not sent yet, 16 bit little endian; counts as sent from now on."""
        first = 0 if self._sent_to_us is None else _sample_at(segment, self._sent_to_us)
        samples = segment.samples[first:]
        if not len(samples):
            return b""
        for at, stamp_us in segment.marks:
            if at > first:
                self._marks.append((self._seconds(self._sent + at - first), stamp_us))
            else:
                here = self._seconds(self._sent), stamp_us + (first - at) * 1_000_000 // self._rate
        self._marks = sorted([*self._marks, here])
        self._sent += len(samples)
        self._sent_to_us = segment.call_time_us(len(segment.samples) / self._rate)
        self.flushed = False
        return samples.astype("<i2").tobytes()

    def take(self, message: str) -> None:
        """A text message of the server. Raises ValueError, KeyError, TypeError when it is not to be understood."""
        told = json.loads(message)
        kind = told["type"]
        if kind == "Error":
            raise ValueError(str(told.get("description") or told.get("message") or told))
        if kind != "Results":
            return
        best = told["channel"]["alternatives"][0]
        words = [_word(one) for one in best.get("words", ())]
        self._language = str((best.get("languages") or [self._language])[0])
        if not told.get("is_final"):
            self._interim = words
            return
        self._interim = []
        self._final += words
        self._final_to_s = float(told["start"]) + float(told["duration"])
        answers = bool(told.get("from_finalize"))
        self._answered += answers
        # A late answer to an earlier Finalize says nothing about what was sent since.
        if (answers and self._answered >= self._asked) or self.open_s <= REACHES_S:
            self.flushed = True

    def transcript(self, segment: Segment, language: str) -> Transcript:
        """What was said in the clip, interim results at the end; forgets what was said before it."""
        starts_us = segment.call_time_us(0.0) - EARLY_US
        self._final = [word for word in self._final if self._call_us(word.start_s) >= starts_us]
        self._trim_marks()
        seconds = len(segment.samples) / self._rate
        words = tuple(
            WordHeard(
                word.text,
                min(_sample_at(segment, self._call_us(word.start_s)) / self._rate, seconds),
                min(_sample_at(segment, self._call_us(word.end_s)) / self._rate, seconds),
                word.confidence,
            )
            for word in [*self._final, *self._interim]
            if self._call_us(word.start_s) >= starts_us
        )
        confidence = sum(word.confidence for word in words) / len(words) if words else 0.0
        return Transcript(" ".join(word.text for word in words), words, confidence, self._language or language)

    def _trim_marks(self) -> None:
        kept_s = min([self._final_to_s, *(word.start_s for word in self._final)])
        first = max((at for at, mark in enumerate(self._marks) if mark[0] <= kept_s), default=0)
        self._marks = self._marks[first:]

    def _call_us(self, stream_s: float) -> int:
        mark_s, stamp_us = next((one for one in reversed(self._marks) if one[0] <= stream_s), self._marks[0])
        return stamp_us + round((stream_s - mark_s) * 1e6)

    def _seconds(self, samples: int) -> float:
        return samples / self._rate


def _word(told: Any) -> _Spoken:
    text = str(told.get("punctuated_word") or told["word"])
    return _Spoken(text, float(told["start"]), float(told["end"]), float(told["confidence"]))


def _sample_at(segment: Segment, call_us: int) -> int:
    """The clip's sample at a call time, within the clip's bounds."""
    sample, stamp_us = next((one for one in reversed(segment.marks) if one[1] <= call_us), segment.marks[0])
    at = sample + (call_us - stamp_us) * segment.sample_rate_hz // 1_000_000
    return min(max(at, 0), len(segment.samples))
