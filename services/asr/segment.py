"""A call's caller audio: frames put in order, the last half minute kept, clips cut from it by call time. Pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.common.media.frame import FRAME_US, AudioFrame

MOST_FRAMES_HELD = 1500
"""30 s: what the gateway keeps for a replay, so more can never come between."""
LONGEST_FILL_US = 1_000_000
"""A hole in the audio becomes silence in a clip, no longer than tells Whisper that words are apart."""


class Intake:
    """Frames as they come, live or replayed → frames in the order of their sequence, each once.

    When a frame is missing, later ones wait until a replay brought it (`replayed`) or failed to (`replay_over`).
    """

    def __init__(self, from_sequence: int = 0) -> None:
        self.next_sequence = from_sequence
        self._held: dict[int, AudioFrame] = {}

    @property
    def behind(self) -> bool:
        """Frames wait for one that is missing: ask for a replay from next_sequence."""
        return bool(self._held)

    @property
    def gap(self) -> bool:
        """The next frame is missing, and not merely kept back."""
        return bool(self._held) and self.next_sequence not in self._held

    def hold(self, frame: AudioFrame) -> None:
        """Keeps a live frame back while a replay runs."""
        if frame.sequence >= self.next_sequence and len(self._held) < MOST_FRAMES_HELD:
            self._held.setdefault(frame.sequence, frame)

    def live(self, frame: AudioFrame) -> list[AudioFrame]:
        """A frame from the live subject → frames that are now in order."""
        self.hold(frame)
        return self._in_order()

    def replayed(self, frames: Iterable[AudioFrame]) -> list[AudioFrame]:
        """Frames of a replay answer → frames that are now in order."""
        for frame in frames:
            self.hold(frame)
        return self._in_order()

    def replay_over(self) -> list[AudioFrame]:
        """What is still missing will not come: go on with the earliest frame there is."""
        if self._held:
            self.next_sequence = min(self._held)
        return self._in_order()

    def skip(self, frame: AudioFrame) -> None:
        """Leaves a frame, and all before it, out: too old to be of use."""
        self.next_sequence = max(self.next_sequence, frame.sequence + 1)
        self._held = {sequence: one for sequence, one in self._held.items() if sequence >= self.next_sequence}

    def _in_order(self) -> list[AudioFrame]:
        ready: list[AudioFrame] = []
        while self.next_sequence in self._held:
            ready.append(self._held.pop(self.next_sequence))
            self.next_sequence += 1
        return ready


@dataclass(frozen=True, slots=True)
class Segment:
    """A clip of the call. `marks`: (sample, call time of that sample) where each frame begins, ascending."""

    samples: NDArray[np.int16]
    sample_rate_hz: int
    marks: tuple[tuple[int, int], ...] = field(repr=False)

    @property
    def duration_ms(self) -> int:
        return len(self.samples) * 1000 // self.sample_rate_hz

    @property
    def end_us(self) -> int:
        """Call time of the moment after the last sample."""
        return self.call_time_us(len(self.samples) / self.sample_rate_hz)

    def call_time_us(self, seconds: float) -> int:
        """Call time of a moment in the clip, by the mark before it."""
        sample = round(seconds * self.sample_rate_hz)
        mark, stamp_us = next((one for one in reversed(self.marks) if one[0] <= sample), self.marks[0])
        return stamp_us + (sample - mark) * 1_000_000 // self.sample_rate_hz


class AudioRing:
    """The last `keep_ms` of the caller's audio."""

    def __init__(self, sample_rate_hz: int, keep_ms: int) -> None:
        self._rate = sample_rate_hz
        self._frames: deque[tuple[int, NDArray[np.int16]]] = deque(maxlen=keep_ms * 1000 // FRAME_US)

    def push(self, from_us: int, samples: NDArray[np.int16]) -> None:
        """A frame, in the order of the sequence; from_us is the call time of its first sample."""
        self._frames.append((from_us, samples))

    def cut(self, from_us: int, to_us: int) -> Segment:
        """The audio from from_us to to_us, as far as it is kept. Holes become silence; may be empty."""
        parts: list[NDArray[np.int16]] = []
        marks: list[tuple[int, int]] = []
        length = 0
        expected_us: int | None = None
        for start_us, samples in self._frames:
            end_us = start_us + self._us(len(samples))
            if end_us <= from_us or start_us >= to_us:
                continue
            if expected_us is not None and start_us - expected_us >= FRAME_US:
                silence = np.zeros(self._samples(min(start_us - expected_us, LONGEST_FILL_US)), np.int16)
                parts.append(silence)
                length += len(silence)
            first = self._samples(max(from_us - start_us, 0))
            part = samples[first : self._samples(to_us - start_us)]
            marks.append((length, start_us + self._us(first)))
            parts.append(part)
            length += len(part)
            expected_us = end_us
        sound = np.concatenate(parts) if parts else np.zeros(0, np.int16)
        return Segment(sound, self._rate, tuple(marks) or ((0, from_us),))

    def _samples(self, us: int) -> int:
        return us * self._rate // 1_000_000

    def _us(self, samples: int) -> int:
        return samples * 1_000_000 // self._rate
