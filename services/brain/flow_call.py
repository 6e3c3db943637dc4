"""A flow in a conversation: what it says is said, what it calls is called, and its outcome is the model's result."""

import asyncio
import json
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from services.brain.flow.flow import Flow
from services.brain.flow.offer import flow_named, openai_tools
from services.brain.flow.outputs import (
    HIDDEN,
    Aside,
    CallTool,
    Done,
    Failed,
    Output,
    Say,
    Secret,
    WantsPerson,
    hidden,
)
from services.brain.flow.progress import FlowFacts
from services.brain.models import ModelCall, call_of
from services.brain.turn_events import ReplyBegan, Respond
from services.brain.turn_profile import Situation
from tandem.v1.brain_pb2 import CallCommand, PauseRecording
from tandem.v1.call_pb2 import CallJournal

if TYPE_CHECKING:
    from services.brain.conversation import Conversation
    from services.brain.reply import Reply

_ASIDE = (
    "The caller is in the middle of a fixed sequence of questions, which goes on by itself after your answer: "
    "answer this alone."
)


class FlowCall:
    """One a conversation. While `active`, the caller's turns go to the flow and not to the model."""

    def __init__(self, conversation: "Conversation") -> None:
        self._call = conversation
        self._flows = conversation.agent.flows
        self._flow: Flow | None = None
        self._asked: ModelCall | None = None
        self._todo: deque[Output] = deque()
        self._tool: asyncio.Task[dict[str, Any]] | None = None
        self._masked = False
        self._legal = False

    @property
    def active(self) -> bool:
        return self._flow is not None

    @property
    def notes(self) -> list[str]:
        """For a model that answers a question in between."""
        return [_ASIDE] if self.active else []

    def openai_tools(self) -> list[dict[str, Any]]:
        """The flows that the model may begin now."""
        return [] if self.active else openai_tools(self._flows)

    def named(self, call: ModelCall) -> bool:
        """The model asks for a flow."""
        return flow_named(call.name, self._flows) is not None

    def masked(self, turn: Respond) -> Respond:
        """The turn as it may be written down."""
        before, self._masked = self._masked, self._flow is not None and self._flow.secret
        if self._masked:
            return replace(turn, text=hidden(turn.text), added=hidden(turn.added))
        # The beginning of a turn that went on was secret, and still is.
        return replace(turn, text=f"{hidden(turn.text)} {turn.added}") if before and turn.amends else turn

    # The reply's work: each returns True while the flow waits for the caller.

    async def begin(self, reply: "Reply", call: ModelCall) -> bool:
        """The model asked for it."""
        name = flow_named(call.name, self._flows)
        assert name is not None
        try:
            given = json.loads(call.arguments or "{}")
        except ValueError:
            given = {}
        self._asked = call
        self._flow = Flow(name, self._flows[name], self._facts())
        return await self._carry_out(reply, self._flow.begin(given if isinstance(given, dict) else {}, self._now()))

    async def turn(self, reply: "Reply", turn: Respond) -> bool:
        """The caller's turn. What was left undone when the caller interrupted is done instead: words that were said
        while a tool ran answer no question that came after."""
        assert self._flow is not None
        result = await self._tool_result() if self._tool is not None else None
        left: list[Output] = [one for one in self._todo if not isinstance(one, Say)]
        self._todo.clear()
        if result is not None:
            left = [*self._flow.tool_answered(result, self._now()), *left]
        if left:
            return await self._carry_out(reply, left)
        # Of a turn that went on the flow has had the beginning.
        text = turn.added if turn.amends else turn.text
        if turn.amends and not text.strip():
            return await self.go_on(reply)
        heard = self._flow.pressed if turn.keyed else self._flow.heard
        return await self._carry_out(reply, heard(text, self._now()))

    async def silence(self, reply: "Reply") -> bool:
        """The caller says nothing."""
        return await self._carry_out(reply, self._at_flow().silence(self._now()))

    async def go_on(self, reply: "Reply") -> bool:
        """Another brain began it: its open question once more."""
        assert self._flow is not None
        return await self._carry_out(reply, self._flow.resume(self._now()))

    # Take-over.

    def restore(self, journal: CallJournal) -> None:
        """Where the call was in a flow when its brain died."""
        if not journal.flow_json:
            return
        self._flow = Flow.restore(self._flows, self._facts(), json.loads(journal.flow_json))
        waiting = [call_of(message) for message in self._call.history.calls_without_result()]
        self._asked = next((one for one in waiting if self.named(one)), None)
        if self._flow is None:  # of another version of the agent
            self._over({"ok": False, "code": "broken", "error": "the flow could not go on: ask again what is wanted"})

    # Inside.

    async def _carry_out(self, reply: "Reply", outputs: Iterable[Output]) -> bool:
        self._todo.extend(outputs)
        while self._todo:
            self._save()
            output = self._todo.popleft()
            match output:
                case Say():
                    await self._say(reply, output)
                case CallTool():
                    result = await self._call_tool(reply, output)
                    self._todo.extendleft(reversed(self._at_flow().tool_answered(result, self._now())))
                case Secret(on):
                    self._call.send(CallCommand(pause_recording=PauseRecording(paused=on)))
                case Aside():
                    await reply.aside()
                case WantsPerson(text):
                    if await reply.put_through(text or "The caller asked for a person."):
                        return True
                    self._todo.extendleft(reversed(self._at_flow().resume(self._now())))
                case Done(result) | Failed(_, result):
                    self._over(result)
                    return False
        self._save()
        return True

    async def _say(self, reply: "Reply", say: Say) -> None:
        legal = say.situation is Situation.LEGAL_TEXT
        if legal != self._legal:
            self._legal = legal
            self._call.feed(ReplyBegan(Situation.LEGAL_TEXT if legal else Situation.SPEAKING))
        utterance = reply.remark(say.text)
        self._call.machine.expected = say.expected
        if say.in_full:
            await utterance.closed.wait()
            self._todo.extendleft(reversed(self._at_flow().said_in_full(self._now())))

    async def _call_tool(self, reply: "Reply", tool: CallTool) -> dict[str, Any]:
        """Interrupted, it goes on, and the next turn waits for it."""
        self._tool = asyncio.create_task(self._result(reply, tool))
        return await self._tool_result()

    async def _tool_result(self) -> dict[str, Any]:
        """Whoever waits for it may be interrupted, and the next turn waits on."""
        assert self._tool is not None
        tool = self._tool
        try:
            return await asyncio.shield(tool)
        finally:
            if tool.done():
                self._tool = None

    async def _result(self, reply: "Reply", tool: CallTool) -> dict[str, Any]:
        result = await self._call.tool_calls.for_flow(reply.turn, tool)
        secrets = [str(value) for name, value in tool.arguments.items() if tool.shown.get(name) != value]
        found: dict[str, Any] = _without(result, [one for one in secrets if len(one) > 2])
        return found

    def _over(self, result: dict[str, Any]) -> None:
        asked, self._asked, self._flow = self._asked, None, None
        self._todo.clear()
        self._legal = False
        if result.get("ok"):
            slots = self._call.journal.journal.slots
            for name, value in result.get("value", {}).items():
                slots[name] = value if isinstance(value, str) else json.dumps(value)
        if asked is not None:
            self._call.history.answered_last(asked.id, json.dumps(result))
        self._save()

    def _save(self) -> None:
        flow = self._flow
        journal = self._call.journal.journal
        journal.flow_json = "" if flow is None else json.dumps(flow.to_json())
        self._call.save_messages()

    def _at_flow(self) -> Flow:
        assert self._flow is not None
        return self._flow

    def _facts(self) -> FlowFacts:
        agent = self._call.agent
        effects = frozenset(tool.name for tool in agent.tools if tool.side_effect)
        return FlowFacts(self._call.machine.language, self._call.facts.caller_number, effects)

    def _now(self) -> datetime:
        return self._call.agent.local(datetime.now(UTC))


def _without(value: Any, secrets: list[str]) -> Any:
    """A result without what was secret in the question: some systems answer with all that they were asked."""
    match value:
        case dict():
            return {name: _without(one, secrets) for name, one in value.items()}
        case list():
            return [_without(one, secrets) for one in value]
        case str() | int() if any(one in str(value) for one in secrets):
            return HIDDEN
    return value
