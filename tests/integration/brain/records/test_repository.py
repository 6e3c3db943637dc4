"""Recorded calls in a real SQLite and a real PostgreSQL."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from services.brain.records.call import Filters
from services.brain.records.repository import UNAVAILABLE, CallRecords
from services.brain.records.schema import Migration, SchemaNewer, migrations
from tandem.v1.record_pb2 import CallRecord

Told = Callable[..., list[CallRecord]]
NOW_US = 1_800_000_000_000_000
DAY_US = 24 * 3600 * 1_000_000


async def test_a_call_reads_as_it_was_told(records: CallRecords, told: Told) -> None:
    await records.upsert(told())
    call = await records.get("c1")
    assert call is not None
    assert (call.agent, call.agent_version, call.number, call.outcome) == (
        "desk",
        "v1",
        "+49 30 1234",
        "caller_hung_up",
    )
    assert (call.ended_us, call.end_reason, call.trace_id, call.language) == (60_000_000, "goodbye", "abc", "en")
    assert [(one.caller_text, one.ear_latency_ms) for one in call.turns] == [("turn 0 of 1", 800), ("turn 1 of 1", 801)]
    assert call.turns[0].parts_ms == {"asr": 100.0}
    assert call.slowest_ms == 801
    assert [(one.name, one.state, one.result_json) for one in call.tools] == [("book", "succeeded", '{"ok": true}')]
    assert call.quality == {"mos": 4.2}
    assert call.cost.usd == 0.0015
    assert await records.get("nobody") is None


@pytest.mark.parametrize("seed", range(5))
async def test_any_order_repetition_and_batches_give_the_same_row(records: CallRecords, told: Told, seed: int) -> None:
    expected = told("expected", epochs=3)
    await records.upsert(expected)
    chance = random.Random(seed)
    events = told("mixed", epochs=3)
    mixed = events + chance.choices(events, k=10)
    chance.shuffle(mixed)
    while mixed:
        some = chance.randint(1, 4)
        await records.upsert(mixed[:some])
        mixed = mixed[some:]
    one, other = await records.get("expected"), await records.get("mixed")
    assert one is not None
    assert other is not None
    assert one.as_object() | {"call_id": "", "tools": ()} == other.as_object() | {"call_id": "", "tools": ()}
    assert one.cost.input_tokens == 300  # what each of three brains spent
    assert [tool.state for tool in other.tools] == ["succeeded"]


async def test_two_recorders_at_once_lose_nothing(url: str, told: Told) -> None:
    """Also that both may make the schema."""
    one, other = await asyncio.gather(CallRecords.open(url), CallRecords.open(url))
    calls = [told(f"c{number}") for number in range(20)]
    try:
        for events in zip(*calls, strict=True):
            await asyncio.gather(one.upsert(events), other.upsert(reversed(events)))
        found = await other.find(Filters(), details=True)
    finally:
        await one.close()
        await other.close()
    assert len(found) == 20
    assert {(len(call.turns), len(call.tools), call.outcome) for call in found} == {(2, 1, "caller_hung_up")}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), ["live", "slow", "other", "old"]),
        (Filters(limit=2), ["live", "slow"]),
        (Filters(agent="sales"), ["other"]),
        (Filters(since_unix_us=NOW_US), ["live", "slow"]),
        (Filters(until_unix_us=NOW_US - DAY_US), ["old"]),
        (Filters(outcome="transferred"), ["slow"]),
        (Filters(outcome="unfinished"), ["live"]),
        (Filters(number="+49(30)12-34"), ["live", "other", "old"]),
        (Filters(slow_ms=2000), ["slow"]),
        (Filters(agent="nobody"), []),
    ],
)
async def test_calls_are_found(records: CallRecords, told: Told, filters: Filters, expected: list[str]) -> None:
    await records.upsert(
        [
            *told("old", answered_us=NOW_US - 2 * DAY_US),
            *told("other", agent="sales", answered_us=NOW_US - 1),
            *told("slow", number="+1", latency_ms=2000, outcome="transferred"),
            *told("live", answered_us=NOW_US + 1, ended=False),
        ]
    )
    assert [call.call_id for call in await records.find(filters)] == expected


async def test_earlier_calls_are_this_agents_with_this_number(records: CallRecords, told: Told) -> None:
    await records.upsert(
        [event for day in range(5) for event in told(f"d{day}", answered_us=NOW_US - day * DAY_US)]
        + told("sales", agent="sales")
        + told("w1", number="anonymous")
        + told("w2", number="")
    )
    found = await records.earlier("+49301234", "desk", 2, NOW_US - 3 * DAY_US, besides="d0")
    assert [call.call_id for call in found] == ["d1", "d2"]
    assert found[0].tools[0].arguments_json == '{"name": "Ada"}'
    assert await records.earlier("anonymous", "desk", 5) == []
    assert await records.earlier("", "desk", 5) == []


async def test_erasing_a_number_leaves_nothing_of_it_and_nothing_comes_back(records: CallRecords, told: Told) -> None:
    begun, *rest = told("c1")
    await records.upsert([begun, *rest[:3], *told("c2"), *told("c3", number="+1")])
    erased = await records.erase("+49-30-1234", NOW_US + 1)
    assert set(erased.call_ids) == {"c1", "c2"}
    assert (erased.turns, erased.tools) == (4, 2)
    # Events that were under way, of a call that goes on, and of one that no table ever had.
    await records.upsert([*rest, *told("c4")])
    assert [call.call_id for call in await records.find(Filters())] == ["c3"]
    await records.upsert(told("new", answered_us=NOW_US + 2))
    assert {call.call_id for call in await records.find(Filters())} == {"c3", "new"}
    # The number itself is kept nowhere for it, and its hash no longer than events live.
    await records.sweep(NOW_US + 9 * DAY_US, 1000)
    await records.upsert(told("c1"))
    assert await records.get("c1") is not None
    with pytest.raises(ValueError, match="expected a number"):
        await records.erase("anonymous", NOW_US)


async def test_an_erased_number_is_not_in_the_file(tmp_path: Path, told: Told) -> None:
    url = f"sqlite:///{tmp_path / 'records.db'}"
    records, brain = await CallRecords.open(url), await CallRecords.open(url)
    await brain.upsert(told("c1", number="+4930987654321"))  # it stays connected: the log of writes is not put away
    await records.erase("+4930987654321", NOW_US + 1)
    files = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    left = b"".join(path.read_bytes() for path in files)
    await records.close()
    await brain.close()
    assert b"4930987654321" not in left
    assert b"turn 1 of" not in left


async def test_retention_drops_words_first_and_what_is_remembered_later(records: CallRecords, told: Told) -> None:
    old = NOW_US - 40 * DAY_US
    await records.upsert(
        [*told("plain", answered_us=old), *told("known", answered_us=old, memory_days=90), *told("new")]
    )
    assert await records.sweep(NOW_US, 30) == 1
    assert await records.get("plain") is None
    known, new = await records.get("known"), await records.get("new")
    assert known is not None
    assert new is not None
    assert known.turns == ()
    assert [(tool.arguments_json, tool.result_json) for tool in known.tools] == [('{"name": "Ada"}', "")]
    assert len(new.turns) == 2
    assert await records.sweep(NOW_US + 51 * DAY_US, 30) == 2
    assert await records.find(Filters()) == []


async def test_a_newer_schema_is_left_alone(records: CallRecords, url: str) -> None:
    newer = [*migrations(), Migration(99, "future", "CREATE TABLE future (x BIGINT);")]
    await records.prepare(newer)
    await records.prepare(newer)  # once only
    with pytest.raises(SchemaNewer, match="version 99"):
        await CallRecords.open(url)


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(records: CallRecords, told: Told) -> None:
    broken = [*migrations(), Migration(2, "broken", "CREATE TABLE half (x BIGINT);\nCREATE TABLE calls (x BIGINT);")]
    with pytest.raises(UNAVAILABLE):
        await records.prepare(broken)
    mended = [*migrations(), Migration(2, "mended", "CREATE TABLE half (x BIGINT);")]
    await records.prepare(mended)
    await records.upsert(told())
    assert await records.get("c1") is not None
