"""Was anything booked twice, or lost? By the booking system's own ledger. Pure."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tandem.v1.call_pb2 import CallJournal, ToolState

BOOKING = "book_appointment"


@dataclass(frozen=True, slots=True)
class Ended:
    """One call as the caller knows it."""

    call_id: str
    phone: str
    start: str
    told: bool
    """The caller heard that it is booked"""
    hung_up: bool
    """... or did not wait for it"""
    gave_up: bool
    """The call took longer than any caller waits"""
    brains: int = 1
    retries: int = 0
    log: tuple[str, ...] = ()
    """Of a call that took too long"""


@dataclass(slots=True)
class Verdict:
    """`duplicates`, `lost` and `unlearnt_after_hang_up` have a line each; the others are counts."""

    duplicates: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unlearnt_after_hang_up: list[str] = field(default_factory=list)
    """In the ledger alone: its brain died after the caller had gone, and nobody takes a call over that is over"""
    booked: int = 0
    told: int = 0
    other_time: int = 0
    gave_up: int = 0


def judge(
    calls: Sequence[Ended],
    journals: dict[str, CallJournal],
    ledger: Iterable[dict[str, Any]],
    twice: Iterable[dict[str, Any]],
) -> Verdict:
    """`ledger` and `twice` are GET /ledger and GET /duplicates of the booking system; journals go by call id."""
    verdict = Verdict()
    booked = {row["detail"]["phone"]: row for row in ledger if row["action"] == "book"}
    times = Counter(row["detail"]["phone"] for row in ledger if row["action"] == "book")
    verdict.booked = len(booked)
    for one in twice:
        verdict.duplicates.append(f"{one['phone']} asked for {one['start']} under {one['first_key']} and {one['key']}")
    for phone, count in times.items():
        if count > 1:
            verdict.duplicates.append(f"{phone} has {count} appointments")
    for call in calls:
        _judge_one(verdict, call, journals.get(call.call_id, CallJournal()), booked.get(call.phone))
    return verdict


def _judge_one(verdict: Verdict, call: Ended, journal: CallJournal, row: dict[str, Any] | None) -> None:
    learnt = [one for one in journal.tools if one.name == BOOKING and one.state == ToolState.TOOL_STATE_SUCCEEDED]
    verdict.told += call.told
    verdict.gave_up += call.gave_up
    if row is None:
        if call.told or learnt:
            who = "the caller was told" if call.told else "the journal says"
            verdict.lost.append(f"{call.call_id}: {who} that it is booked, the ledger has nothing")
        return
    verdict.other_time += row["detail"]["start"] != call.start
    if learnt:
        return
    states = [f"{ToolState.Name(one.state)} {_code(one.result_json)}".strip() for one in journal.tools]
    line = f"{call.call_id}: in the ledger under {row['key']}, never learnt; journal: {states}"
    (verdict.unlearnt_after_hang_up if call.hung_up else verdict.lost).append(line)


def _code(result: str) -> str:
    try:
        told = json.loads(result or "{}")
    except ValueError:
        return "malformed"
    return str(told.get("code", "")) if isinstance(told, dict) else ""
