"""What a call tells of itself: CallRecord events, made from its journal."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from services.brain.records.number import own_number, person_number
from tandem.v1.call_pb2 import CallJournal, CallNotice, JournalTool, JournalTurn, ToolState
from tandem.v1.record_pb2 import CallRecord, RecordCost, RecordHead, RecordTool, RecordTurn

if TYPE_CHECKING:
    from services.brain.models.step import Usage

MOST_TEXT = 4000
MOST_JSON = 8000
# Far below NATS's own bound of 1 MiB a message.
MOST_BYTES = 400_000
_BIGINT = 2**63


class Malformed(ValueError):
    """No record of a call; the message says why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What may be kept of a call. `pii`: what people said, and what tools were asked and answered.

    `memory_days`: the agent remembers its callers for so long, with the arguments of tools that succeeded; 0: it
    does not.
    """

    pii: bool = False
    memory_days: int = 0


@dataclass(slots=True)
class CallEvents:
    """The events of one call under one owner, numbered. The journal is read anew for each; what it does not hold is set
    here as it becomes known."""

    journal: CallJournal
    kept: Kept
    language: str = ""
    transfer: str = ""
    # What this brain spent on the call so far; nothing of a brain before it.
    cost: RecordCost = field(default_factory=RecordCost)
    quality: Mapping[str, float] = field(default_factory=dict)
    _sequence: int = 0

    def told(self, notice: CallNotice, end_reason: str = "") -> list[CallRecord]:
        """What whoever watches the call is told, for the record: its start, a turn, a tool, a hand-over, its end."""
        match notice.WhichOneof("notice"):
            case "turn":
                return [self.turn(notice.turn)]
            case "tool":
                return [self.tool(notice.tool)]
            case "transfer":
                self.transfer = notice.transfer
                return [self.changed()]
            case "ended":
                # A call that ends as it is answered has a length too: 0 would say that it goes on.
                return self.ended(max(1, notice.call_time_us), end_reason)
            case _:
                return [self.changed()]

    def spent(self, usage: "Usage") -> None:
        """An attempt at an answer was paid for; it goes out with the next event."""
        self.cost.model_calls += 1
        self.cost.input_tokens += usage.input_tokens
        self.cost.cached_tokens += usage.cached_tokens
        self.cost.output_tokens += usage.output_tokens
        self.cost.micro_usd += round((usage.cost_usd or 0.0) * 1e6)

    def changed(self) -> CallRecord:
        """The call began, was taken over, or something of its head is new: a ticket, a hand-over."""
        return self._event()

    def turn(self, entry: JournalTurn) -> CallRecord:
        """A turn is over."""
        return self._event(turns=[turn_of(entry, self.kept)])

    def tool(self, entry: JournalTool) -> CallRecord:
        """A tool was asked for, or has answered."""
        return self._event(tools=[tool_of(entry, self.kept)])

    def ended(self, ended_us: int, end_reason: str = "") -> list[CallRecord]:
        """The call is over at this call time: all of it again, so that nothing that was lost before is missed."""
        turns = [turn_of(one, self.kept) for one in self.journal.turns]
        tools = [tool_of(one, self.kept) for one in self.journal.tools]
        return [
            self._event(ended_us, end_reason, some_turns, some_tools)
            for some_turns, some_tools in _in_parts(turns, tools)
        ]

    def _event(
        self,
        ended_us: int = 0,
        end_reason: str = "",
        turns: list[RecordTurn] | None = None,
        tools: list[RecordTool] | None = None,
    ) -> CallRecord:
        self._sequence += 1
        head = head_of(self.journal, self.kept, ended_us, end_reason, self.cost, self.quality)
        head.language, head.transfer = self.language, self.transfer[:MOST_TEXT]
        return CallRecord(
            call_id=self.journal.facts.call_id,
            owner_epoch=self.journal.owner_epoch,
            sequence=self._sequence,
            head=head,
            turns=turns,
            tools=tools,
        )


def record_of(
    journal: CallJournal,
    kept: Kept,
    ended_us: int = 0,
    end_reason: str = "",
    cost: RecordCost | None = None,
    quality: Mapping[str, float] | None = None,
) -> CallRecord:
    """The whole record of a journal, however large."""
    return CallRecord(
        call_id=journal.facts.call_id,
        owner_epoch=journal.owner_epoch,
        sequence=1,
        head=head_of(journal, kept, ended_us, end_reason, cost, quality),
        turns=[turn_of(one, kept) for one in journal.turns],
        tools=[tool_of(one, kept) for one in journal.tools],
    )


def head_of(
    journal: CallJournal,
    kept: Kept,
    ended_us: int = 0,
    end_reason: str = "",
    cost: RecordCost | None = None,
    quality: Mapping[str, float] | None = None,
) -> RecordHead:
    """`ended_us` is 0 while the call goes on; it has no outcome then, for the journal may have that of a dead brain."""
    facts = journal.facts
    return RecordHead(
        agent=facts.agent,
        agent_version=journal.agent_version,
        trunk=facts.trunk,
        direction=facts.direction,
        number=person_number(facts),
        own_number=own_number(facts),
        answered_unix_us=facts.answered_unix_us,
        sip_call_id=facts.sip_call_id,
        trace_id=journal.trace_id,
        ended_us=ended_us,
        outcome=journal.outcome if ended_us else None,
        end_reason=end_reason[:MOST_TEXT],
        ticket_id=journal.ticket_id,
        cost=cost,
        quality=quality,
        memory_days=kept.memory_days,
    )


def turn_of(entry: JournalTurn, kept: Kept) -> RecordTurn:
    turn = RecordTurn(
        index=entry.index,
        interrupted=entry.interrupted,
        latency=entry.latency if entry.HasField("latency") else None,
        caller_started_us=entry.caller_started_us,
        caller_stopped_us=entry.caller_stopped_us,
        agent_started_us=entry.agent_started_us,
        agent_stopped_us=entry.agent_stopped_us,
    )
    if kept.pii:
        turn.caller_text, turn.agent_text = entry.caller_text[:MOST_TEXT], entry.agent_text[:MOST_TEXT]
    return turn


def tool_of(entry: JournalTool, kept: Kept) -> RecordTool:
    tool = RecordTool(
        idempotency_key=entry.idempotency_key, name=entry.name, state=entry.state, turn_index=entry.turn_index
    )
    if entry.state == ToolState.TOOL_STATE_FAILED:
        tool.code = _code(entry.result_json)
    if kept.pii or (kept.memory_days and entry.state == ToolState.TOOL_STATE_SUCCEEDED):
        tool.arguments_json = _bounded(entry.arguments_json)
    if kept.pii:
        tool.result_json = _bounded(entry.result_json)
    return tool


def decode(payload: bytes) -> CallRecord:
    """An event off the bus. Raises Malformed for what no database could take."""
    try:
        event = CallRecord.FromString(payload)
    except DecodeError as error:
        raise Malformed(f"not a CallRecord: {error}") from None
    if not event.call_id or len(event.call_id) > 200:
        raise Malformed("no call id, or none that we gave")
    if not event.HasField("head") or not event.head.agent:
        raise Malformed("no head")
    cost = event.head.cost
    figures = (event.owner_epoch, event.sequence, cost.input_tokens, cost.cached_tokens, cost.output_tokens)
    if not event.sequence or max(*figures, cost.micro_usd) >= _BIGINT:
        raise Malformed("its numbers are none that we give")
    return event


def _in_parts(turns: list[RecordTurn], tools: list[RecordTool]) -> Iterator[tuple[list[RecordTurn], list[RecordTool]]]:
    """Parts that fit into a message each; at least one, if empty."""
    some_turns: list[RecordTurn] = []
    some_tools: list[RecordTool] = []
    size = 0
    for turn, tool in [*((one, None) for one in turns), *((None, one) for one in tools)]:
        more = turn.ByteSize() if turn is not None else tool.ByteSize() if tool is not None else 0
        if size + more > MOST_BYTES:
            yield some_turns, some_tools
            some_turns, some_tools, size = [], [], 0
        size += more
        if turn is not None:
            some_turns.append(turn)
        if tool is not None:
            some_tools.append(tool)
    yield some_turns, some_tools


def _bounded(text: str) -> str:
    return text if len(text) <= MOST_JSON else json.dumps({"left_out": f"{len(text)} characters"})


def _code(result: str) -> str:
    try:
        value = json.loads(result or "{}")
    except (ValueError, RecursionError):
        return ""
    return str(value.get("code", ""))[:100] if isinstance(value, dict) else ""
