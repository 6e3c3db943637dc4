"""One call's conversation: joins the gateway's events, asr and the turn machine, and does what the machine says."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from services.brain.agent import Agent
from services.brain.agent_voice import AgentVoice
from services.brain.beginning import begin, remember
from services.brain.bounds import Bounds
from services.brain.chronicle import Chronicle
from services.brain.company import Company, CompanyEvent
from services.brain.context.model_context import ModelContext
from services.brain.ears import Ears
from services.brain.exchange import Turn
from services.brain.flow_call import FlowCall
from services.brain.guardrails.call_guard import AgentGuard
from services.brain.guardrails.limits import Use
from services.brain.history import History, Message
from services.brain.incoming import Incoming
from services.brain.journal import JournalWriter
from services.brain.models import Models
from services.brain.opening import Opening
from services.brain.patience import Answer, Patience, profiles_of
from services.brain.question import expected_answer
from services.brain.reply import Reply
from services.brain.script.provider import arguments
from services.brain.speculation import Speculation
from services.brain.surroundings import Surroundings
from services.brain.to_the_end import to_the_end
from services.brain.tool_calls import ToolCalls
from services.brain.tools.toolbox import ToolBox
from services.brain.turn import TurnMachine
from services.brain.turn_events import (
    OVERDUE,
    Closing,
    Discard,
    HangUp,
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
    Speculate,
    StopSpeaking,
)
from services.brain.turn_profile import Situation
from services.brain.turn_state import State
from services.brain.turnlog import TurnLog
from services.brain.utterance import Utterance
from services.common.callclock import CallClock
from services.common.telemetry.trace import context_from_traceparent
from tandem.v1 import brain_pb2
from tandem.v1.brain_pb2 import CallCommand, CallEvent
from tandem.v1.call_pb2 import CallFacts, CallJournal, CallNotice, CallOutcome, JournalTurn
from tandem.v1.tts_pb2 import SynthesizeStart

HANDOVER_SETTLES_S = 3.0
TOOLS_SETTLE_S = 10.0
_UNASKED = {
    Say.MISSED: "missed",
    Say.STILL_THERE: "silence prompt",
    Say.GOODBYE: "goodbye",
    Say.TROUBLE: "apology",
}


class Conversation:
    """Lives as long as the gateway's Converse stream."""

    def __init__(
        self,
        around: Surroundings,
        agent: Agent,
        tools: ToolBox,
        facts: CallFacts,
        call_time_us: int,
        opening: Opening,
        send: Callable[[CallCommand], None],
        models: Models | None = None,
        guard: AgentGuard | None = None,
    ) -> None:
        self.around = around
        self.models = models or Models(agent)
        self.guard = (guard or AgentGuard(agent, os.environ)).of_call(agent)
        self._bounds = Bounds(self.guard, agent.limits.say_near, self.models.deployments[0].scripted)
        self.turns_taken = 0
        self.said_once: set[str] = set()
        self.agent = agent
        self.tools = tools
        self.facts = facts
        self.opening = opening
        traceparent = opening.call
        self.send = send
        self._clock = CallClock()
        self._clock.observe(call_time_us, asyncio.get_running_loop().time())
        language = "en" if agent.language == "auto" else agent.language
        self.machine = TurnMachine(profiles_of(agent), language)
        self.patience = Patience(agent, facts.call_id)
        self._company = Company(self.machine)
        # The moment of the answer, so that a brain that takes over dates "tomorrow" from the same day.
        self.answered = datetime.fromtimestamp(facts.answered_unix_us / 1e6, UTC)
        self.system = agent.system_message(self.answered, facts)
        self.context = ModelContext(agent, facts, self.answered, self.system)
        self.history = History(self.system)
        self.log = TurnLog(
            facts, context_from_traceparent(traceparent), around.record_pii, self._turn_done, around.watch
        )
        self._incoming = Incoming(self)
        self.ears = Ears(
            around.recognizer,
            facts,
            agent.language,
            agent.hints,
            opening.traceparent,
            self._incoming.of_asr,
            self._incoming.no_hearing,
            self._incoming.no_asr,
            self._incoming.hearing,
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
        self.flow = FlowCall(self)
        self._timer: asyncio.TimerHandle | None = None
        self._over = asyncio.Event()
        self.chronicle = Chronicle(around, facts, traceparent, self.now, lambda: self.machine.language)
        self.journal: JournalWriter
        self._error = ""
        self.outcome = CallOutcome.CALL_OUTCOME_FAILED

    # Life.

    async def run(self, events: AsyncIterator[CallEvent], found: tuple[CallJournal, int] | None) -> None:
        """Until the call ends or the stream breaks. `found` is another brain's journal of the same call."""
        journal, revision = found or (CallJournal(facts=self.facts, agent_version=self.agent.version), 0)
        journal.owner_epoch += 1
        journal.agent_version = self.agent.version
        self.voice.epoch = journal.owner_epoch
        if found is not None:
            self.log.taken_over(self.opening.recovery())
        journal.trace_id = self.opening.call.split("-")[1] if self.opening.call else ""
        self.opening.owned(journal, taken_over=found is not None)
        told = self.around.watch.metrics.journal_write
        self.journal = JournalWriter(self.around.journals, journal, revision, self._over.set, told)
        self.chronicle.begin(journal, self.agent.memory)
        self.journal.save()
        tasks: list[asyncio.Task[Any]] = []
        try:
            begin(self, journal, taken_over=found is not None)
            tasks = [asyncio.create_task(one) for one in (self._read(events), self._over.wait(), remember(self))]
            await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
        except Exception as error:
            self._error = f"brain: {type(error).__name__}"
            raise
        finally:
            if tasks and tasks[0].done() and not tasks[0].cancelled() and (broke := tasks[0].exception()) is not None:
                self._error = f"brain: {type(broke).__name__}"
            for task in tasks:
                task.cancel()
            # A gateway does not wait long for our farewell, and cancels us: tools are finished and the end is told.
            await to_the_end(self._end())
        reading = tasks[0]
        if reading.done() and not reading.cancelled():
            reading.result()

    async def _read(self, events: AsyncIterator[CallEvent]) -> None:
        loop = asyncio.get_running_loop()
        async for event in events:
            self._clock.observe(event.call_time_us, loop.time())
            self._incoming.of_gateway(event)

    async def _end(self) -> None:
        hung_up = self.outcome != CallOutcome.CALL_OUTCOME_FAILED
        if hung_up and self.reply is not None and self.machine.state is State.TRANSFERRING:
            # Our leg ends as soon as a person has the caller: escalation's word on it is a moment behind.
            await self.reply.settled(HANDOVER_SETTLES_S)
        self.feed(HungUp())
        if self._timer is not None:
            self._timer.cancel()
        self.ears.close()
        if self.reply is not None:
            self.reply.abandon()
        # A tool that was asked for is finished and its result kept, whoever hung up (DESIGN §7).
        await self.tool_calls.settled(TOOLS_SETTLE_S)
        await self.tool_calls.make_sure(TOOLS_SETTLE_S)
        self.log.finish_all(self._error)
        self.journal.journal.outcome = self.outcome
        await self.journal.close()
        self.chronicle.tell(CallNotice(ended=self.outcome))

    def model_arguments(self) -> dict[str, Any]:
        """What goes to LiteLLM with each call besides messages and tools; made anew, for LiteLLM writes into it."""
        return arguments(self.agent, self.answered, self.facts.caller_number)

    def openai_tools(self) -> list[dict[str, Any]]:
        """What the model may call now."""
        return [*self.tools.openai_tools(), *self.flow.openai_tools()]

    def now(self) -> int:
        """Call time, µs."""
        return self._clock.at(asyncio.get_running_loop().time())

    # The call's ends.

    def hung_up(self, told: brain_pb2.HungUp) -> None:
        """The call is over."""
        self.chronicle.end_reason = told.reason
        if self.outcome == CallOutcome.CALL_OUTCOME_FAILED:
            ours, theirs = CallOutcome.CALL_OUTCOME_AGENT_HUNG_UP, CallOutcome.CALL_OUTCOME_CALLER_HUNG_UP
            self.outcome = theirs if told.by_caller else ours
        self._over.set()

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
        self.ears.agent_speaks(bool(self.machine.playing))
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
                # What tools and flows do belongs to the conversation, whatever the caller does.
                if not self.tool_calls.under_way and not self.flow.active:
                    self._speculation = Speculation(self, turn, now)
            case Discard():
                if self._speculation is not None:
                    self._speculation.discard(now)
                    self._speculation = None
            case Release(utterance_id):
                if not self.voice.release(utterance_id, now):
                    # What was made for another answer than the one that is given.
                    asyncio.get_running_loop().call_soon(self.feed, Played(utterance_id))
            case Pause():
                self.voice.pause()
            case Resume():
                self.voice.resume()
            case StopSpeaking(why):
                if why == OVERDUE and self.reply is not None:
                    self.log.failed(self.reply.turn, "no answer in time", gave_up=True)
                self.stop_speaking()
                self.log.over_agent_settled(True, "" if why == OVERDUE else why, now)
            case Ignored(why):
                self.log.over_agent_settled(False, why, now)
                self.log.ignored(now)
            case HangUp():
                self.send(CallCommand(hang_up=brain_pb2.HangUpCall(reason="goodbye", after_playout=True)))

    def stop_speaking(self) -> None:
        """Nothing more is heard of the agent, and nothing more made."""
        if self.voice.audible and self.machine.state in (State.HEARING, State.ENDPOINTING):
            self.patience.impatience.interrupted()
        if self.reply is not None:
            self.reply.abandon()
        for turn in list(self.log.turns.values()):
            # First of all: a reply that was said in full but held back ends with its utterance.
            self.log.reply_done(turn, interrupted=True, now_us=self.now())
            self.voice.stop(turn)

    # Speaking.

    def _respond(self, respond: Respond, now: int) -> None:
        self.turns_taken += 1
        wanted = self.patience.answer(respond, self.machine.expected, now)
        if self.flow.active:  # "yes" is the answer to the flow's own question
            wanted = Answer.MODEL
            self.patience.offered_nobody()
        decision = self._bounds.decide(wanted, self.use())
        speculation, self._speculation = self._speculation, None
        as_foreseen = decision.answer is Answer.MODEL and not decision.first
        if speculation is not None and speculation.turn == respond and as_foreseen:
            self.reply = speculation.confirm(now, respond.why)
            self.save_messages()
            return
        if speculation is not None:
            speculation.discard(now)
        shown = self.flow.masked(respond)
        self.history.take(shown)
        self.save_messages()
        reply = self.start_reply(self.log.begin(shown, now))
        if decision.first:
            reply.remark(decision.first)
        if decision.answer is Answer.GOODBYE:
            self.feed(Closing())
            reply.say(self.agent.goodbye)
        elif decision.answer is Answer.HAND_OVER:
            reply.hand_over(decision.reason)
        elif decision.answer is Answer.OFFER_PERSON and self.agent.escalation is not None:
            self.patience.offers_a_person()
            reply.say(self.agent.escalation.offer)
        elif self.flow.active:
            reply.in_flow(respond)
        else:
            reply.answer()

    def use(self) -> Use:
        """What the call has used so far."""
        return Use(self.turns_taken, self.now() / 1e6, self.chronicle.cost.usd, self.tool_calls.asked)

    def messages(self) -> list[Message]:
        """The conversation as the script knows it."""
        return self.history.messages()

    def messages_for_models(self) -> list[Message]:
        """The same as other models are told it, with what holds for this turn."""
        notes = [*self._bounds.notes(self.patience.level), *self.flow.notes]
        return self.context.messages(self.history.messages(), datetime.now(UTC), notes, self.machine.language)

    def start_reply(self, turn: Turn) -> Reply:
        """The reply of this turn, yet without anything to say."""
        self.reply = Reply(self, turn)
        return self.reply

    def begin_unasked(self, why: str) -> Turn:
        """A turn of the agent's own; `why` is a value of voice.turn.unasked."""
        return self.log.begin(None, self.now(), unasked=why)

    def speak_unasked(self, text: str, why: str, situation: Situation = Situation.SPEAKING) -> None:
        self.feed(ReplyBegan(situation))
        self.start_reply(self.begin_unasked(why)).say(text)

    def _say(self, what: Say) -> None:
        if what is Say.FILLER:
            if self.reply is not None:
                self.reply.fill()
            return
        if what is Say.STILL_THERE and self.flow.active:
            self.start_reply(self.begin_unasked(_UNASKED[what])).silence_in_flow()
            return
        text = self.patience.sentence(what, self.machine.prompts_said)
        self.start_reply(self.begin_unasked(_UNASKED[what])).say(text)

    def open_utterance(self, turn: Turn, cacheable: bool = False, filler: bool = False) -> Utterance:
        """A new utterance of this turn; text is fed to it."""
        return self.voice.open(turn, self.history, cacheable, filler)

    def question_asked(self, text: str) -> None:
        """What the agent just said sets what is expected of the caller."""
        self.machine.expected = expected_answer(text)

    def _turn_done(self, entry: JournalTurn) -> None:
        self._bounds.agent_said(entry.agent_text)
        if entry.caller_text or entry.agent_text:
            self.journal.journal.turns.append(entry)
            self.chronicle.tell(CallNotice(turn=entry))
        self.save_messages()

    def save_messages(self) -> None:
        """Journals the conversation as it is now."""
        if self._speculation is None:  # what may never have been is not put down
            self.journal.journal.messages_json = self.history.to_json()
        self.journal.save()
