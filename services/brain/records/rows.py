"""Events as rows: which of two rows with the same key holds. SQL does the same (repository.py)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from services.brain.records.number import plain_number
from tandem.v1.call_pb2 import CallDirection, CallOutcome, ToolState
from tandem.v1.record_pb2 import CallRecord, RecordTool, RecordTurn

Row = dict[str, Any]


@dataclass(slots=True)
class Rows:
    """By key: the call, its turns by index, its tool calls by idempotency key, what each owner spent."""

    calls: dict[str, Row] = field(default_factory=dict)
    turns: dict[tuple[str, int], Row] = field(default_factory=dict)
    tools: dict[tuple[str, str], Row] = field(default_factory=dict)
    costs: dict[tuple[str, int], Row] = field(default_factory=dict)

    def add(self, event: CallRecord) -> None:
        """Adding twice, or in another order, comes to the same."""
        version = {"call_id": event.call_id, "owner_epoch": event.owner_epoch, "sequence": event.sequence}
        _put(self.calls, event.call_id, {**version, **_head(event)})
        for turn in event.turns:
            _put(self.turns, (event.call_id, turn.index), {**version, **_turn(turn)})
        for tool in event.tools:
            _put(self.tools, (event.call_id, tool.idempotency_key), {**version, **_tool(tool)})
        if event.head.HasField("cost"):
            _put(self.costs, (event.call_id, event.owner_epoch), {**version, **_cost(event)})


def rows_of(events: Iterable[CallRecord]) -> Rows:
    rows = Rows()
    for event in events:
        rows.add(event)
    return rows


def _put(rows: dict[Any, Row], key: Any, row: Row) -> None:
    held = rows.get(key)
    if held is None or _version(row) > _version(held):
        rows[key] = row


def _version(row: Row) -> tuple[int, int]:
    return row["owner_epoch"], row["sequence"]


def _head(event: CallRecord) -> Row:
    head = event.head
    outcome = "" if not head.outcome else _name(CallOutcome.Name, head.outcome, "CALL_OUTCOME_")
    texts = (
        "agent", "agent_version", "trunk", "number", "own_number", "sip_call_id", "trace_id", "language", "end_reason",
        "ticket_id", "transfer",
    )  # fmt: skip
    return {
        **{name: _text(getattr(head, name)) for name in texts},
        "number_key": plain_number(_text(head.number)),
        "direction": _name(CallDirection.Name, head.direction, "CALL_DIRECTION_"),
        "answered_unix_us": head.answered_unix_us,
        "ended_us": head.ended_us,
        "outcome": outcome,
        "quality": json.dumps(dict(sorted(head.quality.items()))),
        "memory_days": head.memory_days,
    }


def _turn(turn: RecordTurn) -> Row:
    latency = turn.latency if turn.HasField("latency") else None
    return {
        "turn_index": turn.index,
        "caller_text": _text(turn.caller_text),
        "agent_text": _text(turn.agent_text),
        "interrupted": turn.interrupted,
        "ear_latency_ms": latency.ear_latency_ms if latency else None,
        "parts_ms": json.dumps(dict(sorted(latency.parts_ms.items())) if latency else {}),
        "caller_started_us": turn.caller_started_us,
        "caller_stopped_us": turn.caller_stopped_us,
        "agent_started_us": turn.agent_started_us,
        "agent_stopped_us": turn.agent_stopped_us,
    }


def _tool(tool: RecordTool) -> Row:
    return {
        "idempotency_key": _text(tool.idempotency_key),
        "name": _text(tool.name),
        "state": _name(ToolState.Name, tool.state, "TOOL_STATE_"),
        "code": _text(tool.code),
        "turn_index": tool.turn_index,
        "arguments_json": _text(tool.arguments_json),
        "result_json": _text(tool.result_json),
    }


def _cost(event: CallRecord) -> Row:
    cost = event.head.cost
    return {
        "input_tokens": cost.input_tokens,
        "cached_tokens": cost.cached_tokens,
        "output_tokens": cost.output_tokens,
        "model_calls": cost.model_calls,
        "micro_usd": cost.micro_usd,
    }


def _text(text: str) -> str:
    """PostgreSQL holds no NUL."""
    return text.replace("\0", "")


def _name(names: Any, value: int, prefix: str) -> str:
    """ "caller_hung_up"; a value of a newer Tandem by its number."""
    try:
        return str(names(value)).removeprefix(prefix).lower()
    except ValueError:
        return str(value)
