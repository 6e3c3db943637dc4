"""What was already asked of tools in this call, so that nothing is done twice (DESIGN §7). Pure, over the journal."""

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from services.brain.models import ModelCall
from services.brain.models.call import canonical
from tandem.v1.call_pb2 import JournalTool, ToolState

# Failures that never left this machine: they prove nothing of what was asked before.
_NEVER_ASKED_CODES = frozenset({"busy", "unavailable", "invalid_arguments", "unknown_tool"})
# The system could not be asked, or did not answer sensibly: the operator's own words fit (`say_failed`).
OUT_OF_REACH_CODES = frozenset(
    {"busy", "unavailable", "unreachable", "timeout", "server_error", "failed", "malformed", "too_big"}
)
_KEYS = uuid.UUID("b0b5a9a8-6e0c-4f0e-9d53-6f4f2f6f1c6e")  # any: the name space of our keys


@dataclass(frozen=True, slots=True)
class Do:
    """Carry it out, under this key.

    `entry`: it was asked for before, by a brain that is gone. `again`: nobody knows whether it was done.
    """

    idempotency_key: str
    entry: JournalTool | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """It was carried out before: this came of it."""

    entry: JournalTool


def what_to_do(
    call: ModelCall, tools: Sequence[JournalTool], call_id: str, has_side_effect: Callable[[str], bool]
) -> Do | Done:
    """What a call that the model asks for comes to, by the `tools` of the call's journal.

    A side effect that succeeded is not repeated while nothing else was done since: models ask again when they were
    interrupted before they told the caller. After another side effect the same words mean something new (booked,
    cancelled, booked again).
    """
    if has_side_effect(call.name):
        for entry in reversed(tools):
            if entry.state == ToolState.TOOL_STATE_SUCCEEDED and has_side_effect(entry.name):
                if same(entry, call):
                    return Done(entry)
                break
    key = idempotency_key(call, tools, call_id)
    with_key = [one for one in tools if one.idempotency_key == key]
    asked = next((one for one in with_key if one.state == ToolState.TOOL_STATE_REQUESTED), None)
    return Do(key, asked, again=asked is not None or any(unsure(one) for one in with_key))


def idempotency_key(call: ModelCall, tools: Iterable[JournalTool], call_id: str) -> str:
    """The same for the same call as long as nobody knows what came of it: "try again" must not book twice.

    It follows from what is known of the call, and not from chance: a brain that takes over finds the same key also
    where the journal of the one before it was not written in time.
    """
    settled, open_key = 0, ""
    for entry in tools:
        if not same(entry, call) or result_of(entry).get("code") in _NEVER_ASKED_CODES:
            continue
        if entry.state == ToolState.TOOL_STATE_REQUESTED or unsure(entry):
            open_key = entry.idempotency_key
        else:
            settled, open_key = settled + 1, ""
    return open_key or uuid.uuid5(_KEYS, f"{call_id}/{call.name}/{canonical(call.arguments)}/{settled}").hex


def unsure(entry: JournalTool) -> bool:
    """It failed, and may have been done all the same."""
    return entry.state == ToolState.TOOL_STATE_FAILED and result_of(entry).get("unsure") is True


def in_doubt(tools: Iterable[JournalTool]) -> list[JournalTool]:
    """The last try of each call of which nobody knows whether it was done."""
    found: dict[str, JournalTool] = {}
    for entry in tools:
        if unsure(entry):
            found[entry.idempotency_key] = entry
        elif result_of(entry).get("code") not in _NEVER_ASKED_CODES:
            found.pop(entry.idempotency_key, None)
    return list(found.values())


def same(entry: JournalTool, call: ModelCall) -> bool:
    """The entry is of this call, or of one just like it."""
    return entry.name == call.name and canonical(entry.arguments_json) == canonical(call.arguments)


def result_of(entry: JournalTool) -> dict[str, Any]:
    """What the model was told; empty where that is no JSON object, or nothing yet."""
    try:
        result = json.loads(entry.result_json or "{}")
    except (ValueError, RecursionError):
        return {}
    return result if isinstance(result, dict) else {}
