"""The turns of a call as they are recorded: journal, spans, latency, notices."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from opentelemetry.context import Context
from opentelemetry.trace import Span, set_span_in_context

from services.brain.latency import TurnMarks
from services.brain.turn_events import Respond
from services.brain.utterance import Utterance
from services.common.telemetry import names
from services.common.telemetry.trace import traceparent_of, tracer
from tandem.v1.asr_pb2 import FinalTranscript
from tandem.v1.brain_pb2 import PlayoutFinished, PlayoutStarted
from tandem.v1.call_pb2 import CallFacts, JournalTurn
from tandem.v1.tts_pb2 import FirstAudio


@dataclass(slots=True)
class Turn:
    """One exchange in the making. `entry` lies in the journal from the first audible sample on."""

    entry: JournalTurn
    span: Span
    before_index: int = 0
    amends: bool = False
    speculative: bool = False  # the caller may go on: nothing of it is on record
    confirmed_us: int = 0
    marks: TurnMarks = field(default_factory=TurnMarks)
    utterances: dict[int, Utterance] = field(default_factory=dict)
    open_utterances: set[int] = field(default_factory=set)
    replying: bool = True
    answers_audible: int = 0  # utterances other than fillers
    tool_us: int = 0
    tool_since_us: int = 0
    text_sent_us: dict[int, int] = field(default_factory=dict)
    text_tool_us: dict[int, int] = field(default_factory=dict)
    synthesis_us: dict[int, int] = field(default_factory=dict)
    audio_received_us: dict[int, int] = field(default_factory=dict)
    play_sent_us: dict[int, int] = field(default_factory=dict)

    @property
    def traceparent(self) -> str:
        return traceparent_of(self.span)


class TurnLog:
    """Keeps at most one turn in the making and one pending: speech that may become a turn."""

    def __init__(
        self, facts: CallFacts, root: Context, record_pii: bool, turn_done: Callable[[JournalTurn], None]
    ) -> None:
        self._facts = facts
        self._root = root
        self._record_pii = record_pii
        self._turn_done = turn_done
        self._next_index = 0
        self._pending: Span | None = None
        self._stop_decided_us: dict[int, int] = {}
        self._unheard: Turn | None = None
        self._final: FinalTranscript | None = None
        self._final_received_us = 0
        self._speculations = 0
        self.turns: dict[int, Turn] = {}  # by index, those not finished

    def resume_behind(self, turns: Iterable[JournalTurn]) -> None:
        """A take-over: turns of which nothing was heard have a number too, but are not in the journal."""
        self._next_index = max((turn.index + 1 for turn in turns), default=0)

    # The caller's side.

    def speech_began(self, at_us: int) -> tuple[int, str]:
        """Speech that may become a turn: the number and the traceparent under which asr is to work."""
        if self._pending is None:
            self._pending = self._start_span(at_us)
        return self._next_index, traceparent_of(self._pending)

    def speech_stopped(self, utterance: int, decided_us: int) -> None:
        self._stop_decided_us[utterance] = decided_us

    def transcript(self, final: FinalTranscript, received_us: int) -> None:
        self._final, self._final_received_us = final, received_us

    def ignored(self) -> None:
        """It was no turn."""
        if self._pending is not None:
            self._pending.set_attribute(names.TURN_OUTCOME, "ignored")
            self._pending.end()
            self._pending = None
        self._stop_decided_us.clear()

    # Turns.

    def begin(self, respond: Respond | None, now_us: int, speculative: bool = False) -> Turn:
        """A turn is decided (`respond`), or the agent speaks unasked (None).

        A `speculative` one is only probably decided: `confirmed` or `discarded` follows.
        """
        span = self._pending or self._start_span(respond.started_us if respond else now_us)
        self._pending = None
        amends = respond is not None and respond.amends
        before_index = self._next_index
        if amends and self._unheard is not None:
            self._next_index = self._unheard.entry.index
        entry = JournalTurn(index=self._next_index)
        self._next_index += 1
        turn = Turn(entry, span, before_index, amends, speculative)
        span.set_attribute(names.TURN_INDEX, entry.index)
        if respond is not None:
            entry.caller_text = respond.text
            entry.caller_started_us, entry.caller_stopped_us = respond.started_us, respond.stopped_us
            self._mark_decision(turn, respond, now_us)
        if speculative:
            self._speculations += 1
            span.set_attribute(names.TURN_SPECULATIONS, self._speculations)
        self.turns[entry.index] = turn
        if not speculative:
            self.confirmed(turn, now_us)
        return turn

    def confirmed(self, turn: Turn, now_us: int) -> None:
        """The turn is over indeed."""
        turn.confirmed_us = now_us
        turn.entry.speculations, self._speculations = self._speculations, 0
        if turn.speculative:
            turn.speculative, turn.entry.foreseen = False, True
            turn.span.set_attribute(names.TURN_FORESEEN, True)
        self._stop_decided_us.clear()
        self._settle_unheard(turn.amends)
        if turn.marks.speech_end_us:
            parent = set_span_in_context(turn.span)
            start_ns = self._wall_ns(turn.marks.speech_end_us)
            waiting = tracer().start_span(names.ENDPOINTING, context=parent, start_time=start_ns)
            waiting.end(end_time=self._wall_ns(now_us))
        if turn.entry.caller_text and self._record_pii:
            turn.span.set_attribute(names.TURN_CALLER_TEXT, turn.entry.caller_text)
        self._finish_when_done(turn)

    def discarded(self, turn: Turn) -> None:
        """The caller goes on: the same span and number wait for the whole turn."""
        del self.turns[turn.entry.index]
        self._next_index = turn.before_index
        if self._pending is None:
            self._pending = turn.span
        else:
            turn.span.set_attribute(names.TURN_OUTCOME, "discarded")
            turn.span.end()

    def _settle_unheard(self, amended: bool) -> None:
        """A turn of whose answer nothing was heard: when the caller merely went on, it never was one of its own."""
        turn, self._unheard = self._unheard, None
        if turn is None:
            return
        if not amended:
            self._conclude(turn)
            return
        turn.span.set_attribute(names.TURN_OUTCOME, "amended")
        turn.span.end()

    def _mark_decision(self, turn: Turn, respond: Respond, now_us: int) -> None:
        turn.marks.decided_us = now_us
        final = self._final
        if final is None or not self._stop_decided_us:
            return  # digits: no speech, no latency
        marks = turn.marks
        marks.speech_end_us = respond.stopped_us
        marks.stop_decided_us = max(self._stop_decided_us.values())
        marks.asr_us = final.sent_call_time_us - final.requested_call_time_us
        marks.final_sent_us = final.sent_call_time_us
        marks.final_received_us = self._final_received_us

    def speaks(self, turn: Turn, utterance: Utterance) -> None:
        turn.utterances[utterance.id] = utterance
        turn.open_utterances.add(utterance.id)

    def text_sent(self, turn: Turn, utterance_id: int, now_us: int) -> None:
        running = now_us - turn.tool_since_us if turn.tool_since_us else 0
        turn.text_sent_us[utterance_id] = now_us
        turn.text_tool_us[utterance_id] = turn.tool_us + running

    def audio_ready(self, turn: Turn, utterance_id: int, audio: FirstAudio, now_us: int) -> None:
        turn.synthesis_us[utterance_id] = audio.clause_wait_us + audio.queue_us + audio.synthesis_us
        turn.audio_received_us[utterance_id] = now_us

    def playout_started(self, started: PlayoutStarted, call_time_us: int) -> None:
        """The first sample of an utterance is out: of the first one of a turn, that is the turn's latency."""
        turn = self.of(started.utterance_id)
        if turn is None or turn.marks.heard_us:
            return
        ident, marks = started.utterance_id, turn.marks
        marks.text_sent_us = turn.text_sent_us[ident]
        if marks.decided_us and marks.text_sent_us >= turn.confirmed_us:
            # What was begun early had to wait (for a tool): up to the decision the turn's end was waited for.
            marks.decided_us = turn.confirmed_us
        marks.tool_us = turn.text_tool_us[ident]
        marks.answering_us = marks.text_sent_us - marks.decided_us - marks.tool_us
        marks.synthesis_us = turn.synthesis_us[ident]
        marks.audio_received_us = turn.audio_received_us[ident]
        marks.play_sent_us = turn.play_sent_us[ident]
        marks.play_ready_us = started.ready_call_time_us
        marks.playout_us = started.wait_us
        marks.heard_us = call_time_us
        turn.entry.agent_started_us = call_time_us
        latency = marks.latency()
        if latency is not None:
            turn.entry.latency.CopyFrom(latency)
            turn.span.set_attribute(names.TURN_EAR_LATENCY_MS, latency.ear_latency_ms)
            turn.span.set_attribute(names.TURN_UNEXPLAINED_MS, latency.unexplained_ms)
            for part, ms in latency.parts_ms.items():
                turn.span.set_attribute(f"{names.TURN_PART_MS}.{part}", ms)

    def playout_finished(self, finished: PlayoutFinished, call_time_us: int) -> None:
        if (turn := self.of(finished.utterance_id)) is not None:
            turn.entry.agent_stopped_us = call_time_us
            self.utterance_closed(turn, finished.utterance_id)

    def utterance_closed(self, turn: Turn, utterance_id: int) -> None:
        turn.open_utterances.discard(utterance_id)
        turn.utterances[utterance_id].cancel()
        turn.utterances[utterance_id].closed.set()
        self._finish_when_done(turn)

    def reply_done(self, turn: Turn, interrupted: bool = False) -> None:
        turn.replying = False
        turn.entry.interrupted = turn.entry.interrupted or interrupted
        self._finish_when_done(turn)

    def of(self, utterance_id: int) -> Turn | None:
        return next((turn for turn in self.turns.values() if utterance_id in turn.utterances), None)

    def finish_all(self) -> None:
        """The call is over."""
        self.ignored()
        for turn in list(self.turns.values()):
            turn.replying = False
            for utterance_id in list(turn.open_utterances):
                self.utterance_closed(turn, utterance_id)
            self._finish_when_done(turn)
        self._settle_unheard(amended=False)

    def _finish_when_done(self, turn: Turn) -> None:
        if turn.speculative or turn.replying or turn.open_utterances or self.turns.pop(turn.entry.index, None) is None:
            return
        if turn.entry.interrupted and turn.entry.caller_text and not turn.marks.heard_us:
            self._settle_unheard(amended=False)
            self._unheard = turn
        else:
            self._conclude(turn)

    def _conclude(self, turn: Turn) -> None:
        self._note_heard(turn)
        turn.span.set_attribute(names.TURN_INTERRUPTED, turn.entry.interrupted)
        if self._record_pii:
            turn.span.set_attribute(names.TURN_AGENT_TEXT, turn.entry.agent_text)
        turn.span.end()
        self._turn_done(turn.entry)

    def record_so_far(self) -> list[JournalTurn]:
        """The turns in the making, with what was heard of them by now."""
        for turn in self.turns.values():
            self._note_heard(turn)
        return [turn.entry for turn in self.turns.values()]

    def _note_heard(self, turn: Turn) -> None:
        spoken = (utterance.heard.text() for _, utterance in sorted(turn.utterances.items()))
        turn.entry.agent_text = " ".join(text for text in spoken if text)

    def _start_span(self, at_us: int) -> Span:
        return tracer().start_span(
            names.TURN,
            context=self._root,
            start_time=self._wall_ns(at_us),
            attributes={names.CALL_ID: self._facts.call_id},
        )

    def _wall_ns(self, call_time_us: int) -> int:
        """For spans only: the wall clock of a call time."""
        return (self._facts.answered_unix_us + call_time_us) * 1000
