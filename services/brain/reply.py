"""One reply of the agent: model, tools, speech, until everything of it is said."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import use_span

from services.brain.exchange import Turn
from services.brain.fillers import Kind
from services.brain.handover import hand_over
from services.brain.model_spans import ModelSpans
from services.brain.models import ModelCall, ModelFailed, Step, Why
from services.brain.tools.built_in import BUILT_IN_NAMES, END_CALL, TRANSFER_TO_PERSON
from services.brain.turn_events import Closing, ReplyDone, Respond
from services.brain.utterance import Utterance
from services.common.telemetry.log import logger

if TYPE_CHECKING:
    from services.brain.conversation import Conversation

# A model that goes on calling tools without a word is in a loop.
MODEL_CALLS_A_REPLY = 6


class Reply:
    """Runs as a task of its own; `abandon` ends it, its tools excepted.

    Not `confirmed` it is made on speculation: it speaks into a buffer, and does nothing else before `confirm`.
    """

    def __init__(self, conversation: "Conversation", turn: Turn, confirmed: bool = True) -> None:
        self._call = conversation
        self.turn = turn
        self._confirmed = asyncio.Event()
        self._question = ""
        if confirmed:
            self._confirmed.set()
        self._task: asyncio.Task[None] | None = None
        self._filling = ""
        self._utterances: list[Utterance] = []
        self._fillers: list[Utterance] = []

    def answer(self, under_way: Sequence[ModelCall] = ()) -> None:
        """Ask the model, do what it says, speak its answer; after the calls that another brain left under way."""
        self._begin(self._answer(under_way))

    def say(self, text: str) -> None:
        """Speak a sentence of the agent's own."""
        self._begin(self._say(text))

    def hand_over(self, reason: str) -> None:
        """Put the caller through to a person, who was offered."""
        self._begin(self._put_through(reason))

    def in_flow(self, turn: Respond | None) -> None:
        """The caller's turn in a flow; None goes on where another brain stopped."""
        flow = self._call.flow
        self._begin(self._flow_turn(flow.go_on(self) if turn is None else flow.turn(self, turn)))

    def silence_in_flow(self) -> None:
        """The caller says nothing."""
        self._begin(self._flow_turn(self._call.flow.silence(self)))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        # What is measured and logged on the way is the turn's.
        with use_span(self.turn.span, end_on_exit=False):
            self._task = asyncio.create_task(self._finishing(work))

    def confirm(self) -> None:
        """The turn that it answers is over."""
        self._confirmed.set()
        if self._question:
            self._call.question_asked(self._question)

    def abandon(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def settled(self, within_s: float) -> None:
        """Waits for it to end by itself."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=within_s)

    def fill(self) -> None:
        """Say something while the caller waits: what the tool in hand says, or one of the agent's fillers."""
        if self._task is not None and self._task.done():
            return
        kind = Kind.AGAIN if self._fillers else Kind.TOOL if self.turn.tool_since_us else Kind.THINKING
        text = self._call.patience.fillers.next(kind, self._filling, self._call.patience.level)
        if text is None:
            return
        self._fillers.append(self._sentence(text, filler=True))

    async def _finishing(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ModelFailed as error:
            logger().error("model failed", call_id=self._call.facts.call_id, error=str(error))
            self._call.log.failed(self.turn, "no model answered", gave_up=True)
            await self._say(self._call.agent.trouble)
        except Exception as error:
            # Whatever is wrong with us, the caller is to hear it at once and not when the reply is overdue.
            logger().exception("reply failed", call_id=self._call.facts.call_id)
            self._call.log.failed(self.turn, f"brain: {type(error).__name__}", gave_up=True)
            await self._say(self._call.agent.trouble)
        await self._all_audible()
        await self._confirmed.wait()
        self._call.log.reply_done(self.turn, now_us=self._call.now())
        self._call.feed(ReplyDone())

    async def _all_audible(self) -> None:
        """ReplyDone must not overtake the audio."""
        for utterance in (*self._utterances, *self._fillers):
            await utterance.audible.wait()

    def _feed(self, utterance: Utterance, text: str) -> None:
        if not utterance.written:
            self._call.log.text_sent(self.turn, utterance.id, self._call.now())
        utterance.feed(text)

    def _sentence(self, text: str, filler: bool = False) -> Utterance:
        utterance = self._call.open_utterance(self.turn, cacheable=True, filler=filler)
        self._feed(utterance, text)
        utterance.end()
        return utterance

    async def _say(self, text: str) -> None:
        utterance = self.remark(text)
        self._asks(text)
        await utterance.audible.wait()

    def _asks(self, text: str) -> None:
        """What is expected of the caller next; not while they may still be at the turn before."""
        if self._confirmed.is_set():
            self._call.question_asked(text)
        else:
            self._question = text

    async def _answer(self, under_way: Sequence[ModelCall]) -> None:
        await self._call.tool_calls.waited_for(self.turn)
        if under_way and await self._run_tools(under_way):
            return
        if not await self._ask_models():
            raise ModelFailed(f"no answer after {MODEL_CALLS_A_REPLY} model calls in one turn")

    async def _ask_models(self) -> bool:
        """Until nothing is left to be called; False when that has no end. In a flow no other flow is begun."""
        in_flow = self._call.flow.active
        for _ in range(MODEL_CALLS_A_REPLY):
            calls = [call for call in await self._speak_model() if not (in_flow and self._call.flow.named(call))]
            if not calls:
                return True
            await self._confirmed.wait()
            self._call.history.agent_calls([call.message() for call in calls])
            self._call.save_messages()
            if await self._run_tools(calls):
                return True
        return False

    async def _put_through(self, reason: str) -> None:
        if not await self.put_through(reason):
            await self._answer(())

    # Of flows.

    async def put_through(self, reason: str) -> bool:
        """True when a person has the caller."""
        call = ModelCall(f"offer_{self.turn.entry.index}", TRANSFER_TO_PERSON, json.dumps({"reason": reason}))
        self._call.history.agent_calls([call.message()])
        self._call.save_messages()
        return await self._run_tools([call])

    async def aside(self) -> None:
        """The model answers, and the flow waits."""
        await self._ask_models()

    async def _flow_turn(self, waits: Coroutine[Any, Any, bool]) -> None:
        if not await waits:
            await self._answer(())

    # The model.

    async def _speak_model(self) -> list[ModelCall]:
        """One answer of the models, spoken while it is generated; returns the tools it asks for."""
        calls: list[ModelCall] = []
        utterance: Utterance | None = None
        pieces = self._call.models.answer(
            self._call.messages_for_models(),
            self._call.openai_tools(),
            self._call.model_arguments(),
            self._on_step(),
            plain=self._call.messages(),
        )
        try:
            guarded = self._call.guard.answer(pieces, self._call.machine.language)
            async with contextlib.aclosing(pieces), contextlib.aclosing(guarded) as spoken:
                async for piece in spoken:
                    if isinstance(piece, ModelCall):
                        calls.append(piece)
                        continue
                    if utterance is None and not (piece := piece.lstrip()):
                        continue
                    if utterance is None:
                        utterance = self._call.open_utterance(self.turn)
                        self._utterances.append(utterance)
                    self._feed(utterance, piece)
        finally:
            if utterance is not None:
                utterance.end()
                self._asks(utterance.written)
        return calls

    def _on_step(self) -> Callable[[Step], None]:
        spans = ModelSpans(self.turn, self._call.facts.call_id, self._call.chronicle.spent)

        def take(step: Step) -> None:
            spans.take(step)
            # The script begins anew behind half a sentence: that wants a word each time.
            if step.say and (step.why is Why.BROKE_OFF or step.say not in self._call.said_once):
                self._call.said_once.add(step.say)
                self.remark(step.say)

        return take

    def remark(self, text: str) -> Utterance:
        """A sentence that is said in front of what follows."""
        utterance = self._sentence(text)
        self._utterances.append(utterance)
        return utterance

    # Tools.

    async def _run_tools(self, calls: Sequence[ModelCall]) -> bool:
        """True when the reply ends with these."""
        tools = [call for call in calls if call.name not in BUILT_IN_NAMES and not self._call.flow.named(call)]
        if tools:
            self._filling = self._call.tool_calls.saying_meanwhile(tools)
            try:
                await self._call.tool_calls.carry_out(self.turn, tools)
            finally:
                self._filling = ""
        ending = False
        for call in calls:
            if call.name == END_CALL:
                if not self._utterances:  # nobody is hung up on without a word
                    await self._say(self._call.agent.goodbye)
                self._call.history.tool_answered(call.id, json.dumps({"ok": True}))
                self._call.feed(Closing())
                ending = True
            elif call.name == TRANSFER_TO_PERSON:
                ending = await self._transfer(call) or ending
            elif self._call.flow.named(call):
                ending = await self._begin_flow(call) or ending
        return ending

    async def _begin_flow(self, call: ModelCall) -> bool:
        """True while it waits for the caller."""
        if self._call.flow.active:
            told = {"ok": False, "code": "busy", "error": "one thing at a time: the caller is in a flow already"}
            self._call.history.tool_answered(call.id, json.dumps(told))
            return True
        return await self._call.flow.begin(self, call)

    async def _transfer(self, call: ModelCall) -> bool:
        """True when a person has the caller."""
        escalation = self._call.agent.escalation
        if escalation is None:
            self._call.history.tool_answered(call.id, json.dumps({"ok": False, "code": "nobody", "error": "no people"}))
            return False
        if not self._utterances:  # the model said nothing before it asked for the transfer
            await self._say(escalation.say)
        await self._heard()
        outcome = await hand_over(self._call, self.turn, call, escalation)
        self._call.history.tool_answered(call.id, outcome.content())
        return outcome.over

    async def _heard(self) -> None:
        """The caller must not be moved in the middle of a sentence."""
        for utterance in (*self._utterances, *self._fillers):
            await utterance.closed.wait()
