"""asr for one simulated call: what services/asr/listening.py does with its parts, in call time instead of real time.

Voice activity, endpointer, partials, Whisper and Smart Turn are the real ones. Only the queue is not: a pass runs when
it is asked for, and its words come as much later as it took, on `passes_at_once` workers that this call has for itself.
Keep it in step with listening.py and early.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from services.asr.hearing import Began, Ended, Hearing, PerhapsEnded, VoiceActivity
from services.asr.partials import Partials, covers
from services.asr.segment import Segment
from services.asr.settings import AsrSettings
from services.asr.silences import Silences
from services.brain.turn_events import EndLikely, Event, Partial, SpeechStarted, SpeechStopped, Transcript
from services.common.media.frame import AudioFrame


@dataclass(frozen=True, slots=True)
class Words:
    """What a pass heard."""

    text: str
    confidence: float


class Recognizes(Protocol):
    """A pass over a clip → (its words, microseconds it took)."""

    def __call__(self, clip: Segment) -> tuple[Words, int]: ...


class Judges(Protocol):
    """A turn's sound → (probability that it is over, microseconds it took)."""

    def __call__(self, clip: Segment) -> tuple[float, int]: ...


@dataclass(slots=True)
class _Pass:
    clip: Segment
    words: Words
    done_us: int
    dropped: bool = False


@dataclass(slots=True)
class Workers:
    """When each worker is free again."""

    free_us: list[int]

    def idle(self, now_us: int) -> bool:
        return min(self.free_us) <= now_us

    def take(self, now_us: int, took_us: int) -> int:
        """The time at which a step asked for now is done."""
        first = self.free_us.index(min(self.free_us))
        self.free_us[first] = max(self.free_us[first], now_us) + took_us
        return self.free_us[first]


@dataclass(slots=True)
class Recognition:
    """One call's. `post(at, make)`: at call time `at`, what `make` returns is told to the brain, unless it is None."""

    settings: AsrSettings
    rate_hz: int
    vad: VoiceActivity
    recognize: Recognizes
    judge: Judges | None
    post: Callable[[int, Callable[[], Event | None]], None]
    workers: Workers = field(init=False)
    _judging: Workers = field(init=False)
    _hearing: Hearing = field(init=False)
    _partials: Partials = field(init=False)
    _early: _Pass | None = None
    _silences: Silences = field(default_factory=Silences)
    _last_final_us: int = 0

    def __post_init__(self) -> None:
        settings = self.settings
        self._hearing = Hearing.of(settings, self.rate_hz, self.vad)
        self._partials = Partials(settings.partials, settings.partial_every_ms)
        self.workers = Workers([0] * settings.passes_at_once)
        self._judging = Workers([0])

    def agent_speaks(self, speaking: bool) -> None:
        """Whether the agent is heard."""
        self._partials.agent_speaks(speaking)
        if speaking:
            self._hearing.agent_heard()

    def hear(self, frame: AudioFrame, now_us: int) -> None:
        """A frame that came at call time now_us."""
        for event in self._hearing.hear(frame):
            match event:
                case Began(utterance, call_time_us):
                    self._partials.began(call_time_us)
                    self._silences.over()
                    self._tell(now_us, SpeechStarted(utterance, call_time_us))
                case PerhapsEnded(utterance, call_time_us, segment):
                    self._judge(utterance, call_time_us, now_us)
                    if self._early is None or not covers(self._early.clip, call_time_us):
                        self._ask_early(utterance, segment, now_us)
                case Ended():
                    self._ended(event, now_us)
        self._perhaps_partial(now_us)

    def _tell(self, at_us: int, event: Event) -> None:
        self.post(at_us, lambda: event)

    def _ended(self, ended: Ended, now_us: int) -> None:
        self._tell(now_us, SpeechStopped(ended.utterance, ended.ended_us))
        self._partials.ended()
        early, self._early = self._early, None
        if early is not None:
            early.dropped = True  # as a partial: it is the final now, or nothing
        if early is not None and covers(early.clip, ended.ended_us):
            done_us, words = max(early.done_us, now_us), early.words
        else:
            words, took_us = self.recognize(ended.segment)
            done_us = self.workers.take(now_us, took_us)
        self._last_final_us = max(done_us, self._last_final_us)
        self._tell(self._last_final_us, Transcript(ended.utterance, words.text, words.confidence))
        self._judge(ended.utterance, ended.ended_us, now_us)

    def _perhaps_partial(self, now_us: int) -> None:
        hearing = self._hearing
        if not hearing.speaking or not self._partials.due(hearing.heard_to_us, hearing.speech_to_us):
            return
        if self._early is not None and now_us < self._early.done_us:
            return
        if self._ask_early(hearing.utterance, hearing.so_far(), now_us):
            self._partials.asked(hearing.heard_to_us)

    def _ask_early(self, utterance: int, clip: Segment, now_us: int) -> bool:
        if self._early is not None:
            self._early.dropped = True
            self._early = None
        if not self.workers.idle(now_us):
            return False
        words, took_us = self.recognize(clip)
        self._early = early = _Pass(clip, words, self.workers.take(now_us, took_us))
        if self.settings.partials != "never":
            self.post(early.done_us, lambda: None if early.dropped else _partial(utterance, words))
        return True

    def _judge(self, utterance: int, call_time_us: int, now_us: int) -> None:
        if self.judge is None or not self._silences.due(call_time_us, self._hearing.heard_to_us):
            return
        probability, took_us = self.judge(self._hearing.turn(call_time_us))
        self._silences.judged(call_time_us)
        self._tell(self._judging.take(now_us, took_us), EndLikely(utterance, call_time_us, probability))


def _partial(utterance: int, words: Words) -> Partial:
    return Partial(utterance, words.text, words.confidence)
