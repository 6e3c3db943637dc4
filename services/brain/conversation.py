"""One call's conversation: joins the gateway's events, asr and the turn machine, and does what the machine says."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from services.brain.agent import Agent
from services.brain.agent_voice import AgentVoice
from services.brain.company import Company, CompanyEvent, bridge_event
from services.brain.ears import Ears
from services.brain.history import History, Message
from services.brain.impatience import Level
from services.brain.journal import JournalWriter
from services.brain.model import call_of
from services.brain.notices import Notices
from services.brain.patience import Answer, Patience, profiles_of
from services.brain.question import expected_answer
from services.brain.reply import Reply
from services.brain.script.provider import arguments
from services.brain.speculation import Speculation
from services.brain.surroundings import Surroundings
from services.brain.tool_calls import ToolCalls
from services.brain.tools.toolbox import ToolBox
from services.brain.turn import TurnMachine
from services.brain.turn_events import (
    Closing,
    Digit,
    Discard,
    EndLikely,
    HangUp,
    HearingLost,
    HoldChanged,
    HungUp,
    Ignored,
    Output,
    Partial,
    Pause,
    Played,
    Release,
    ReplyBegan,
    Respond,
    Resume,
    Say,
    Speculate,
    SpeechStarted,
    SpeechStopped,
    StopSpeaking,
    TakenOver,
    Transcript,
)
from services.brain.turn_profile import Situation
from services.brain.turn_state import State
from services.brain.turnlog import Turn, TurnLog
from services.brain.utterance import Utterance
from services.common.callclock import CallClock
from services.common.telemetry.trace import context_from_traceparent
from tandem.v1 import brain_pb2
from tandem.v1.asr_pb2 import RecognizeResponse, TurnContext
from tandem.v1.brain_pb2 import CallCommand, CallEvent
from tandem.v1.call_pb2 import CallFacts, CallJournal, CallNotice, CallOutcome, JournalTurn
from tandem.v1.tts_pb2 import SynthesizeStart

HANDOVER_SETTLES_S = 3.0
TOOLS_SETTLE_S = 10.0
_BE_BRIEF = "The caller is losing patience: answer in one short sentence, without pleasantries."


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
        language = "en" if agent.language == "auto" else agent.language
        self.machine = TurnMachine(profiles_of(agent), language)
        self.patience = Patience(agent, facts.call_id)
        self._company = Company(self.machine)
        # The moment of the answer, so that a brain that takes over dates "tomorrow" from the same day.
        self._answered = datetime.fromtimestamp(facts.answered_unix_us / 1e6, UTC)
        self._system = agent.system_message(self._answered, facts)
        self.history = History(self._system)
        self.log = TurnLog(facts, context_from_traceparent(traceparent), around.record_pii, self._turn_done)
        self._ears = Ears(
            around.recognizer,
            facts,
            agent.language,
            agent.hints,
            traceparent,
            self._take_recognition,
            self._deaf,
            self._no_ears,
        )
        self.voice = AgentVoice(
            around.synthesizer,
            SynthesizeStart(
                call_id=facts.call_id,
                sample_rate_hz=facts.audio.sample_rate_hz,
                voice=agent.voice,
                language=language,
                lexicon=agent.lexicon,
            ),
            self.log,
            self.now,
            self.feed,
            send,
        )
        self.reply: Reply | None = None
        self._speculation: Speculation | None = None
        self.tool_calls = ToolCalls(self)
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
        self.voice.epoch = journal.owner_epoch
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
            self._speak_unasked(self.agent.greeting, Situation.GREETING)
            return
        self.history = History(self._system, json.loads(journal.messages_json or "[]"))
        self.log.resume_behind(journal.turns)
        self._ears.open(max((turn.caller_stopped_us for turn in journal.turns), default=0))
        self.tool_calls.resume()
        if self.history.awaits_answer():
            self.feed(ReplyBegan())
            asked = [call_of(message) for message in self.history.calls_under_way()]
            under_way = [call for call in asked if not self.tool_calls.is_under_way(call)]
            self._start_reply(self.log.begin(None, self.now())).answer(under_way)
        elif not journal.turns:
            self._speak_unasked(self.agent.greeting, Situation.GREETING)
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
        # A tool that was asked for is finished and its result kept, whoever hung up (DESIGN §7).
        await self.tool_calls.settled(TOOLS_SETTLE_S)
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
                self.voice.heard(event.playout_progress.utterance_id, event.playout_progress.samples_played)
            case "playout_finished":
                done = event.playout_finished
                self.voice.heard(done.utterance_id, done.samples_played)
                self.log.playout_finished(done, at)
                self.patience.agent_fell_silent(at)
                self.feed(Played(done.utterance_id))
            case "dtmf":
                wanted = self.machine.situation is Situation.COLLECTING_DIGITS
                self.patience.impatience.key_pressed(event.dtmf.digit, wanted, self.now())
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

    def _deaf(self) -> None:
        self.feed(HearingLost())

    def _no_ears(self) -> None:
        """No asr has room for the call: a person can hear the caller, and an apology is better than a deaf agent."""
        self.feed(ReplyBegan())
        self._stop_speaking()
        reply = self._start_reply(self.log.begin(None, self.now()))
        if self.agent.escalation is not None:
            reply.hand_over("Speech recognition is overloaded: the agent cannot hear the caller.")
        else:
            self.feed(Closing())
            reply.say(self.agent.trouble)

    def _take_recognition(self, response: RecognizeResponse) -> None:
        now = self.now()
        match response.WhichOneof("response"):
            case "speech_started":
                started = response.speech_started
                # First: an answer that was begun too early gives its turn back, and this speech belongs to it.
                self.feed(SpeechStarted(started.utterance, started.call_time_us))
                index, traceparent = self.log.speech_began(started.call_time_us)
                self._ears.turn_context(TurnContext(turn_index=index, traceparent=traceparent))
            case "speech_stopped":
                stopped = response.speech_stopped
                self.log.speech_stopped(stopped.utterance, stopped.call_time_us + stopped.decided_after_us)
                self.feed(SpeechStopped(stopped.utterance, stopped.call_time_us))
            case "final":
                self.log.transcript(response.final, now)
                if self.agent.language == "auto" and response.final.language:
                    self.machine.language = response.final.language
                self.feed(Transcript(response.final.utterance, response.final.text, response.final.confidence))
            case "partial":
                self.feed(Partial(response.partial.utterance, response.partial.text, response.partial.confidence))
            case "turn_end":
                end = response.turn_end
                self.feed(EndLikely(end.utterance, end.call_time_us, end.probability))

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
        self._ears.agent_speaks(bool(self.machine.playing))
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
            case Speculate(turn):
                if not self.tool_calls.under_way:  # their results belong to the conversation, whatever the caller does
                    self._speculation = Speculation(self, turn, now)
            case Discard():
                if self._speculation is not None:
                    self._speculation.discard()
                    self._speculation = None
            case Release(utterance_id):
                if not self.voice.release(utterance_id, now):
                    # What was made for another answer than the one that is given.
                    asyncio.get_running_loop().call_soon(self.feed, Played(utterance_id))
            case Pause():
                self.voice.pause()
            case Resume():
                self.voice.resume()
            case StopSpeaking():
                self._stop_speaking()
            case Ignored():
                self.log.ignored()
            case HangUp():
                self._send(CallCommand(hang_up=brain_pb2.HangUpCall(reason="goodbye", after_playout=True)))

    def _stop_speaking(self) -> None:
        if self.voice.audible and self.machine.state in (State.HEARING, State.ENDPOINTING):
            self.patience.impatience.interrupted()
        if self.reply is not None:
            self.reply.abandon()
        for turn in list(self.log.turns.values()):
            # First of all: a reply that was said in full but held back ends with its utterance.
            self.log.reply_done(turn, interrupted=True)
            self.voice.stop(turn)

    # Speaking.

    def _respond(self, respond: Respond, now: int) -> None:
        answer = self.patience.answer(respond, self.machine.expected, now)
        speculation, self._speculation = self._speculation, None
        if speculation is not None and speculation.turn == respond and answer is Answer.MODEL:
            self.reply = speculation.confirm(now)
            self.save_messages()
            return
        if speculation is not None:
            speculation.discard()
        self.history.take(respond)
        self.save_messages()
        reply = self._start_reply(self.log.begin(respond, now))
        if answer is Answer.HAND_OVER:
            reply.hand_over("The caller lost patience and asked for a person.")
        elif answer is Answer.OFFER_PERSON and self.agent.escalation is not None:
            reply.say(self.agent.escalation.offer)
        else:
            reply.answer()

    def messages(self) -> list[Message]:
        """The conversation for the model."""
        system, *rest = self.history.messages()
        if self.patience.level is not Level.CALM:
            system = {**system, "content": f"{system['content']}\n\n{_BE_BRIEF}"}
        return [system, *rest]

    def _start_reply(self, turn: Turn) -> Reply:
        self.reply = Reply(self, turn)
        return self.reply

    def _speak_unasked(self, text: str, situation: Situation = Situation.SPEAKING) -> None:
        self.feed(ReplyBegan(situation))
        self._start_reply(self.log.begin(None, self.now())).say(text)

    def _say(self, what: Say) -> None:
        if what is Say.FILLER:
            if self.reply is not None:
                self.reply.fill()
            return
        self._start_reply(self.log.begin(None, self.now())).say(self.patience.sentence(what, self.machine.prompts_said))

    def open_utterance(self, turn: Turn, cacheable: bool = False, filler: bool = False) -> Utterance:
        """A new utterance of this turn; text is fed to it."""
        return self.voice.open(turn, self.history, cacheable, filler)

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
        if self._speculation is None:  # what may never have been is not put down
            self.journal.journal.messages_json = self.history.to_json()
        self.journal.save()

    def notify(self, notice: CallNotice) -> None:
        """Tells whoever watches the call."""
        notice.call_time_us = self.now()
        self._notices.tell(notice)
