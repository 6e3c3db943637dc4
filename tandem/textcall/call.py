"""One call by text, from the greeting to the end."""

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from services.brain.agent import Agent
from services.brain.conversation import Conversation
from services.brain.journal import read_journal
from services.brain.models import Models
from services.brain.opening import Opening
from services.brain.surroundings import Surroundings
from services.brain.tools.toolbox import ToolBox
from services.brain.turn_events import HearingLost
from services.brain.turn_state import State
from tandem.textcall.clock import US, SkippingClock
from tandem.textcall.ears import DECIDED_AFTER_US, TypedEars
from tandem.textcall.exchange import Exchange, ToolUse
from tandem.textcall.gateway import TextGateway
from tandem.textcall.journals import Journals, NoticeBoard
from tandem.textcall.people import People
from tandem.textcall.voice import RATE_HZ, TextVoice
from tandem.v1.audio_pb2 import AudioFormat
from tandem.v1.brain_pb2 import Dtmf, HungUp
from tandem.v1.call_pb2 import CallFacts, CallJournal, CallNotice, CallOutcome, ToolState

# How long the caller speaks, and is silent behind it: longer than the turn machine waits for more words, or keys.
_WORD_US = 350_000
_SILENCE_US = 2 * US
_KEYS_OVER_US = 3 * US
# Between keys, as fast fingers press them.
_KEY_US = 150_000
# Nothing of a settled call changes but by time; this is for what changes without telling us.
_LOOK_AGAIN_S = 0.05


class AgentStuck(TimeoutError):
    """The agent did not come to the end of its answer in time."""


