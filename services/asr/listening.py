"""One call listened to: frames from the bus in, responses out. The edge around Intake, Hearing and Passes."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from nats.errors import Error as NatsError
from opentelemetry.context import Context

from services.asr.calltelemetry import CallTelemetry
from services.asr.early import EarlyPasses
from services.asr.hearing import Began, Ended, Heard, Hearing, PerhapsEnded
from services.asr.partials import Partials
from services.asr.passes import CallPasses, Outcome, Pass, Passes
from services.asr.replay import replay
from services.asr.schedule import Kind
from services.asr.segment import Intake, Segment
from services.asr.settings import AsrSettings
from services.asr.silences import Silences
from services.asr.turn_end import Judged, TurnEnds
from services.asr.vad import SileroModel, Vad
from services.asr.whisper import NOTHING
from services.common.bus import caller_subject
from services.common.callclock import CallClock
from services.common.frameclient import FrameClient
from services.common.media.frame import FRAME_US, AudioFrame, FrameInvalid
from services.common.telemetry import log
from tandem.v1 import asr_pb2

LAPSE_EVERY_S = 0.1
CURRENT_US = 500_000
"""Audio further back is being caught up with: its partials would say what nobody can act upon."""


@dataclass(slots=True)
class _Due:
    """A final that is owed."""

    ended: Ended
    asked: Pass
    requested_us: int
    wanted_at: float


class Listening:
    """Tells SpeechStarted, SpeechStopped and FinalTranscript: one final for each stop, in the order of the stops.

    Between start and stop, as there is room: PartialTranscript; from the first silence on: TurnEnd.
    """

    def __init__(
        self,
        start: asr_pb2.RecognizeStart,
        language: str,
        settings: AsrSettings,
        bus: FrameClient,
        vad: SileroModel,
        passes: Passes | CallPasses,
        tell: Callable[[asr_pb2.RecognizeResponse], None],
        telemetry: CallTelemetry,
        clock: Callable[[], float] = time.monotonic,
        turn_ends: TurnEnds | None = None,
    ) -> None:
        """`turn_ends`: None where no model judges the end of turns."""
        self._call_id = start.call_id
        self._rate = start.sample_rate_hz
        self._language = language
        self._hints = ", ".join(start.hints)
        self._question = ""
        self._settings = settings
        self._bus = bus
        self._passes = passes
        self._tell = tell
        self._telemetry = telemetry
        self._clock = clock
        self._call_clock = CallClock()
        self._intake = Intake(start.from_sequence)
        self._hearing = Hearing.of(settings, self._rate, Vad(vad, self._rate))
        self._early = EarlyPasses(passes, self._partial, telemetry.partial)
        self._partials = Partials(settings.partials, settings.partial_every_ms)
        self._turn_ends = turn_ends
        self._silences = Silences()
        self._due: asyncio.Queue[_Due] = asyncio.Queue()
        self._replaying: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._log = log.logger().bind(call_id=self._call_id)

    def turn(self, question: str, trace_context: Context) -> None:
        """A turn begins: what the next words answer, and the span under which passes are seen."""
        self._question = question
        if trace_context:
            self._telemetry.turn(trace_context)

    def agent_speaks(self, speaking: bool) -> None:
        """Whether the agent is heard: what the caller says meanwhile may be an interruption."""
        self._partials.agent_speaks(speaking)
        if speaking:
            self._hearing.agent_heard()

    async def run(self) -> None:
        """Listens until cancelled. Raises what the voice activity network raised: the call cannot be heard then."""
        subscription = self._bus.subscribe_frames(caller_subject(self._call_id), self._on_frame)
        finals = asyncio.create_task(self._send_finals())
        try:
            with contextlib.suppress(NatsError):  # a bus that is down: go on with what comes
                await self._bus.live()
            # Whatever was said before the subscription took hold is in the gateway's ring.
            self._ask_replay()
            while True:
                await asyncio.wait([self._failure], timeout=LAPSE_EVERY_S)
                if self._failure.done():
                    self._failure.result()
                if finals.done():
                    finals.result()  # what broke there: nothing more would be told
                now_us = self._call_clock.at(self._clock())
                if now_us:
                    self._tell_all(self._hearing.lapse(now_us))
        finally:
            finals.cancel()
            if self._replaying is not None:
                self._replaying.cancel()
            self._early.drop()
            if self._turn_ends is not None:
                self._turn_ends.forget(self)
            while not self._due.empty():
                self._dropped(self._due.get_nowait())
            subscription.unsubscribe()
            await asyncio.wait([finals])

    def _on_frame(self, payload: bytes) -> None:
        now = self._clock()
        try:
            frame = AudioFrame.unpack(payload)
        except FrameInvalid as error:
            self._log.warning("frame_invalid", error=str(error))
            return
        if frame.sample_rate_hz != self._rate:
            self._log.warning("frame_of_other_rate", expected_hz=self._rate, found_hz=frame.sample_rate_hz)
            return
        self._call_clock.observe(frame.call_time_us + FRAME_US, now)
        if self._call_clock.at(now) - frame.call_time_us > self._settings.max_frame_age_ms * 1000:
            self._intake.skip(frame)
            self._telemetry.frame_stale()
        elif self._replaying is not None:
            self._intake.hold(frame)
        else:
            self._hear(self._intake.live(frame))
            if self._intake.behind:
                self._ask_replay()

    def _ask_replay(self) -> None:
        self._replaying = asyncio.create_task(self._replay())

    async def _replay(self) -> None:
        from_sequence, asked_at = self._intake.next_sequence, self._clock()
        came, from_us, failure = 0, None, None

        def take(frames: list[AudioFrame]) -> None:
            nonlocal came, from_us
            came += len(frames)
            if from_us is None and frames:
                from_us = frames[0].call_time_us
            self._hear(self._intake.replayed(frames))

        try:
            wait_s = self._settings.replay_wait_ms / 1000
            whole = await replay(self._bus, self._call_id, from_sequence, self._rate, take, wait_s)
        except Exception as error:  # a bus that is down: go on with what comes live
            self._log.warning("replay_failed", error=str(error))
            whole, failure = False, error
        self._replaying = None
        missing = self._intake.gap
        self._hear(self._intake.replay_over())
        if missing or not whole:
            self._log.info("replay_incomplete", from_sequence=from_sequence, next_sequence=self._intake.next_sequence)
        self._telemetry.replayed(asked_at, came, from_us, whole, missing, failure)

    def _hear(self, frames: list[AudioFrame]) -> None:
        try:
            for frame in frames:
                self._tell_all(self._hearing.hear(frame))
                self._perhaps_partial()
        except Exception as error:  # inside a bus callback it would be lost, and the stream silent for ever
            if not self._failure.done():
                self._failure.set_exception(error)

    def _now_us(self) -> int:
        # A replay without live audio leaves the clock unknown; the newest frame is the best guess then.
        return max(self._call_clock.at(self._clock()), self._hearing.heard_to_us)

    def _tell_all(self, events: list[Heard]) -> None:
        for event in events:
            match event:
                case Began(utterance, call_time_us):
                    self._partials.began(call_time_us)
                    self._silences.over()
                    started = asr_pb2.SpeechStarted(utterance=utterance, call_time_us=call_time_us)
                    self._tell(asr_pb2.RecognizeResponse(speech_started=started))
                    self._telemetry.began(utterance)
                case PerhapsEnded(utterance, call_time_us, segment):
                    self._judge(utterance, call_time_us)
                    if not self._early.covers(call_time_us):
                        self._early.ask(Kind.HEAD_START, utterance, segment, self._language, self._prompt())
                case Ended():
                    self._ended(event)

    def _ended(self, ended: Ended) -> None:
        now_us, now = self._now_us(), self._clock()
        stopped = asr_pb2.SpeechStopped(
            utterance=ended.utterance,
            call_time_us=ended.ended_us,
            decided_after_us=max(now_us - ended.ended_us, 0),
        )
        self._tell(asr_pb2.RecognizeResponse(speech_stopped=stopped))
        self._partials.ended()
        asked = self._early.take(ended.ended_us) or self._passes.ask(ended.segment, self._language, self._prompt())
        self._judge(ended.utterance, ended.ended_us)
        self._due.put_nowait(_Due(ended, asked, now_us, now))

    def _perhaps_partial(self) -> None:
        hearing = self._hearing
        if not hearing.speaking or not self._partials.due(hearing.heard_to_us, hearing.speech_to_us):
            return
        if self._early.under_way or self._now_us() - hearing.heard_to_us > CURRENT_US:
            return
        clip = hearing.so_far()
        if self._early.ask(Kind.PARTIAL, hearing.utterance, clip, self._language, self._prompt()):
            self._partials.asked(hearing.heard_to_us)

    def _partial(self, utterance: int, clip: Segment, outcome: Outcome) -> None:
        """An early pass came before the end of its utterance: a head start on the final is a partial like others."""
        heard = outcome.transcript
        if self._settings.partials == "never":
            return
        self._tell(
            asr_pb2.RecognizeResponse(
                partial=asr_pb2.PartialTranscript(
                    utterance=utterance, text=heard.text, end_us=clip.end_us, confidence=heard.confidence
                )
            )
        )

    def _judge(self, utterance: int, call_time_us: int) -> None:
        """Asks whether the turn is over with the speech sample at call_time_us: once for each silence."""
        if self._turn_ends is None or not self._silences.due(call_time_us, self._hearing.heard_to_us):
            return

        def tell(judged: Judged) -> None:
            turn_end = asr_pb2.TurnEnd(
                utterance=utterance,
                call_time_us=call_time_us,
                probability=judged.probability,
                took_us=judged.took_us,
            )
            self._tell(asr_pb2.RecognizeResponse(turn_end=turn_end))

        if self._turn_ends.ask(self, self._hearing.turn(call_time_us), tell):
            self._silences.judged(call_time_us)

    def _prompt(self) -> str:
        return f"{self._hints} {self._question}".strip() if self._settings.prompt else ""

    async def _send_finals(self) -> None:
        while True:
            due = await self._due.get()
            try:
                # Not wait_for: until Python 3.12 it forgets a cancellation that comes together with the outcome.
                async with asyncio.timeout(self._settings.max_pass_ms / 1000):
                    outcome = await due.asked.outcome()
            except TimeoutError:
                due.asked.drop()
                outcome = self._too_late(due.asked)
            except asyncio.CancelledError:
                self._dropped(due)
                raise
            self._tell(asr_pb2.RecognizeResponse(final=self._final(due, outcome)))
            self._telemetry.final(due.ended.utterance, due.wanted_at, due.asked.segment, outcome)

    def _dropped(self, due: _Due) -> None:
        due.asked.drop()
        self._telemetry.final_dropped(due.ended.utterance)

    def _too_late(self, asked: Pass) -> Outcome:
        now = self._clock()
        began_at = now if asked.began_at is None else asked.began_at
        doing = "found no thread" if asked.began_at is None else "was not made"
        late = TimeoutError(f"the pass {doing} in {self._settings.max_pass_ms} ms")
        return Outcome(NOTHING, asked.asked_at, began_at, now, late)

    def _final(self, due: _Due, outcome: Outcome) -> asr_pb2.FinalTranscript:
        heard = outcome.transcript
        segment = due.asked.segment
        return asr_pb2.FinalTranscript(
            utterance=due.ended.utterance,
            text=heard.text,
            words=[
                asr_pb2.Word(
                    text=word.text,
                    start_us=segment.call_time_us(word.start_s),
                    end_us=segment.call_time_us(word.end_s),
                    confidence=word.confidence,
                )
                for word in heard.words
            ],
            start_us=due.ended.started_us,
            end_us=due.ended.ended_us,
            confidence=heard.confidence,
            queue_us=outcome.queue_us,
            decode_us=outcome.decode_us,
            language=heard.language or self._language,
            requested_call_time_us=due.requested_us,
            sent_call_time_us=self._now_us(),
        )
