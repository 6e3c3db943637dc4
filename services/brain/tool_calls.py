"""The tools that a model asks for: carried out once each, journalled before and after, side by side where they may."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import use_span

from services.brain.exchange import Turn
from services.brain.flow.outputs import CallTool, holds_secrets
from services.brain.guardrails.hygiene import tool_content
from services.brain.guardrails.limits import REFUSED
from services.brain.guardrails.loops import REPEATED, ToolLoop
from services.brain.models import ModelCall, ModelFailed, call_of
from services.brain.models.call import canonical
from services.brain.tool_ledger import OUT_OF_REACH_CODES, Done, in_doubt, result_of, same, what_to_do
from services.brain.tools.on_behalf import on_behalf_of
from services.brain.tools.result import failure
from services.common.telemetry.log import logger
from tandem.v1.call_pb2 import CallNotice, JournalTool, ToolState

if TYPE_CHECKING:
    from services.brain.conversation import Conversation

# The journal is safe before a side effect is asked for, as a rule; a caller does not wait longer for a sick NATS.
JOURNAL_WITHIN_S = 0.3
# Another brain has the call, and may be asking for the very same: this one only thinks that it is still alive.
_NOT_OURS = failure("unavailable", "the call has gone to another brain").content()
# Of a call whose system cannot tell a repetition: better left undone than done twice.
_UNKNOWN = {
    "ok": False,
    "code": "unknown",
    "error": "nobody knows whether this was done, and it must not be done twice: tell the caller, and offer a person",
    "unsure": True,
}


class ToolCalls:
    """One a conversation. What was asked for is finished and its result kept, whatever becomes of the reply that asked
    (agents#3702)."""

    def __init__(self, conversation: "Conversation") -> None:
        self._call = conversation
        self._running: dict[asyncio.Task[str], ModelCall] = {}
        self._secret_keys: set[str] = set()
        self.asked = 0
        """In the whole call."""

    @property
    def under_way(self) -> bool:
        return bool(self._running)

    async def settled(self, within_s: float | None = None) -> None:
        """Waits for those under way."""
        if self._running:
            await asyncio.wait(self._running, timeout=within_s)

    async def waited_for(self, turn: Turn) -> None:
        """The same, for a turn whose answer needs what a turn before asked for."""
        if not self._running:
            return
        turn.tool_began(self._call.now())
        try:
            await self.settled()
        finally:
            turn.tool_ended(self._call.now())

    async def make_sure(self, within_s: float) -> None:
        """Once more, under its key, what may or may not have been done: the call is over, and its record is to tell."""
        for entry in in_doubt(self._call.journal.journal.tools):
            key = entry.idempotency_key
            # What was secret is nowhere to be found any more, if it was asked for by a brain that died.
            secret = key in self._secret_keys or holds_secrets(entry.arguments_json)
            if self._side_effect(entry.name) and self._may_repeat(entry.name, key) and not secret:
                self._begin(None, ModelCall("", entry.name, entry.arguments_json))
        await self.settled(within_s)

    async def carry_out(self, turn: Turn, calls: Sequence[ModelCall]) -> None:
        """Returns when all have their results in the history. Cancelled, it leaves them running."""
        calls = [call for call in calls if self._may_be_made(call)]
        turn.tool_began(self._call.now())
        try:
            for batch in self._batches(calls):
                await asyncio.shield(asyncio.gather(*[self._begin(turn, call) for call in batch]))
        finally:
            turn.tool_ended(self._call.now())

    async def for_flow(self, turn: Turn, tool: CallTool) -> dict[str, Any]:
        """A flow's call, which no message asks for: what is secret in it goes to the tool and nowhere else."""
        call = ModelCall("", tool.name, json.dumps(tool.shown))
        arguments = tool.arguments if tool.secret else None
        self.asked += 1
        turn.tool_began(self._call.now())
        try:
            result: dict[str, Any] = json.loads(await self._begin(turn, call, arguments))
        finally:
            turn.tool_ended(self._call.now())
        return result

    def saying_meanwhile(self, calls: Iterable[ModelCall]) -> str:
        """What the first of these tools that has a sentence for it says while it runs."""
        tools = self._call.tools
        said = (tools.declaration(call.name).say_while for call in calls if call.name in tools)
        return next((one for one in said if one), "")

    def _may_be_made(self, call: ModelCall) -> bool:
        """Else it has its answer. Raises ModelFailed when the model goes round in circles."""
        guard = self._call.guard
        match guard.loops.tool_call(call.name, call.arguments):
            case ToolLoop.STOP:
                raise ModelFailed(f"it calls {call.name} again and again with the same arguments")
            case ToolLoop.ANSWER:
                self._answer(call, json.dumps(REPEATED))
                return False
        if not guard.limits.tool_call_allowed(self._call.use()):
            self._answer(call, json.dumps(REFUSED))
            return False
        self.asked += 1  # here, or the model could ask for any number of them at once
        return True

    def _batches(self, calls: Sequence[ModelCall]) -> Iterable[list[ModelCall]]:
        """What changes something goes alone and in the order asked for; what only looks goes side by side."""
        numbered = enumerate(calls)
        for _, group in itertools.groupby(numbered, lambda one: -1 if self._parallel(one[1].name) else one[0]):
            yield [call for _, call in group]

    def _parallel(self, name: str) -> bool:
        return name not in self._call.tools or self._call.tools.declaration(name).runs_in_parallel

    def _may_repeat(self, name: str, key: str) -> bool:
        return name not in self._call.tools or self._call.tools.declaration(name).may_repeat(key)

    def _side_effect(self, name: str) -> bool:
        return name in self._call.tools and self._call.tools.declaration(name).side_effect

    def resume(self) -> None:
        """What the brain before had asked for when it died is asked for again: nobody knows what came of it."""
        waiting = [call_of(message) for message in self._call.history.calls_without_result()]
        for entry in list(self._call.journal.journal.tools):
            if entry.state != ToolState.TOOL_STATE_REQUESTED:
                continue
            call = next((one for one in waiting if same(entry, one)), None)
            if call is None:
                continue  # a flow's, which asks again itself
            waiting.remove(call)
            self._begin(None, call)

    def is_under_way(self, call: ModelCall) -> bool:
        return call in self._running.values()

    def _begin(self, turn: Turn | None, call: ModelCall, arguments: dict[str, Any] | None = None) -> asyncio.Task[str]:
        task = asyncio.create_task(self._carry_out(turn, call, arguments, self._twin(call)))
        self._running[task] = call
        task.add_done_callback(self._running.pop)
        return task

    def _twin(self, call: ModelCall) -> asyncio.Task[str] | None:
        """The very same call, under way."""
        for task, other in self._running.items():
            if (other.name, canonical(other.arguments)) == (call.name, canonical(call.arguments)):
                return task
        return None

    async def _carry_out(
        self, turn: Turn | None, call: ModelCall, arguments: dict[str, Any] | None, twin: asyncio.Task[str] | None
    ) -> str:
        """What the model is told. `arguments` are secret, and stand for those of the call, which are for show."""
        if twin is not None:
            await asyncio.wait({twin})
        journal = self._call.journal
        todo = what_to_do(call, journal.journal.tools, self._call.facts.call_id, self._side_effect)
        if isinstance(todo, Done):
            content = _repeated(todo.entry)
            self._answer(call, content)
            return content
        entry = todo.entry or journal.journal.tools.add(
            idempotency_key=todo.idempotency_key,
            name=call.name,
            arguments_json=call.arguments,
            state=ToolState.TOOL_STATE_REQUESTED,
            turn_index=0 if turn is None else turn.entry.index,
        )
        if todo.again and not self._may_repeat(call.name, todo.idempotency_key):
            entry.state, entry.result_json = ToolState.TOOL_STATE_FAILED, json.dumps(_UNKNOWN)
            self._answer(call, entry.result_json)
            return entry.result_json
        if arguments is not None:
            self._secret_keys.add(todo.idempotency_key)
        number = journal.save()
        if self._side_effect(call.name):
            await journal.written(number, JOURNAL_WITHIN_S)
            if journal.fenced:
                entry.state, entry.result_json = ToolState.TOOL_STATE_FAILED, _NOT_OURS
                self._answer(call, _NOT_OURS)
                return _NOT_OURS
        with contextlib.nullcontext() if turn is None else use_span(turn.span, end_on_exit=False):
            content, ok, error = await self._content(call, entry, arguments)
        if turn is not None and error:
            self._call.log.failed(turn, f"{call.name}: {error}")
        entry.result_json = content if arguments is None else _masked(content)
        entry.state = ToolState.TOOL_STATE_SUCCEEDED if ok else ToolState.TOOL_STATE_FAILED
        self._answer(call, content)
        self._call.chronicle.tell(CallNotice(tool=entry))
        return content

    def _answer(self, call: ModelCall, content: str) -> None:
        if call.id:
            self._call.history.tool_answered(call.id, tool_content(content))
        self._call.save_messages()

    async def _content(
        self, call: ModelCall, entry: JournalTool, arguments: dict[str, Any] | None
    ) -> tuple[str, bool, str]:
        """What the model is told, whether it was done, and the code of what broke, if something did."""
        try:
            arguments = json.loads(call.arguments or "{}") if arguments is None else arguments
        except (ValueError, RecursionError) as error:
            return (
                json.dumps({"ok": False, "code": "invalid_arguments", "error": f"not JSON: {error}"}),
                False,
                "invalid_arguments",
            )
        try:
            with on_behalf_of(self._call.facts):
                result = await self._call.tools.call(call.name, arguments, entry.idempotency_key)
        except Exception:  # a bug of ours or of a tool's: the caller must not wait for what never comes
            logger().exception("tool failed", tool=call.name, call_id=self._call.facts.call_id)
            result = failure("failed", f"{call.name} ended in an error", unsure=self._side_effect(call.name))
        content = result.content()
        if not result.ok and result.code in OUT_OF_REACH_CODES and call.name in self._call.tools:
            # The operator's own words, for a model that would else make up an excuse.
            content = json.dumps({**json.loads(content), "say": self._call.tools.declaration(call.name).say_failed})
        return content, result.ok, result.code if result.broke else ""


def _masked(content: str) -> str:
    """Of a secret call: a system may tell again what it was told."""
    result = json.loads(content)
    return json.dumps({name: result[name] for name in ("ok", "code", "unsure") if name in result})


def _repeated(entry: JournalTool) -> str:
    """The result of before, with a word on it for the model."""
    return json.dumps(
        {"ok": True, **result_of(entry), "note": "already done earlier in this call; nothing was done again"}
    )
