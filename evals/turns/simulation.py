"""A stretch of a call in call time: sound in, what the turn machine did out. Faster than real time, and no clock.

A small discrete-event loop over frames, what asr has under way, the turn machine's deadlines and the agent's playout.
Recognition is recognition.py, the machine is the real one. Transport is constant, see below; nothing is lost on it.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evals.turns.recognition import Judges, Recognition, Recognizes
from services.asr.settings import AsrSettings
from services.asr.vad import SileroModel, Vad
from services.brain.heard import AlignedWord, HeardText
from services.brain.question import expected_answer
from services.brain.turn import TurnMachine
from services.brain.turn_events import (
    Audible,
    Discard,
    Event,
    Output,
    Pause,
    Played,
    Release,
    ReplyDone,
    Respond,
    Resume,
    Speculate,
    SpeechStarted,
    SpeechStopped,
    StopSpeaking,
    Transcript,
)
from services.common.media.frame import FRAME_US, AudioFrame

RATE_HZ = 8000
IN_US = 3_000
"""From the last sample of a caller's packet at the gateway to the frame in asr: a local bus (FACTS: 0.1 ms), the turn
of two event loops."""
TELL_US = 1_000
"""asr to brain, brain to gateway: a message on gRPC."""
PLAYOUT_US = 20_000
"""A packet that has left the gateway is heard to its end."""
ANSWER_US = 75_000
"""From the moment an answer is asked for, on speculation or in earnest, to its first audio, with the default models."""
WORD_US = 300_000
AGENT_SPEAKS_US = 30_000_000
"""The agent's utterance: longer than any case, words at even steps."""

_SAMPLES_A_US = RATE_HZ / 1e6


@dataclass(frozen=True, slots=True)
class Done:
    """What the machine put out, and when."""

    at_us: int
    output: Output


