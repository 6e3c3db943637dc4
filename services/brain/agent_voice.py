"""The agent's voice in one call: utterances opened, released, paused, resumed and stopped."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from services.brain.exchange import Turn
from services.brain.history import History
from services.brain.turn_events import Audible
from services.brain.turnlog import TurnLog
from services.brain.utterance import Utterance
from tandem.v1 import brain_pb2
from tandem.v1.brain_pb2 import CallCommand
from tandem.v1.tts_pb2 import FirstAudio, SynthesizeStart

if TYPE_CHECKING:
    from tandem.v1.tts_pb2_grpc import SynthesizerAsyncStub

# Epochs keep a take-over's utterances apart from those of the brain before.
_UTTERANCES_AN_EPOCH = 100_000


class AgentVoice:
    """`start` is what every synthesis of the call begins with; its utterance_id and cacheable are set here.

    `feed` takes Audible when the first audio of an utterance is there.
    """

    def __init__(
        self,
        stub: "SynthesizerAsyncStub",
        start: SynthesizeStart,
        log: TurnLog,
        now: Callable[[], int],
        feed: Callable[[Audible], None],
        send: Callable[[CallCommand], None],
    ) -> None:
        self._stub = stub
        self._start = start
        self._log = log
        self._now = now
        self._feed = feed
        self._send = send
        self._count = 0
        self.epoch = 0
        """Of the brain that has the call."""

    @property
    def audible(self) -> bool:
        """Something is heard, or was and is paused."""
        return bool(self._released())

    def open(self, turn: Turn, history: History, cacheable: bool = False, filler: bool = False) -> Utterance:
        """A new utterance of this turn; text is fed to it."""
        self._count += 1
        start = SynthesizeStart()
        start.CopyFrom(self._start)
        start.utterance_id = self.epoch * _UTTERANCES_AN_EPOCH + self._count
        start.cacheable = cacheable
        answers_audible = turn.answers_audible

        def first_audio(utterance: Utterance, audio: FirstAudio) -> None:
            self._log.audio_ready(turn, utterance.id, audio, self._now(), utterance.lost_us)
            if filler and turn.answers_audible > answers_audible:
                unheard(utterance)  # what it was to bridge is over
                return
            turn.answers_audible += not filler
            self._feed(Audible(utterance.id))

        def unheard(utterance: Utterance) -> None:
            self._log.utterance_closed(turn, utterance.id)

        def broke(error: str, lost: bool) -> None:
            self._log.speech_failed(turn, self._now())
            if lost:
                self._log.failed(turn, error)

        utterance = Utterance(self._stub, start, turn.traceparent, first_audio, unheard, broke)
        self._log.speaks(turn, utterance, filler)
        history.agent_speaks(utterance.id, utterance.heard)
        return utterance

    def release(self, utterance_id: int, now_us: int) -> bool:
        """It may be heard from now on; False when there is no such utterance any more."""
        turn = self._log.of(utterance_id)
        if turn is None:
            return False
        turn.utterances[utterance_id].released = True
        turn.play_sent_us[utterance_id] = now_us
        self._send(CallCommand(play=brain_pb2.Play(utterance_id=utterance_id, traceparent=turn.traceparent)))
        return True

    def pause(self) -> None:
        for utterance in self._released():
            self._send(CallCommand(pause=brain_pb2.Pause(utterance_id=utterance.id)))

    def resume(self) -> None:
        """Each from the beginning of the word that was cut."""
        for utterance in self._released():
            # An utterance that waits behind a paused one has not begun: it begins at its first sample.
            at = utterance.heard.resume_sample() if utterance.heard.samples_played else 0
            self._send(CallCommand(resume=brain_pb2.Resume(utterance_id=utterance.id, from_sample=at)))

    def stop(self, turn: Turn) -> None:
        """Nothing more is heard of what this turn says."""
        for ident in sorted(turn.open_utterances):
            utterance = turn.utterances[ident]
            utterance.cancel()
            self._send(CallCommand(stop=brain_pb2.Stop(utterance_id=ident)))
            if not utterance.released:
                self._log.utterance_closed(turn, ident)

    def heard(self, utterance_id: int, samples: int) -> None:
        """The gateway's word on how much of it was played."""
        turn = self._log.of(utterance_id)
        if turn is not None:
            turn.utterances[utterance_id].heard.samples_played = samples

    def _released(self) -> list[Utterance]:
        return [
            turn.utterances[ident]
            for turn in self._log.turns.values()
            for ident in sorted(turn.open_utterances)
            if turn.utterances[ident].released
        ]
