"""Recorded calls, as `tandem calls` finds, shows, writes out and erases them."""

import json
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats.errors
from rich.table import Table
from rich.text import Text

from services.brain.journal import BUCKET, read_journal
from services.brain.records.call import Erased, RecordedCall
from services.brain.records.repository import CallRecords
from services.brain.records.stream import BUS_ERRORS, purge
from services.brain.records.url import engine_url, shown, sqlite_file, sqlite_url
from services.common.bus import BusUnavailable, connect_control
from services.common.settings import CommonSettings, SettingsInvalid, read_yaml
from services.common.telemetry.store import default_database
from tandem.plan import RECORDS_FILE

_AGO = re.compile(r"(\d{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class NoRecords(Exception):
    """There is nothing to read; the message says why and what to do."""


def records_url(settings: Path | None, url: str | None) -> str:
    """Where the records lie: as said, as the settings file says, or where `tandem up` puts them.

    Raises NoRecords, SettingsInvalid.
    """
    if not url and settings is not None:
        file = read_yaml(settings)
        brain = file.value.get("brain") or {}
        url = brain.get("records_url") if isinstance(brain, dict) else None
        if url == "":
            raise NoRecords(f"{settings}: brain.records_url is empty: no calls are recorded")
        if url is not None and not isinstance(url, str):
            raise SettingsInvalid([file.mistake(("brain", "records_url"), "expected a URL")])
    return url or sqlite_url(default_database().parent / RECORDS_FILE)


def nats_url(settings: Path | None, url: str | None) -> str:
    """Raises SettingsInvalid."""
    if not url and settings is not None:
        url = read_yaml(settings).value.get("nats_url")
    return str(url or CommonSettings.model_fields["nats_url"].default)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[CallRecords]:
    """Raises NoRecords, SchemaNewer, repository.UNAVAILABLE."""
    try:
        where = engine_url(url)
    except ValueError as error:
        raise NoRecords(f"the URL of the records: {error}") from None
    file = sqlite_file(where)
    if file is not None and not file.is_file():
        raise NoRecords(f"no calls are recorded in {file} yet; --settings or --url name another place")
    records = await CallRecords.open(url)
    try:
        yield records
    finally:
        await records.close()


def place(url: str) -> str:
    """For messages: without the password."""
    try:
        return shown(engine_url(url))
    except ValueError:
        return "the records"


def moment(text: str, now: datetime) -> int:
    """`7d`, `12h`, `30m` before now, or a date or time as ISO 8601 writes it (local unless it says otherwise), in µs.

    Raises ValueError.
    """
    ago = _AGO.fullmatch(text)
    try:
        at = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else datetime.fromisoformat(text).astimezone()
        return int(at.timestamp() * 1e6)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"expected 7d, 12h, 30m, 2026-11-20 or 2026-11-20T14:30, not {text!r}") from None


async def erase(records: CallRecords, number: str, bus: str) -> tuple[Erased, str]:
    """What went, and why the bus may still hold something of it ("" when it does not).

    Raises ValueError, repository.UNAVAILABLE.
    """
    erased = await records.erase(number, int(datetime.now(UTC).timestamp() * 1e6))
    if not erased.call_ids:
        return erased, ""
    try:
        await _erase_on_bus(bus, erased.call_ids)
    except (*BUS_ERRORS, BusUnavailable, nats.errors.Error) as error:
        return erased, str(error) or repr(error)
    return erased, ""


async def _erase_on_bus(bus: str, call_ids: Sequence[str]) -> None:
    """Events that wait, and the journals of calls that have ended: a live call goes on by its journal."""
    from nats.js.errors import BucketNotFoundError, NotFoundError

    control = await connect_control(bus, "tandem calls")
    try:
        jetstream = control.jetstream(timeout=5)
        await purge(jetstream, call_ids)
        try:
            bucket = await jetstream.key_value(BUCKET)
        except (BucketNotFoundError, NotFoundError):
            return
        for call_id in call_ids:
            found = await read_journal(bucket, call_id)
            if found is not None and found[0].outcome:
                await bucket.purge(call_id)
    finally:
        await control.close()


def table(calls: Iterable[RecordedCall]) -> Table:
    drawn = Table(box=None, pad_edge=False)
    for column in ("answered", "length", "call", "agent", "number", "outcome", "slowest", "cost"):
        drawn.add_column(column, no_wrap=True, justify="right" if column in ("length", "slowest", "cost") else "left")
    for one in calls:
        drawn.add_row(
            f"{answered(one):%Y-%m-%d %H:%M:%S}",
            clock(one.ended_us) if one.ended_us else "",
            Text(one.call_id),
            Text(one.agent),
            Text(one.number or "withheld"),
            Text(outcome(one)),
            f"{one.slowest_ms:.0f} ms" if one.slowest_ms is not None else "",
            f"${one.cost.usd:.4f}" if one.cost.model_calls else "",
        )
    return drawn


def lines(call: RecordedCall) -> list[str]:
    """One call for people, with its turns and tools."""
    told = {
        "call": call.call_id,
        "agent": f"{call.agent} {call.agent_version}",
        "answered": f"{answered(call):%Y-%m-%d %H:%M:%S %z}",
        "length": clock(call.ended_us) if call.ended_us else "",
        "number": f"{call.number or 'withheld'} ({call.direction})",
        "trunk": f"{call.trunk} {call.own_number}".strip(),
        "outcome": outcome(call),
        "transfer": call.transfer,
        "ticket": call.ticket_id,
        "cost": _cost(call),
        "quality": ", ".join(f"{name} {value:g}" for name, value in call.quality.items()),
        "trace": call.trace_id,
    }
    found = [f"{name:<9} {value}" for name, value in told.items() if value]
    for turn in call.turns:
        latency = f", answered in {turn.ear_latency_ms:.0f} ms" if turn.ear_latency_ms is not None else ""
        found += ["", f"turn {turn.index}{latency}{', interrupted' if turn.interrupted else ''}"]
        found += [f"  caller: {turn.caller_text}"] if turn.caller_text else []
        found += [f"  agent:  {turn.agent_text}"] if turn.agent_text else []
        found += [_tool(tool) for tool in call.tools if tool.turn_index == turn.index]
    indexes = {turn.index for turn in call.turns}
    found += [_tool(tool) for tool in call.tools if tool.turn_index not in indexes]
    return [_plain(line) for line in found]


def as_line(call: RecordedCall) -> str:
    """JSON, in one line."""
    return json.dumps(call.as_object(), ensure_ascii=False)


def answered(call: RecordedCall) -> datetime:
    return datetime.fromtimestamp(call.answered_unix_us / 1e6, UTC).astimezone()


def outcome(call: RecordedCall) -> str:
    if not call.outcome:
        return "unfinished"
    return f"{call.outcome}: {call.end_reason}" if call.end_reason else call.outcome


def clock(us: int) -> str:
    """0:03:07"""
    seconds = us // 1_000_000
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _cost(call: RecordedCall) -> str:
    cost = call.cost
    if not cost.model_calls:
        return ""
    return (
        f"${cost.usd:.4f}: {cost.model_calls} model calls, {cost.input_tokens} tokens in "
        f"({cost.cached_tokens} cached), {cost.output_tokens} out"
    )


def _tool(tool: Any) -> str:
    code = f" ({tool.code})" if tool.code else ""
    arguments = f" {tool.arguments_json}" if tool.arguments_json else ""
    return f"  tool:   {tool.name}{arguments}: {tool.state}{code}"


def _plain(text: str) -> str:
    """What people said, or sent in a header, is not to move the cursor of a terminal."""
    return "".join(one if one.isprintable() else " " for one in text)
