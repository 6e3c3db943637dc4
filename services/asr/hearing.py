"""One call heard: frames in order in, speech events and the clips to be recognized out. Pure but for the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.asr.endpointer import Endpointer, Event, Lull, SpeechBegan, SpeechEnded
from services.asr.segment import AudioRing, Segment
from services.asr.settings import AsrSettings
from services.common.media.frame import FRAME_US, AudioFrame

PRE_ROLL_US = 300_000
"""Before the first speech sample: soft first sounds (an h, an f) lie below the onset's threshold."""
POST_ROLL_US = 200_000
"""After the last speech sample, as far as it was heard by then."""
NOISE_POST_ROLL_US = 320_000
"""In noise the last sample that stands out is found up to 250 ms before the end of the word."""
APART_US = 20_000
"""A clip begins at least this long after the end of the utterance before: no word may be heard twice."""
TURN_US = 8_000_000
"""As much of a turn as its end is judged by."""
TURN_TAIL_US = 100_000
"""Of the silence after it. Smart Turn tells finished phrases from cut ones best with 60 to 120 ms of it (area under the
curve 0.76, evals/voices over µ-law, cut at 55 %); with 200 ms it takes more of the cut ones for finished (0.70)."""
TURN_GAP_US = 3_000_000
"""A caller who was silent for longer begins anew, whether or not the agent was heard meanwhile."""


class VoiceActivity(Protocol):
    """See services.asr.vad.Vad."""

    def hear(self, samples: NDArray[np.int16]) -> Sequence[tuple[int, float]]: ...


@dataclass(frozen=True, slots=True)
class Began:
    """The caller speaks."""

    utterance: int
    call_time_us: int


@dataclass(frozen=True, slots=True)
class PerhapsEnded:
    """A moment of silence after the speech sample at call_time_us: the clip may be all of the utterance, and may be
    recognized in advance."""

    utterance: int
    call_time_us: int
    segment: Segment


@dataclass(frozen=True, slots=True)
class Ended:
    """The caller is silent."""

    utterance: int
    started_us: int
    ended_us: int
    segment: Segment


Heard = Began | PerhapsEnded | Ended


class Hearing:
    """What one call's audio says about speech."""

    def __init__(self, sample_rate_hz: int, vad: VoiceActivity, endpointer: Endpointer, keep_ms: int = 32_000) -> None:
        self._rate = sample_rate_hz
        self._vad = vad
        self._endpointer = endpointer
        self._ring = AudioRing(sample_rate_hz, keep_ms)
        self._previous_end_us: int | None = None
        self._started_us = 0
        self._turn_from_us: int | None = None
        self.heard_to_us = 0

    @classmethod
    def of(cls, settings: AsrSettings, sample_rate_hz: int, vad: VoiceActivity) -> "Hearing":
        """With the endpointer that the settings ask for."""
        endpointer = Endpointer(
            sample_rate_hz,
            on_probability=settings.speech_probability,
            off_probability=settings.silence_probability,
            min_speech_ms=settings.min_speech_ms,
            min_silence_ms=settings.min_silence_ms,
            lull_ms=settings.head_start_ms,
            max_utterance_ms=settings.max_utterance_ms,
        )
        return cls(sample_rate_hz, vad, endpointer)

    @property
    def speaking(self) -> bool:
        return self._endpointer.speaking

    @property
    def utterance(self) -> int:
        """Number of the latest utterance; 0 before the first."""
        return self._endpointer.utterance

    @property
    def speech_to_us(self) -> int:
        """Call time of the last speech sample so far, while speaking."""
        return self._endpointer.speech_to_us

    def agent_heard(self) -> None:
        """The agent is heard: the caller's next utterance begins a turn."""
        self._turn_from_us = None

    def so_far(self) -> Segment:
        """The utterance under way, up to now."""
        return self._clip(self.heard_to_us)

    def turn(self, ended_us: int) -> Segment:
        """The caller's turn whose last speech sample is at ended_us, pauses in it and all: its last 8 s."""
        to_us = min(ended_us + TURN_TAIL_US, self.heard_to_us)
        begun_us = self._started_us if self._turn_from_us is None else self._turn_from_us
        return self._ring.cut(max(begun_us - PRE_ROLL_US, to_us - TURN_US), to_us)

    def hear(self, frame: AudioFrame) -> list[Heard]:
        """The next frame of the call."""
        samples = np.frombuffer(frame.samples, "<i2")
        from_us = frame.call_time_us
        self._ring.push(from_us, samples)
        self.heard_to_us = max(self.heard_to_us, from_us + FRAME_US)
        for at, probability in self._vad.hear(samples):
            self._endpointer.judge(from_us + at * 1_000_000 // self._rate, probability)
        return [self._told(event) for event in self._endpointer.hear(from_us, samples)]

    def lapse(self, now_us: int) -> list[Heard]:
        """No frame came up to call time now_us."""
        return [self._told(event) for event in self._endpointer.lapse(now_us)]

    @property
    def _post_roll_us(self) -> int:
        return NOISE_POST_ROLL_US if self._endpointer.noisy else POST_ROLL_US

    def _clip(self, to_us: int) -> Segment:
        from_us = self._started_us - PRE_ROLL_US
        if self._previous_end_us is not None:
            from_us = max(from_us, min(self._previous_end_us + APART_US, self._started_us))
        return self._ring.cut(from_us, to_us)

    def _told(self, event: Event) -> Heard:
        match event:
            case SpeechBegan(utterance, call_time_us):
                self._started_us = call_time_us
                paused_us = call_time_us - (self._previous_end_us or 0)
                if self._turn_from_us is None or paused_us > TURN_GAP_US:
                    self._turn_from_us = call_time_us
                return Began(utterance, call_time_us)
            case Lull(utterance, call_time_us):
                return PerhapsEnded(utterance, call_time_us, self._clip(call_time_us + self._post_roll_us))
            case SpeechEnded(utterance, started_us, ended_us):
                segment = self._clip(ended_us + self._post_roll_us)
                self._previous_end_us = ended_us
                return Ended(utterance, started_us, ended_us, segment)
