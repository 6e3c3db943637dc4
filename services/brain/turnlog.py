"""The turns of a call as they are recorded: journal, spans, latency, metrics."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext

from services.brain import turn_spans
from services.brain.caller_speech import CallerSpeech
from services.brain.exchange import Turn
from services.brain.turn_end import SAID_OVER
from services.brain.turn_events import Respond
from services.brain.turn_spans import TurnSpans, link, tell_latency, tell_outcome
from services.brain.turn_verdict import Conclusion, Outcome, spoke_too_early
from services.brain.turn_watch import TurnWatch
from services.brain.utterance import Utterance
from services.common.telemetry import names
from services.common.telemetry.trace import traceparent_of
from tandem.v1.asr_pb2 import FinalTranscript
from tandem.v1.brain_pb2 import PlayoutFinished, PlayoutStarted
from tandem.v1.call_pb2 import CallFacts, JournalTurn
from tandem.v1.tts_pb2 import FirstAudio


@dataclass(frozen=True, slots=True)
class _OverAgent:
    """The caller's sound while it was the agent's turn, of which it is not clear what it is."""

    at_us: int
    profile: str
    turn: Turn


class TurnLog:
    """Keeps at most one turn in the making and one pending: speech that may become a turn."""

    def __init__(
        self,
        facts: CallFacts,
        root: Context,
        record_pii: bool,
        turn_done: Callable[[JournalTurn], None],
        watch: TurnWatch | None = None,
    ) -> None:
        self._facts = facts
        self._spans = TurnSpans(facts, root)
        self._record_pii = record_pii
        self._turn_done = turn_done
        self._watch = watch or TurnWatch()
        self._next_index = 0
        self._pending: Span | None = None
        self._pending_error = ""
        self._speech = CallerSpeech()
        self._unheard: Turn | None = None
        self._last: Turn | None = None  # that was decided, or that the agent began
        self._over_agent: _OverAgent | None = None
        self._follows: list[SpanContext] = []  # what the next turn links to
        self._ignored: SpanContext | None = None
        self._taken_over = False
        self._speculations = 0
        self.turns: dict[int, Turn] = {}  # by index, those not finished

    def resume_behind(self, turns: Iterable[JournalTurn]) -> None:
        """A take-over: turns of which nothing was heard have a number too, but are not in the journal."""
        self._next_index = max((turn.index + 1 for turn in turns), default=0)

    def taken_over(self, recovery: SpanContext | None) -> None:
        """Another brain had the call: the first turn links to `recovery`."""
        if recovery is not None:
            self._follows.append(recovery)
        self._taken_over = True

    # The caller's side.

    def speech_began(self, at_us: int) -> tuple[int, str]:
        """Speech that may become a turn: the number and the traceparent under which asr is to work."""
        if self._pending is None:
            self._pending = self._spans.begin(at_us)
        for turn in self.turns.values():
            turn.quiet.ends(at_us)  # who speaks does not wait
        return self._next_index, traceparent_of(self._pending)

    def speech_stopped(self, utterance: int, decided_us: int) -> None:
        self._speech.stopped(utterance, decided_us)

    def transcript(self, final: FinalTranscript, received_us: int) -> None:
        self._speech.understood(final, received_us)

    def hearing_since(self, now_us: int) -> None:
        """A recogniser listens from now on."""
        self._speech.hearing_since(now_us)

    def hearing_lost(self, now_us: int, broke: bool = True) -> None:
        """It is gone. Of speech that is not understood yet that is an error, unless it handed the call over."""
        if self._pending is not None:
            self._spans.event(self._pending, turn_spans.ASR_LOST, now_us)
            if broke:
                self._pending_error = turn_spans.ASR_LOST

    def over_agent(self, at_us: int, profile: str) -> None:
        """Speech began while it was the agent's turn; `over_agent_settled` follows, unless the call ends."""
        if self._over_agent is None and self._last is not None:
            self._over_agent = _OverAgent(at_us, profile, self._last)

    def over_agent_settled(self, interruption: bool, why: str, now_us: int) -> None:
        """It is clear whether that was an interruption, and `why`: nothing is known of it where this is empty."""
        over, self._over_agent = self._over_agent, None
        if over is None or not why:
            return
        turn, metrics = over.turn, self._watch.metrics
        self._spans.barge_in(turn.span, over.at_us, now_us, over.profile, interruption, why)
        decision = "confirmed" if interruption else "rejected"
        metrics.barge_in(over.profile, decision, max(now_us - over.at_us, 0), turn.traceparent)
        if not interruption:
            return
        self._follows.append(turn.span.get_span_context())
        speaking = turn.asked and any(one.released for one in turn.utterances.values())
        # Before anything was released the caller amends the turn, and that is counted there.
        if speaking and spoke_too_early(over.at_us, turn.entry.agent_started_us):
            metrics.false_cut_off(self._facts.agent)

    def ignored(self, now_us: int = 0) -> None:
        """It was no turn."""
        if self._pending is not None:
            self._ignored = self._pending.get_span_context()
            tell_outcome(self._pending, Outcome.IGNORED, self._pending_error)
            self._pending.end()
            self._pending = None
            self._watch.metrics.concluded(Conclusion(self._facts.agent, Outcome.IGNORED))
        self._pending_error = ""
        self._speech.clear()
        for turn in self.turns.values():
            if turn.replying and not turn.playing and now_us:
                turn.quiet.begins(now_us)

    # Turns.

    def begin(self, respond: Respond | None, now_us: int, speculative: bool = False, unasked: str = "") -> Turn:
        """A turn is decided (`respond`), or the agent speaks unasked (None): because of `unasked`, a value of
        voice.turn.unasked.

        A `speculative` one is only probably decided: `confirmed` or `discarded` follows.
        """
        span = self._pending or self._spans.begin(respond.started_us if respond else now_us)
        amends = respond is not None and respond.amends
        before_index = self._next_index
        if amends and self._unheard is not None:
            self._next_index = self._unheard.entry.index
            link(span, self._unheard.span.get_span_context())
        entry = JournalTurn(index=self._next_index)
        self._next_index += 1
        turn = Turn(entry, span, before_index, amends, speculative=speculative, asked=respond is not None)
        turn.error, self._pending_error, self._pending = self._pending_error, "", None
        self._link(turn)
        span.set_attribute(names.TURN_INDEX, entry.index)
        if respond is not None:
            entry.caller_text, turn.keyed = respond.text, respond.keyed
            turn.went_on = amends and bool(respond.added)
            entry.caller_started_us, entry.caller_stopped_us = respond.started_us, respond.stopped_us
            self._speech.mark(turn.marks, respond, now_us)
            if respond.why == SAID_OVER and self._ignored is not None:
                link(span, self._ignored)
        if unasked:
            span.set_attribute(names.TURN_UNASKED, unasked)
            if unasked == turn_spans.SILENCE_PROMPT:
                self._spans.event(span, turn_spans.SILENCE_PROMPT, now_us)
        if speculative:
            self._speculations += 1
            span.set_attribute(names.TURN_SPECULATIONS, self._speculations)
        self.turns[entry.index] = turn
        if not speculative:
            self.confirmed(turn, now_us, respond.why if respond else "")
        return turn

    def _link(self, turn: Turn) -> None:
        for one in self._follows:
            link(turn.span, one)
        self._follows.clear()

    def confirmed(self, turn: Turn, now_us: int, why: str = "") -> None:
        """The turn is over indeed; `why` is a value of voice.endpointing.why."""
        turn.confirmed_us = now_us
        turn.entry.speculations, self._speculations = self._speculations, 0
        if turn.speculative:
            turn.speculative, turn.entry.foreseen = False, True
            turn.span.set_attribute(names.TURN_FORESEEN, True)
            self._watch.metrics.speculation("released")
        turn.after_take_over, self._taken_over = self._taken_over, False
        self._last = turn
        self._speech.clear()
        if turn.went_on:
            self._watch.metrics.false_cut_off(self._facts.agent)
        self._settle_unheard(turn.amends)
        said_until_us = turn.entry.caller_stopped_us
        if turn.asked:
            self._spans.endpointing(turn.span, said_until_us, now_us, why)
        turn.quiet.begins(said_until_us or now_us)
        if turn.entry.caller_text and self._record_pii:
            turn.span.set_attribute(names.TURN_CALLER_TEXT, turn.entry.caller_text)
        self._finish_when_done(turn)

    def discarded(self, turn: Turn, now_us: int = 0) -> None:
        """The caller goes on: the same span and number wait for the whole turn."""
        del self.turns[turn.entry.index]
        self._next_index = turn.before_index
        self._watch.metrics.speculation("discarded")
        turn.concluded = True
        if now_us:
            self._spans.event(turn.span, turn_spans.ANSWER_DISCARDED, now_us)
        if self._pending is None:
            # What went wrong with the answer is gone with it.
            self._pending, self._pending_error = turn.span, turn.error if turn.error == turn_spans.ASR_LOST else ""
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
        turn.concluded = True
        tell_outcome(turn.span, Outcome.AMENDED, turn.error)
        turn.span.end()
        self._watch.metrics.concluded(Conclusion(self._facts.agent, Outcome.AMENDED))

    def failed(self, turn: Turn, error: str, gave_up: bool = False) -> None:
        """Something that the answer needed did not work. `error` is short and tells nothing that people said; the
        first one stands. `gave_up`: the caller hears an apology, or nothing."""
        turn.error = turn.error or error
        turn.gave_up = turn.gave_up or gave_up

    def speaks(self, turn: Turn, utterance: Utterance, filler: bool = False) -> None:
        turn.utterances[utterance.id] = utterance
        turn.open_utterances.add(utterance.id)
        if filler:
            turn.fillers.add(utterance.id)

    def text_sent(self, turn: Turn, utterance_id: int, now_us: int) -> None:
        running = now_us - turn.tool_since_us if turn.tool_since_us else 0
        turn.text_sent_us[utterance_id] = now_us
        turn.text_tool_us[utterance_id] = turn.tool_us + running

    def audio_ready(self, turn: Turn, utterance_id: int, audio: FirstAudio, now_us: int, lost_us: int = 0) -> None:
        """`lost_us`: how long a tts had it that then failed."""
        turn.synthesis_us[utterance_id] = lost_us + audio.clause_wait_us + audio.queue_us + audio.synthesis_us
        turn.audio_received_us[utterance_id] = now_us

    def speech_failed(self, turn: Turn, now_us: int) -> None:
        """A tts broke while it spoke, or said nothing in time."""
        if not turn.concluded:
            self._spans.event(turn.span, turn_spans.TTS_LOST, now_us)

    def playout_started(self, started: PlayoutStarted, call_time_us: int) -> None:
        """The first sample of an utterance is out: of the first one of a turn, that is the turn's latency."""
        turn = self.of(started.utterance_id)
        if turn is None:
            return
        ident, marks = started.utterance_id, turn.marks
        turn.playing.add(ident)
        turn.quiet.ends(call_time_us)
        if ident in turn.fillers:
            self._spans.event(turn.span, turn_spans.FILLER, call_time_us)
        elif not turn.answer_us:
            turn.answer_us = call_time_us
            if marks.heard_us and marks.speech_end_us:
                turn.answer_ms = (call_time_us - marks.speech_end_us) / 1000
                turn.span.set_attribute(names.TURN_ANSWER_MS, turn.answer_ms)
        if marks.heard_us:
            return
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
            tell_latency(turn.span, latency)

    def playout_finished(self, finished: PlayoutFinished, call_time_us: int) -> None:
        if (turn := self.of(finished.utterance_id)) is not None:
            turn.entry.agent_stopped_us = call_time_us
            turn.playing.discard(finished.utterance_id)
            if turn.replying and not turn.playing:
                turn.quiet.begins(call_time_us)
            self.utterance_closed(turn, finished.utterance_id)

    def utterance_closed(self, turn: Turn, utterance_id: int) -> None:
        turn.open_utterances.discard(utterance_id)
        turn.utterances[utterance_id].cancel()
        turn.utterances[utterance_id].closed.set()
        self._finish_when_done(turn)

    def reply_done(self, turn: Turn, interrupted: bool = False, now_us: int = 0) -> None:
        turn.replying = False
        if now_us and (interrupted or not turn.open_utterances):
            turn.quiet.ends(now_us)
        turn.entry.interrupted = turn.entry.interrupted or interrupted
        self._finish_when_done(turn)

    def of(self, utterance_id: int) -> Turn | None:
        return next((turn for turn in self.turns.values() if utterance_id in turn.utterances), None)

    def finish_all(self, error: str = "") -> None:
        """The call is over, or with an `error` our part in it."""
        self.ignored()
        for turn in list(self.turns.values()):
            if error:
                self.failed(turn, error)
            turn.replying = False
            for utterance_id in list(turn.open_utterances):
                self.utterance_closed(turn, utterance_id)
            self._finish_when_done(turn)
        self._settle_unheard(amended=False)

    def _finish_when_done(self, turn: Turn) -> None:
        if not turn.over or self.turns.pop(turn.entry.index, None) is None:
            return
        if turn.entry.interrupted and turn.entry.caller_text and not turn.marks.heard_us:
            self._settle_unheard(amended=False)
            self._unheard = turn
        else:
            self._conclude(turn)

    def _conclude(self, turn: Turn) -> None:
        turn.note_heard()
        turn.concluded = True
        outcome, quiet_us = turn.outcome(), turn.quiet.longest_us
        dead_air_ms = quiet_us / 1000 if quiet_us > self._watch.dead_air_ms * 1000 else 0.0
        if dead_air_ms:
            self._spans.event(turn.span, turn_spans.DEAD_AIR, turn.quiet.longest_from_us)
            turn.span.set_attribute(names.TURN_DEAD_AIR_MS, dead_air_ms)
        turn.span.set_attribute(names.TURN_INTERRUPTED, turn.entry.interrupted)
        if self._record_pii:
            turn.span.set_attribute(names.TURN_AGENT_TEXT, turn.entry.agent_text)
        if turn.model_error:
            turn.span.set_attribute(names.MODEL_ERROR, turn.model_error)
        tell_outcome(turn.span, outcome, turn.error)
        turn.span.end()
        latency = turn.entry.latency if turn.entry.HasField("latency") else None
        told = (turn.answer_ms, dead_air_ms, turn.error, turn.after_take_over, turn.traceparent)
        self._watch.concluded(Conclusion(self._facts.agent, outcome, latency, *told))
        self._turn_done(turn.entry)

    def record_so_far(self) -> list[JournalTurn]:
        """The turns in the making, with what was heard of them by now."""
        for turn in self.turns.values():
            turn.note_heard()
        return [turn.entry for turn in self.turns.values()]
