"""The tools that a model asks for: carried out once each, journalled before and after, side by side where they may."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from opentelemetry.trace import use_span

from services.brain.model import ModelCall, call_of
from services.brain.tool_ledger import OUT_OF_REACH_CODES, Done, canonical, same, what_to_do
from services.brain.turnlog import Turn
from tandem.v1.call_pb2 import CallNotice, JournalTool, ToolState

if TYPE_CHECKING:
    from services.brain.conversation import Conversation

# The journal is safe before a side effect is asked for, as a rule; a caller does not wait longer for a sick NATS.
JOURNAL_WITHIN_S = 0.3


class ToolCalls:
    """One a conversation. What was asked for is finished and its result kept, whatever becomes of the reply that asked
    (agents#3702)."""

    def __init__(self, conversation: "Conversation") -> None:
        self._call = conversation
        self._running: dict[asyncio.Task[None], ModelCall] = {}
        self.asked = 0
        """In the whole call."""

    @property
    def under_way(self) -> bool:
        return bool(self._running)

    async def settled(self, within_s: float | None = None) -> None:
        """Waits for those under way."""
        if self._running:
            await asyncio.wait(self._running, timeout=within_s)

    async def carry_out(self, turn: Turn, calls: Sequence[ModelCall]) -> None:
        """Returns when all have their results in the history. Cancelled, it leaves them running."""
        turn.tool_since_us = self._call.now()
        try:
            for batch in self._batches(calls):
                await asyncio.shield(asyncio.gather(*[self._begin(turn, call) for call in batch]))
        finally:
            turn.tool_us += self._call.now() - turn.tool_since_us
            turn.tool_since_us = 0

    def saying_meanwhile(self, calls: Iterable[ModelCall]) -> str:
        """What the first of these tools that has a sentence for it says while it runs."""
        tools = self._call.tools
        said = (tools.declaration(call.name).say_while for call in calls if call.name in tools)
        return next((one for one in said if one), "")

    def _batches(self, calls: Sequence[ModelCall]) -> Iterable[list[ModelCall]]:
        """What changes something goes alone and in the order asked for; what only looks goes side by side."""
        numbered = enumerate(calls)
        for _, group in itertools.groupby(numbered, lambda one: one[0] if self._side_effect(one[1].name) else -1):
            yield [call for _, call in group]

    def _side_effect(self, name: str) -> bool:
        return name in self._call.tools and self._call.tools.declaration(name).side_effect

    def resume(self) -> None:
        """What the brain before had asked for when it died is asked for again: nobody knows what came of it."""
        waiting = [call_of(message) for message in self._call.history.calls_without_result()]
        for entry in list(self._call.journal.journal.tools):
            if entry.state != ToolState.TOOL_STATE_REQUESTED:
                continue
            call = next((one for one in waiting if same(entry, one)), None)
            if call is not None:
                waiting.remove(call)
            self._begin(None, call or ModelCall("", entry.name, entry.arguments_json))

    def is_under_way(self, call: ModelCall) -> bool:
        return call in self._running.values()

    def _begin(self, turn: Turn | None, call: ModelCall) -> asyncio.Task[None]:
        task = asyncio.create_task(self._carry_out(turn, call, self._twin(call)))
        self._running[task] = call
        task.add_done_callback(self._running.pop)
        return task

    def _twin(self, call: ModelCall) -> asyncio.Task[None] | None:
        """The very same call, under way."""
        for task, other in self._running.items():
            if (other.name, canonical(other.arguments)) == (call.name, canonical(call.arguments)):
                return task
        return None

    async def _carry_out(self, turn: Turn | None, call: ModelCall, twin: asyncio.Task[None] | None) -> None:
        if twin is not None:
            await asyncio.wait({twin})
        journal = self._call.journal
        self.asked += 1
        todo = what_to_do(call, journal.journal.tools, self._call.facts.call_id, self._side_effect)
        if isinstance(todo, Done):
            self._answer(call, _repeated(todo.entry))
            return
        entry = todo.entry or journal.journal.tools.add(
            idempotency_key=todo.idempotency_key,
            name=call.name,
            arguments_json=call.arguments,
            state=ToolState.TOOL_STATE_REQUESTED,
            turn_index=0 if turn is None else turn.entry.index,
        )
        number = journal.save()
        if self._side_effect(call.name):
            await journal.written(number, JOURNAL_WITHIN_S)
        with contextlib.nullcontext() if turn is None else use_span(turn.span, end_on_exit=False):
            content, ok = await self._content(call, entry)
        entry.result_json = content
        entry.state = ToolState.TOOL_STATE_SUCCEEDED if ok else ToolState.TOOL_STATE_FAILED
        self._answer(call, content)
        self._call.notify(CallNotice(tool=entry))

    def _answer(self, call: ModelCall, content: str) -> None:
        if call.id:
            self._call.history.tool_answered(call.id, content)
        self._call.save_messages()

    async def _content(self, call: ModelCall, entry: JournalTool) -> tuple[str, bool]:
        """What the model is told, and whether it was done."""
        try:
            arguments = json.loads(call.arguments or "{}")
        except json.JSONDecodeError as error:
            return json.dumps({"ok": False, "code": "invalid_arguments", "error": f"not JSON: {error}"}), False
        result = await self._call.tools.call(call.name, arguments, entry.idempotency_key)
        content = result.content()
        if not result.ok and result.code in OUT_OF_REACH_CODES and call.name in self._call.tools:
            # The operator's own words, for a model that would else make up an excuse.
            content = json.dumps({**json.loads(content), "say": self._call.tools.declaration(call.name).say_failed})
        return content, result.ok


def _repeated(entry: JournalTool) -> str:
    """The result of before, with a word on it for the model."""
    try:
        result = json.loads(entry.result_json)
    except ValueError:
        result = {"ok": True}
    return json.dumps({**result, "note": "already done earlier in this call; nothing was done again"})
