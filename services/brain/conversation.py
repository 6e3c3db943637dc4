"""One call's conversation: joins the gateway's events, asr and the turn machine, and does what the machine says."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from services.brain.agent import Agent
from services.brain.company import Company, CompanyEvent, bridge_event
from services.brain.ears import Ears
from services.brain.endpoint import expected_answer
from services.brain.history import History
from services.brain.journal import JournalWriter
from services.brain.model import call_of
from services.brain.notices import Notices
from services.brain.reply import Reply
from services.brain.script.provider import arguments
from services.brain.surroundings import Surroundings
from services.brain.tools.toolbox import ToolBox
from services.brain.turn import TurnMachine
from services.brain.turn_events import (
    Audible,
    Digit,
    HangUp,
    HearingLost,
    HoldChanged,
    HungUp,
    Ignored,
    Output,
    Pause,
    Played,
    Release,
    ReplyBegan,
    Respond,
    Resume,
    Say,
    SpeechStarted,
    SpeechStopped,
    StopSpeaking,
    TakenOver,
    Transcript,
)
from services.brain.turn_profile import TurnProfile
from services.brain.turn_state import State
from services.brain.turnlog import Turn, TurnLog
from services.brain.utterance import Utterance
from services.common.callclock import CallClock
from services.common.telemetry.trace import context_from_traceparent
from tandem.v1 import brain_pb2
from tandem.v1.asr_pb2 import RecognizeResponse, TurnContext
from tandem.v1.brain_pb2 import CallCommand, CallEvent
from tandem.v1.call_pb2 import CallFacts, CallJournal, CallNotice, CallOutcome, JournalTurn
from tandem.v1.tts_pb2 import FirstAudio, SynthesizeStart

HANDOVER_SETTLES_S = 3.0


class Conversation:
    """Lives as long as the gateway's Converse stream."""

    def __init__(
        self,
        around: Surroundings,
        agent: Agent,
        tools: ToolBox,
        facts: CallFacts,
        call_time_us: int,
        traceparent: str,
        send: Callable[[CallCommand], None],
    ) -> None:
        self.around = around
        self.agent = agent
        self.tools = tools
        self.facts = facts
        self.traceparent = traceparent
        self._send = send
        self._clock = CallClock()
        self._clock.observe(call_time_us, asyncio.get_running_loop().time())
        self.machine = TurnMachine(_patience(agent))
        self._company = Company(self.machine)
        # The moment of the answer, so that a brain that takes over dates "tomorrow" from the same day.
        self._answered = datetime.fromtimestamp(facts.answered_unix_us / 1e6, UTC)
        self._system = agent.system_message(self._answered, facts)
        self.history = History(self._system)
        self.log = TurnLog(facts, context_from_traceparent(traceparent), around.record_pii, self._turn_done)
        self._ears = Ears(
            around.recognizer, facts, agent.language, agent.hints, traceparent, self._take_recognition, self._deaf
        )
        self.reply: Reply | None = None
        self.tool_tasks: set[asyncio.Task[None]] = set()
        self._utterance_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._over = asyncio.Event()
        self._notices = Notices(around.control, facts.call_id, traceparent)
        self.journal: JournalWriter
        self.outcome = CallOutcome.CALL_OUTCOME_FAILED

    # Life.

    async def run(self, events: AsyncIterator[CallEvent], found: tuple[CallJournal, int] | None) -> None:
        """Until the call ends or the stream breaks. `found` is another brain's journal of the same call."""
        journal, revision = found or (CallJournal(facts=self.facts, agent_version=self.agent.version), 0)
        journal.owner_epoch += 1
        journal.trace_id = self.traceparent.split("-")[1] if self.traceparent else ""
        self.journal = JournalWriter(self.around.journals, journal, revision, self._over.set)
        self.journal.save()
        try:
            self._begin(journal, taken_over=found is not None)
            reading = asyncio.create_task(self._read(events))
            ended = asyncio.create_task(self._over.wait())
            await asyncio.wait({reading, ended}, return_when=asyncio.FIRST_COMPLETED)
            for task in (reading, ended):
                task.cancel()
        finally:
            await self._end()
        if reading.done() and not reading.cancelled():
            reading.result()

    def _begin(self, journal: CallJournal, taken_over: bool) -> None:
        if not taken_over:
            self.notify(CallNotice(started=self.facts))
            self._ears.open()
            self._speak_unasked(self.agent.greeting)
            return
        self.history = History(self._system, json.loads(journal.messages_json or "[]"))
        self.log.resume_behind(journal.turns)
        self._ears.open(max((turn.caller_stopped_us for turn in journal.turns), default=0))
        if self.history.awaits_answer():
            self.feed(ReplyBegan())
            under_way = [call_of(message) for message in self.history.calls_under_way()]
            self._start_reply(self.log.begin(None, self.now())).answer(under_way)
        elif not journal.turns:
            self._speak_unasked(self.agent.greeting)
        else:
            self.feed(TakenOver())

    async def _read(self, events: AsyncIterator[CallEvent]) -> None:
        loop = asyncio.get_running_loop()
        async for event in events:
            self._clock.observe(event.call_time_us, loop.time())
            self._take_event(event)

    async def _end(self) -> None:
        hung_up = self.outcome != CallOutcome.CALL_OUTCOME_FAILED
        if hung_up and self.reply is not None and self.machine.state is State.TRANSFERRING:
            # Our leg ends as soon as a person has the caller: escalation's word on it is a moment behind.
            await self.reply.settled(HANDOVER_SETTLES_S)
        self.feed(HungUp())
        if self._timer is not None:
            self._timer.cancel()
        self._ears.close()
        if self.reply is not None:
            self.reply.abandon()
        if self.tool_tasks:
            # A tool that was asked for is finished and its result kept, whoever hung up (DESIGN §7).
            await asyncio.wait(self.tool_tasks, timeout=10)
        self.log.finish_all()
        self.journal.journal.outcome = self.outcome
        await self.journal.close()
        self.notify(CallNotice(ended=self.outcome))

    def model_arguments(self) -> dict[str, Any]:
        """What goes to LiteLLM with each call besides messages and tools; made anew, for LiteLLM writes into it."""
        return {**self.agent.model_options, **arguments(self.agent, self._answered, self.facts.caller_number)}

    def now(self) -> int:
        """Call time, µs."""
        return self._clock.at(asyncio.get_running_loop().time())

    # Events in.

    def _take_event(self, event: CallEvent) -> None:
        at = event.call_time_us
        match event.WhichOneof("event"):
            case "playout_started":
                self.log.playout_started(event.playout_started, at)
            case "playout_progress":
                self._heard(event.playout_progress.utterance_id, event.playout_progress.samples_played)
            case "playout_finished":
                done = event.playout_finished
                self._heard(done.utterance_id, done.samples_played)
                self.log.playout_finished(done, at)
                self.feed(Played(done.utterance_id))
            case "dtmf":
                self.feed(Digit(event.dtmf.digit))
            case "hold_changed":
                self.feed(HoldChanged(event.hold_changed.on_hold))
            case "bridge_changed":
                self.feed(bridge_event(event.bridge_changed))
            case "hung_up":
                if self.outcome == CallOutcome.CALL_OUTCOME_FAILED:
                    ours, theirs = CallOutcome.CALL_OUTCOME_AGENT_HUNG_UP, CallOutcome.CALL_OUTCOME_CALLER_HUNG_UP
                    self.outcome = theirs if event.hung_up.by_caller else ours
                self._over.set()

    def _heard(self, utterance_id: int, samples: int) -> None:
        turn = self.log.of(utterance_id)
        if turn is not None:
            turn.utterances[utterance_id].heard.samples_played = samples

    def _deaf(self) -> None:
        self.feed(HearingLost())

    def _take_recognition(self, response: RecognizeResponse) -> None:
        now = self.now()
        match response.WhichOneof("response"):
            case "speech_started":
                started = response.speech_started
                index, traceparent = self.log.speech_began(started.call_time_us)
                self._ears.turn_context(TurnContext(turn_index=index, traceparent=traceparent))
                self.feed(SpeechStarted(started.utterance, started.call_time_us))
            case "speech_stopped":
                stopped = response.speech_stopped
                self.log.speech_stopped(stopped.utterance, stopped.call_time_us + stopped.decided_after_us)
                self.feed(SpeechStopped(stopped.utterance, stopped.call_time_us))
            case "final":
                self.log.transcript(response.final, now)
                self.feed(Transcript(response.final.utterance, response.final.text, response.final.confidence))

    # The machine.

    def feed(self, event: CompanyEvent) -> None:
        """One event through the turn machine, and what follows from it."""
        now = self.now()
        self._do(self._company.handle(event, now), now)

    def _expire(self) -> None:
        self._timer = None
        now = self.now()
        self._do(self.machine.expire(now), now)

    def _do(self, outputs: list[Output], now: int) -> None:
        for output in outputs:
            self._do_one(output, now)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.machine.next_deadline()
        if deadline is not None:
            delay_s = max(0.0, (deadline - now) / 1e6)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._expire)

    def _do_one(self, output: Output, now: int) -> None:
        match output:
            case Respond():
                self._respond(output, now)
            case Say():
                self._say(output)
            case Release(utterance_id):
                self._release(utterance_id, now)
            case Pause():
                for utterance in self._released():
                    self._send(CallCommand(pause=brain_pb2.Pause(utterance_id=utterance.id)))
            case Resume():
                for utterance in self._released():
                    self._resume(utterance)
            case StopSpeaking():
                self._stop_speaking()
            case Ignored():
                self.log.ignored()
            case HangUp():
                self._send(CallCommand(hang_up=brain_pb2.HangUpCall(reason="goodbye", after_playout=True)))

    def _released(self) -> list[Utterance]:
        return [
            turn.utterances[ident]
            for turn in self.log.turns.values()
            for ident in sorted(turn.open_utterances)
            if turn.utterances[ident].released
        ]

    def _release(self, utterance_id: int, now: int) -> None:
        turn = self.log.of(utterance_id)
        if turn is None:
            return
        utterance = turn.utterances[utterance_id]
        utterance.released = True
        turn.play_sent_us[utterance_id] = now
        self._send(CallCommand(play=brain_pb2.Play(utterance_id=utterance_id, traceparent=turn.traceparent)))

    def _resume(self, utterance: Utterance) -> None:
        # An utterance that waits behind a paused one has not begun: it begins at its first sample.
        at = utterance.heard.resume_sample() if utterance.heard.samples_played else 0
        self._send(CallCommand(resume=brain_pb2.Resume(utterance_id=utterance.id, from_sample=at)))

    def _stop_speaking(self) -> None:
        if self.reply is not None:
            self.reply.abandon()
        for turn in list(self.log.turns.values()):
            # First of all: a reply that was said in full but held back ends with its utterance.
            self.log.reply_done(turn, interrupted=True)
            for ident in sorted(turn.open_utterances):
                utterance = turn.utterances[ident]
                utterance.cancel()
                self._send(CallCommand(stop=brain_pb2.Stop(utterance_id=ident)))
                if not utterance.released:
                    self.log.utterance_closed(turn, ident)

    # Speaking.

    def _respond(self, respond: Respond, now: int) -> None:
        if respond.amends:
            self.history.caller_went_on(respond.text, respond.added)
        else:
            self.history.caller_said(respond.text)
        self.save_messages()
        self._start_reply(self.log.begin(respond, now)).answer()

    def _start_reply(self, turn: Turn) -> Reply:
        self.reply = Reply(self, turn)
        return self.reply

    def _speak_unasked(self, text: str) -> None:
        self.feed(ReplyBegan())
        self._start_reply(self.log.begin(None, self.now())).say(text)

    def _say(self, what: Say) -> None:
        if what is Say.FILLER:
            if self.reply is not None:
                self.reply.fill()
            return
        sentences = {
            Say.MISSED: self.agent.sorry_missed,
            Say.STILL_THERE: self._still_there(),
            Say.GOODBYE: self.agent.silence.goodbye,
            Say.TROUBLE: self.agent.trouble,
        }
        self._start_reply(self.log.begin(None, self.now())).say(sentences[what])

    def _still_there(self) -> str:
        prompts = self.agent.silence.prompts
        return prompts[max(self.machine.prompts_said - 1, 0) % len(prompts)]

    def open_utterance(self, turn: Turn, cacheable: bool = False, filler: bool = False) -> Utterance:
        """A new utterance of this turn; text is fed to it."""
        self._utterance_count += 1
        start = SynthesizeStart(
            call_id=self.facts.call_id,
            # Epochs keep a take-over's utterances apart from those of the brain before.
            utterance_id=self.journal.journal.owner_epoch * 100_000 + self._utterance_count,
            sample_rate_hz=self.facts.audio.sample_rate_hz,
            voice=self.agent.voice,
            language=self.agent.language,
            cacheable=cacheable,
        )

        answers_audible = turn.answers_audible

        def first_audio(utterance: Utterance, audio: FirstAudio) -> None:
            self.log.audio_ready(turn, utterance.id, audio, self.now())
            if filler and turn.answers_audible > answers_audible:
                unheard(utterance)  # what it was to bridge is over
                return
            turn.answers_audible += not filler
            self.feed(Audible(utterance.id))

        def unheard(utterance: Utterance) -> None:
            self.log.utterance_closed(turn, utterance.id)

        utterance = Utterance(self.around.synthesizer, start, turn.traceparent, first_audio, unheard)
        self.log.speaks(turn, utterance)
        self.history.agent_speaks(utterance.id, utterance.heard)
        return utterance

    def question_asked(self, text: str) -> None:
        """What the agent just said sets what is expected of the caller."""
        self.machine.expected = expected_answer(text)

    # Records.

    def _turn_done(self, entry: JournalTurn) -> None:
        if entry.caller_text or entry.agent_text:
            self.journal.journal.turns.append(entry)
            self.notify(CallNotice(turn=entry))
        self.save_messages()

    def save_messages(self) -> None:
        """Journals the conversation as it is now."""
        self.journal.journal.messages_json = self.history.to_json()
        self.journal.save()

    def notify(self, notice: CallNotice) -> None:
        """Tells whoever watches the call."""
        notice.call_time_us = self.now()
        self._notices.tell(notice)


def _patience(agent: Agent) -> TurnProfile:
    silence = agent.silence
    return TurnProfile(
        silence_prompt_ms=round(silence.prompt_after_s * 1000), silence_prompts=silence.hang_up_after - 1
    )