class TextCall:
    """One call: `async with TextCall(agent, tools) as call: await call.say("hello")`.

    The turn machine, the model, the tools and the journal are the brain's own. Silence and playout pass in call time
    only, so that an exchange takes as long as model and tools do. Tools are not closed: whoever made them does that.

    answered: when the call was answered, aware; it dates "tomorrow". journals: share one between calls of the same
    call_id and the second takes over from the first. Raises AgentStuck when an answer takes more than within_s.
    """

    def __init__(
        self,
        agent: Agent,
        tools: ToolBox,
        models: Models | None = None,
        *,
        caller_number: str = "",
        called_number: str = "",
        trunk: str = "text",
        answered: datetime | None = None,
        call_id: str = "",
        people: People | None = None,
        journals: Journals | None = None,
        on_notice: Callable[[CallNotice], None] | None = None,
        within_s: float = 60.0,
    ) -> None:
        self.tools = tools
        self.models = models
        self.people = people or People()
        self.journals = journals or Journals()
        self.greeting = Exchange("")
        """What the agent said before the caller did; known once entered."""
        self._within_s = within_s
        self._on_notice = on_notice
        at = answered or datetime.now(UTC)
        self.facts = CallFacts(
            call_id=call_id or f"text-{uuid.uuid4().hex[:12]}",
            agent=agent.name,
            caller_number=caller_number,
            called_number=called_number,
            trunk=trunk,
            audio=AudioFormat(sample_rate_hz=RATE_HZ),
            answered_unix_us=round(at.timestamp() * US),
        )
        self.agent = agent.for_call(self.facts)
        self._changed = asyncio.Event()
        self._over = asyncio.Event()
        self._tools_told = 0
        self._asked_told = 0
        self._heard_told = 0
        self._line_at = 0.0
        self._first_word_at: float | None = None
        self._left = False
        self.conversation: Conversation
        self.gateway: TextGateway

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._clock = SkippingClock(loop.time)
        self._voice = TextVoice(self._on_first_word)
        self._ears = TypedEars(self._over, "en" if self.agent.language == "auto" else self.agent.language)
        self.gateway = TextGateway(self._clock, self._voice, self._over, self._changed.set)
        # Stand-ins with the few methods that the brain calls, for stubs and clients of wire protocols.
        around: Any = Surroundings(
            recognizer=self._ears,  # type: ignore[arg-type]
            synthesizer=self._voice,  # type: ignore[arg-type]
            escalation=self.people,  # type: ignore[arg-type]
            control=NoticeBoard(self._note),  # type: ignore[arg-type]
            journals=self.journals,  # type: ignore[arg-type]
            record_pii=False,
        )
        self._line_at = loop.time()
        found = await read_journal(around.journals, self.facts.call_id)
        if found is not None:
            self._tools_told = len(found[0].tools)
        self.conversation = Conversation(
            around, self.agent, self.tools, self.facts, 0, Opening(self.facts, ""), self.gateway.take, self.models
        )
        self._playing = asyncio.create_task(self.gateway.play_on())
        self._running = asyncio.create_task(self.conversation.run(self.gateway.events(), found))
        self._running.add_done_callback(lambda _: self._end())
        await asyncio.sleep(0)  # the conversation begins: from here on it is not its turn because it has had it
        self.greeting = await self._exchange()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self._over.is_set():
            await self.hang_up()
        for task in (self._running, self._playing):
            task.cancel()
        ended = await asyncio.gather(self._running, self._playing, return_exceptions=True)
        if kind is None and isinstance(ended[0], Exception):
            raise ended[0]

    @property
    def ended(self) -> bool:
        return self._over.is_set()

    @property
    def transferred(self) -> bool:
        return self.conversation.outcome == CallOutcome.CALL_OUTCOME_TRANSFERRED

    @property
    def journal(self) -> CallJournal:
        """What another brain would go on from."""
        return self.conversation.journal.journal

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation as the model sees it."""
        return self.conversation.messages()

    @property
    def slots(self) -> dict[str, str]:
        """What the call has collected so far: what is in its journal, and what a script has understood."""
        collected = dict(self.journal.slots)
        if not self.agent.deployments[0].scripted:
            return collected
        from services.brain.script import provider  # imports LiteLLM, which takes seconds

        answered = datetime.fromtimestamp(self.facts.answered_unix_us / US, UTC)
        scripted = provider.register(self.agent)
        told = provider.arguments(self.agent, answered)["metadata"][provider.PROVIDER]["lines"]
        _, dialogue = scripted.answer(self.messages, answered, self.facts.caller_number, told)
        return dialogue.memory.known() | collected

    # The caller.

    async def say(self, text: str) -> Exchange:
        """The caller says it and then waits; over the agent's voice when that was cut off by `interrupt_after`."""
        self._begin()
        started = self._clock.now()
        utterance = await self._ears.began(started)
        speech_us = max(len(text.split()), 1) * _WORD_US
        await self.gateway.pass_time(speech_us + DECIDED_AFTER_US)
        stopped = started + speech_us
        await self._ears.stopped(utterance, stopped)
        await self._ears.judged(utterance, stopped)
        # The words come when the caller was silent for long enough: the machine decides the turn there and then.
        await self.gateway.pass_time(_SILENCE_US)
        await self._ears.understood(utterance, text.strip(), started, stopped, self._clock.now())
        return await self._exchange()

    async def press(self, digits: str) -> Exchange:
        """The caller presses keys (0-9 * # A-D) and then waits."""
        self._begin()
        for digit in digits:
            await self.gateway.tell(dtmf=Dtmf(digit=digit, duration_ms=_KEY_US // 1000))
            self._clock.skip(_KEY_US)
        return await self._after(_KEYS_OVER_US)

    async def wait(self, seconds: float) -> Exchange:
        """The caller says nothing for so long, in call time."""
        self._begin()
        return await self._after(round(seconds * US))

    def interrupt_after(self, words: int) -> None:
        """Of the next answer only so many words are heard: what is said then is said over the agent's voice."""
        self.gateway.cut_off_after(words)

    async def hang_up(self) -> Exchange:
        """The caller hangs up; returns when the conversation has put its last word down."""
        self._begin()
        self._left = True
        await self.gateway.tell(hung_up=HungUp(by_caller=True, reason="hung up"))
        async with asyncio.timeout(self._within_s):
            await self._over.wait()
        return self._so_far()

    # What comes of it.

    def _begin(self) -> None:
        if self._over.is_set():
            raise RuntimeError("the call is over")
        self._line_at = asyncio.get_running_loop().time()
        self._first_word_at = None

    async def _after(self, us: int) -> Exchange:
        """The exchange after that much silence."""
        # In steps no longer than the machine's own: of two timers the first may well put off the second.
        until = self._clock.now() + us
        while not self._over.is_set() and (left := until - self._clock.now()) > 0:
            deadline = self.conversation.machine.next_deadline()
            step = left if deadline is None else min(left, max(deadline - self._clock.now(), 1000))
            await self.gateway.pass_time(step)
            # Nothing is lost, for nothing is being said: the machine looks at its timers again.
            self.conversation.feed(HearingLost())
            await asyncio.sleep(0)
            await self._settled()
        return await self._exchange()

    async def _exchange(self) -> Exchange:
        await self._settled()
        return self._so_far()

    async def _settled(self) -> None:
        try:
            async with asyncio.timeout(self._within_s):
                while not self._is_settled():
                    self._changed.clear()
                    try:
                        async with asyncio.timeout(_LOOK_AGAIN_S):
                            await self._changed.wait()
                    except TimeoutError:
                        continue
        except TimeoutError:
            state = self.conversation.machine.state.name
            raise AgentStuck(f"no end of the answer in {self._within_s:g} s; the agent is {state}") from None

    def _is_settled(self) -> bool:
        if self._over.is_set() or self.gateway.cut_off:
            return True
        if self.transferred and not self._left:
            # Escalation has moved the caller: our side of the call ends.
            self._left = True
            self._goodbye = asyncio.create_task(
                self.gateway.tell(hung_up=HungUp(by_caller=False, reason="transferred"))
            )
            return False
        conversation = self.conversation
        quiet = not conversation.log.turns and not conversation.tool_calls.under_way and self.gateway.idle
        due = conversation.machine.next_deadline()
        # A deadline that has come is work that has not been done yet.
        waiting = due is None or due > self._clock.now()
        return conversation.machine.state is State.LISTENING and quiet and waiting

    def _so_far(self) -> Exchange:
        heard = self.gateway.heard[self._heard_told :]
        self._heard_told = len(self.gateway.heard)
        sentences = [one.text for one in heard]
        entries = self.journal.tools[self._tools_told :]
        self._tools_told += len(entries)
        asked, self._asked_told = len(self.people.asked) - self._asked_told, len(self.people.asked)
        first = self._first_word_at
        return Exchange(
            agent_text=" ".join(sentences),
            sentences=tuple(sentences),
            tools=tuple(_tool_use(entry) for entry in entries),
            ended=self._over.is_set(),
            transferred=self.transferred,
            asked_for_person=asked > 0,
            speaking=bool(self.gateway.cut_off),
            first_word_ms=None if first is None else (first - self._line_at) * 1000,
            took_ms=(asyncio.get_running_loop().time() - self._line_at) * 1000,
        )

    def _on_first_word(self, utterance_id: int) -> None:
        if self._first_word_at is None:
            self._first_word_at = asyncio.get_running_loop().time()

    def _note(self, notice: CallNotice) -> None:
        self._changed.set()
        if self._on_notice is not None:
            self._on_notice(notice)

    def _end(self) -> None:
        self._over.set()
        self._changed.set()


def _tool_use(entry: Any) -> ToolUse:
    ok = {ToolState.TOOL_STATE_SUCCEEDED: True, ToolState.TOOL_STATE_FAILED: False}.get(entry.state)
    return ToolUse(entry.name, _mapping(entry.arguments_json), ok, _mapping(entry.result_json), entry.idempotency_key)


def _mapping(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