@dataclass(slots=True)
class Playout:
    """The agent's utterance at the gateway. `heard`: (call time, does the agent sound?) at each change."""

    text: HeardText = field(default_factory=HeardText)
    heard: list[tuple[int, bool]] = field(default_factory=list)
    resumed_at_word: list[bool] = field(default_factory=list)
    utterance_id: int = 0
    _from_us: int | None = None

    @property
    def playing(self) -> bool:
        return self._from_us is not None

    @property
    def ends_us(self) -> int | None:
        """When the last of it is heard, if nothing comes between."""
        if self._from_us is None:
            return None
        left = AGENT_SPEAKS_US - round(self.text.samples_played / _SAMPLES_A_US)
        return self._from_us + left

    def release(self, utterance_id: int, now_us: int) -> None:
        step = round(WORD_US * _SAMPLES_A_US)
        count = AGENT_SPEAKS_US // WORD_US
        words = [AlignedWord(f"word{n}", n * step, n * step + step - step // 5) for n in range(count)]
        self.utterance_id = utterance_id
        self.text = HeardText(words)
        self._start(now_us)

    def pause(self, now_us: int) -> None:
        if self._from_us is not None:
            self.text.samples_played += round((now_us - self._from_us) * _SAMPLES_A_US)
            self._from_us = None
            self.heard.append((now_us, False))

    def resume(self, now_us: int) -> None:
        if self._from_us is None and self.utterance_id:
            at = self.text.resume_sample()
            self.resumed_at_word.append(any(word.start_sample == at for word in self.text.words))
            self.text.samples_played = at
            self._start(now_us)

    def stop(self, now_us: int) -> None:
        self.pause(now_us)
        self.utterance_id = 0

    def _start(self, now_us: int) -> None:
        self._from_us = now_us
        self.heard.append((now_us, True))


@dataclass(slots=True)
class Simulation:
    """One stretch of a call. `question`: what the agent asked last.

    `agent_speaks`: it begins its answer at call time 0. `answers`: what the caller says is answered with such speech.
    """

    settings: AsrSettings
    vad: SileroModel
    recognize: Recognizes
    judge: Judges | None
    question: str
    agent_speaks: bool = False
    answers: bool = False
    machine: TurnMachine = field(default_factory=TurnMachine)
    playout: Playout = field(default_factory=Playout)
    done: list[Done] = field(default_factory=list)
    told: list[tuple[int, Event]] = field(default_factory=list)
    _due: list[tuple[int, int, Callable[[], Event | None]]] = field(default_factory=list)
    _posted: int = 0
    _utterances: int = 0
    _foreseen: Respond | None = None
    _discarded: set[int] = field(default_factory=set)

    def run(self, samples: NDArray[np.int16], over: Callable[["Simulation"], bool]) -> None:
        """Hears all of the sound, or until `over`. The sound begins at call time 0."""
        asr = Recognition(
            self.settings, RATE_HZ, Vad(self.vad, RATE_HZ), self.recognize, self.judge, self._post_from_asr
        )
        size = RATE_HZ * FRAME_US // 1_000_000
        self.machine.expected = expected_answer(self.question)
        if self.agent_speaks:
            self._begin_agent()
        spoke = False
        for sequence in range(len(samples) // size):
            if over(self):
                return
            from_us = sequence * FRAME_US
            now_us = from_us + FRAME_US + IN_US
            self._until(now_us)
            # As the conversation tells asr: a paused agent counts as heard.
            if self.machine.playing != spoke:
                spoke = self.machine.playing
                asr.agent_speaks(spoke)
            sound = samples[sequence * size : (sequence + 1) * size]
            asr.hear(AudioFrame(sequence, from_us, RATE_HZ, sound.astype("<i2").tobytes()), now_us)
        self._until(len(samples) * 125)

    def post(self, at_us: int, make: Callable[[], Event | None]) -> None:
        """What `make` gives at call time at_us goes to the machine then."""
        self._posted += 1
        heapq.heappush(self._due, (at_us, self._posted, make))

    def _post_from_asr(self, at_us: int, make: Callable[[], Event | None]) -> None:
        self.post(at_us + TELL_US, make)

    def _begin_agent(self) -> None:
        answers, self.answers = self.answers, False
        # A turn of the caller's before the sound begins, so that this is an answer and no greeting.
        for at_us, event in (
            (-5_000_000, SpeechStarted(0, -5_000_000)),
            (-3_700_000, SpeechStopped(0, -4_000_000)),
            (-3_600_000, Transcript(0, "What are your opening hours?")),
        ):
            self._feed(event, at_us)
        self._expire(0)
        self._speak(0)
        self._feed(ReplyDone(), 0)
        self.answers = answers
        self.done.clear()
        self.told.clear()

    def _speak(self, at_us: int) -> None:
        self._utterances += 1
        spoken = self._utterances
        self.post(at_us, lambda: None if spoken in self._discarded else Audible(spoken))
        self._until(min(at_us, 0))

    def _answer(self, respond: Respond, now_us: int) -> None:
        # What was made on speculation is ready, or nearly so.
        if respond != self._foreseen:
            self._speak(now_us + ANSWER_US)
        self._foreseen = None
        self.post(now_us + ANSWER_US, ReplyDone)

    def _until(self, now_us: int) -> None:
        """All that is due up to now, in the order of its time."""
        while True:
            deadline = self.machine.next_deadline()
            ends = self.playout.ends_us
            first = min(
                (at for at in (self._due[0][0] if self._due else None, deadline, ends) if at is not None), default=None
            )
            if first is None or first > now_us:
                return
            if self._due and self._due[0][0] == first:
                event = heapq.heappop(self._due)[2]()
                if event is not None:
                    self._feed(event, first)
            elif deadline == first:
                self._expire(first)
            else:
                spoken = self.playout.utterance_id
                self.playout.stop(first)
                self._feed(Played(spoken), first)

    def _feed(self, event: Event, now_us: int) -> None:
        self.told.append((now_us, event))
        self._do(self.machine.handle(event, now_us) or [], now_us)

    def _expire(self, now_us: int) -> None:
        self._do(self.machine.expire(now_us), now_us)

    def _do(self, outputs: list[Output], now_us: int) -> None:
        for output in outputs:
            self.done.append(Done(now_us, output))
            match output:
                case Release(utterance_id):
                    self.playout.release(utterance_id, now_us)
                case Pause():
                    self.playout.pause(now_us + TELL_US)
                case Resume():
                    self.playout.resume(now_us + TELL_US)
                case StopSpeaking():
                    self.playout.stop(now_us + TELL_US)
                case Speculate(turn) if self.answers:
                    self._foreseen = turn
                    self._speak(now_us + ANSWER_US)
                case Discard() if self._foreseen is not None:
                    self._foreseen = None
                    self._discarded.add(self._utterances)
                case Respond() if self.answers:
                    self._answer(output, now_us)
                case _:
                    pass
