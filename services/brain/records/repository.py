"""All SQL of recorded calls."""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.brain.records.call import Cost, Erased, Filters, RecordedCall, RecordedTool, RecordedTurn
from services.brain.records.engine import make_engine, ping, writing
from services.brain.records.number import plain_number, withheld
from services.brain.records.rows import Row, Rows, rows_of
from services.brain.records.schema import Migration, migrate, migrations
from services.brain.records.tables import CALLS, COSTS, ERASURES, TOOLS, TURNS
from services.brain.records.url import engine_url, sqlite_file
from tandem.v1.record_pb2 import CallRecord

UNAVAILABLE = (SQLAlchemyError, OSError, TimeoutError)
"""What a database that is away, or refuses, raises."""

DAY_US = 24 * 3600 * 1_000_000
# Longer than an event lives on the bus (stream.py).
ERASURES_KEPT_US = 8 * DAY_US

# Writing events and erasing exclude each other in PostgreSQL, or an erased row could come back; SQLite has one writer.
_ERASE_LOCK = 0x7A4DE302
# SQLite takes 32,766 values a statement.
_IDS_A_STATEMENT = 500


class CallRecords:
    """The one place that speaks SQL of calls. Its methods raise UNAVAILABLE when the database is away."""

    def __init__(self, url: str) -> None:
        """Connects to nothing yet: `prepare` does. Raises ValueError for the URL."""
        self._engine = make_engine(engine_url(url))
        self._writing = writing(self._engine)
        self._postgresql = self._engine.dialect.name == "postgresql"

    @classmethod
    async def open(cls, url: str) -> Self:
        """Raises ValueError for the URL, SchemaNewer, UNAVAILABLE."""
        records = cls(url)
        try:
            await records.prepare()
        except BaseException:
            await records.close()
            raise
        return records

    async def prepare(self, known: list[Migration] | None = None) -> None:
        """Brings the schema up to date. Raises SchemaNewer, UNAVAILABLE."""
        file = sqlite_file(self._engine.url)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.touch(mode=0o600)  # numbers and words of people: its owner's alone; SQLite gives its log the same
        async with self._writing.begin() as connection:
            await migrate(connection, migrations() if known is None else known)

    async def close(self) -> None:
        await self._engine.dispose()

    async def ping(self) -> None:
        """Whether the database answers."""
        async with self._engine.connect() as connection:
            await ping(connection)

    # Writing.

    async def upsert(self, events: Iterable[CallRecord]) -> None:
        """In one transaction. Events may come twice and in any order; those of erased calls are passed over."""
        events = list(events)
        async with self._writing.begin() as connection:
            if self._postgresql:
                await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({_ERASE_LOCK})")
            erasures = (await connection.execute(sa.select(ERASURES))).mappings().all()
            rows = rows_of(one for one in events if not _is_erased(one, erasures))
            for table, some in _by_table(rows):
                if some:
                    await connection.execute(self._upsert(table), some)

    def _upsert(self, table: sa.Table) -> Any:
        insert: Callable[[sa.Table], Any] = postgresql.insert if self._postgresql else sqlite.insert
        statement = insert(table)
        new = statement.excluded
        later = sa.or_(
            new.owner_epoch > table.c.owner_epoch,
            sa.and_(new.owner_epoch == table.c.owner_epoch, new.sequence > table.c.sequence),
        )
        keys = list(table.primary_key.columns)
        values = {column.name: new[column.name] for column in table.columns if not column.primary_key}
        return statement.on_conflict_do_update(index_elements=keys, set_=values, where=later)

    async def erase(self, number: str, now_unix_us: int) -> Erased:
        """All calls of a number, and what is still under way of them. Raises ValueError for no number."""
        if withheld(number):
            raise ValueError("expected a number: calls of withheld numbers cannot be told apart")
        key = plain_number(number)
        salt = secrets.token_hex(16)
        async with self._writing.begin() as connection:
            if self._postgresql:
                await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ERASE_LOCK})")
            tombstone = {"salt": salt, "number_hash": _hash(salt, key), "erased_unix_us": now_unix_us}
            await connection.execute(sa.insert(ERASURES), [tombstone])
            found = await connection.execute(sa.select(CALLS.c.call_id).where(CALLS.c.number_key == key))
            call_ids = list(found.scalars())
            turns, tools = await _remove(connection, call_ids)
        await self._put_log_away()
        return Erased(tuple(call_ids), turns, tools)

    async def sweep(self, now_unix_us: int, kept_days: int) -> int:
        """Drops what is older than `kept_days`; how many calls went.

        Of a call that its agent remembers for longer, only turns and failed tools go by then.
        """
        async with self._writing.begin() as connection:
            before = now_unix_us - kept_days * DAY_US
            remembered = CALLS.c.answered_unix_us + CALLS.c.memory_days * DAY_US
            old = sa.select(CALLS.c.call_id).where(CALLS.c.answered_unix_us < before)
            gone = list((await connection.execute(old.where(remembered < now_unix_us))).scalars())
            await _remove(connection, gone)
            await connection.execute(sa.delete(TURNS).where(TURNS.c.call_id.in_(old)))
            failed = sa.delete(TOOLS).where(TOOLS.c.call_id.in_(old), TOOLS.c.state != "succeeded")
            await connection.execute(failed)
            bare = sa.update(TOOLS).where(TOOLS.c.call_id.in_(old), TOOLS.c.result_json != "").values(result_json="")
            await connection.execute(bare)
            await connection.execute(
                sa.delete(ERASURES).where(ERASURES.c.erased_unix_us < now_unix_us - ERASURES_KEPT_US)
            )
        await self._put_log_away()
        return len(gone)

    async def _put_log_away(self) -> None:
        """SQLite's log of writes still has what was written before; unless somebody reads it just now."""
        if self._postgresql:
            return
        async with self._engine.connect() as connection:
            # Not within a transaction, and `execute` would begin one.
            raw = await connection.get_raw_connection()
            assert raw.driver_connection is not None
            await raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # Reading.

    async def get(self, call_id: str) -> RecordedCall | None:
        """With its turns and tools."""
        async with self._engine.connect() as connection:
            found = await self._calls(connection, _calls().where(CALLS.c.call_id == call_id), turns=True, tools=True)
        return found[0] if found else None

    async def find(self, filters: Filters, details: bool = False) -> list[RecordedCall]:
        """The latest first; with turns and tools where `details`."""
        query = _calls().order_by(CALLS.c.answered_unix_us.desc(), CALLS.c.call_id).limit(filters.limit)
        if filters.agent:
            query = query.where(CALLS.c.agent == filters.agent)
        if filters.since_unix_us is not None:
            query = query.where(CALLS.c.answered_unix_us >= filters.since_unix_us)
        if filters.until_unix_us is not None:
            query = query.where(CALLS.c.answered_unix_us < filters.until_unix_us)
        if filters.outcome:
            query = query.where(CALLS.c.outcome == ("" if filters.outcome == "unfinished" else filters.outcome))
        if filters.number:
            query = query.where(CALLS.c.number_key == plain_number(filters.number))
        if filters.behind is not None:
            at, ident = filters.behind.answered_unix_us, filters.behind.call_id
            tied = sa.and_(CALLS.c.answered_unix_us == at, CALLS.c.call_id > ident)
            query = query.where(sa.or_(CALLS.c.answered_unix_us < at, tied))
        if filters.slow_ms is not None:
            slow = sa.select(TURNS.c.call_id).where(TURNS.c.ear_latency_ms >= filters.slow_ms)
            query = query.where(CALLS.c.call_id.in_(slow))
        async with self._engine.connect() as connection:
            return await self._calls(connection, query, turns=details, tools=details)

    async def earlier(
        self, number: str, agent: str, limit: int, since_unix_us: int = 0, besides: str = ""
    ) -> list[RecordedCall]:
        """What this agent's calls with this number left, the latest first, with their tools; without call `besides`.

        Nothing for a withheld number.
        """
        if withheld(number):
            return []
        query = (
            _calls()
            .where(CALLS.c.number_key == plain_number(number), CALLS.c.agent == agent)
            .where(CALLS.c.answered_unix_us >= since_unix_us, CALLS.c.call_id != besides)
            .order_by(CALLS.c.answered_unix_us.desc())
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return await self._calls(connection, query, turns=False, tools=True)

    async def _calls(
        self, connection: AsyncConnection, query: "sa.Select[Any]", turns: bool, tools: bool
    ) -> list[RecordedCall]:
        heads = (await connection.execute(query)).mappings().all()
        call_ids = [head["call_id"] for head in heads]
        costs = await _of_calls(connection, COSTS, call_ids)
        all_turns = await _of_calls(connection, TURNS, call_ids) if turns else {}
        all_tools = await _of_calls(connection, TOOLS, call_ids) if tools else {}
        return [
            _call(head, costs.get(ident, []), all_turns.get(ident, []), all_tools.get(ident, []))
            for ident, head in zip(call_ids, heads, strict=True)
        ]


def _by_table(rows: Rows) -> list[tuple[sa.Table, list[Row]]]:
    """Sorted, so that two recorders never wait for each other crosswise."""
    return [
        (CALLS, [row for _, row in sorted(rows.calls.items(), key=_key)]),
        (TURNS, [row for _, row in sorted(rows.turns.items(), key=_key)]),
        (TOOLS, [row for _, row in sorted(rows.tools.items(), key=_key)]),
        (COSTS, [row for _, row in sorted(rows.costs.items(), key=_key)]),
    ]


def _key(item: tuple[Any, Row]) -> Any:
    return item[0]


def _calls() -> "sa.Select[Any]":
    slowest = sa.select(sa.func.max(TURNS.c.ear_latency_ms)).where(TURNS.c.call_id == CALLS.c.call_id)
    return sa.select(CALLS, slowest.scalar_subquery().label("slowest_ms"))


async def _of_calls(connection: AsyncConnection, table: sa.Table, call_ids: list[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    order = {TURNS: TURNS.c.turn_index, TOOLS: TOOLS.c.turn_index, COSTS: COSTS.c.owner_epoch}[table]
    for some in _in_pieces(call_ids):
        query = sa.select(table).where(table.c.call_id.in_(some)).order_by(table.c.call_id, order)
        for row in (await connection.execute(query)).mappings():
            found.setdefault(row["call_id"], []).append(row)
    return found


async def _remove(connection: AsyncConnection, call_ids: list[str]) -> tuple[int, int]:
    """How many turns and tool calls went."""
    counts = {TURNS: 0, TOOLS: 0, COSTS: 0, CALLS: 0}
    for some in _in_pieces(call_ids):
        for table in counts:
            counts[table] += (await connection.execute(sa.delete(table).where(table.c.call_id.in_(some)))).rowcount
    return counts[TURNS], counts[TOOLS]


def _in_pieces(call_ids: list[str]) -> Iterable[list[str]]:
    for at in range(0, len(call_ids), _IDS_A_STATEMENT):
        yield call_ids[at : at + _IDS_A_STATEMENT]


def _is_erased(event: CallRecord, erasures: Sequence[Mapping[Any, Any]]) -> bool:
    """A call that was answered before the erasure of its number; what comes after is a new call."""
    key = plain_number(event.head.number)
    return any(
        event.head.answered_unix_us <= one["erased_unix_us"] and _hash(one["salt"], key) == one["number_hash"]
        for one in erasures
    )


def _hash(salt: str, key: str) -> str:
    return hashlib.sha256(f"{salt}/{key}".encode("utf-8", "surrogateescape")).hexdigest()


def _call(head: Mapping[Any, Any], costs: list[Any], turns: list[Any], tools: list[Any]) -> RecordedCall:
    names = set(RecordedCall.__dataclass_fields__) - {"quality", "cost", "turns", "tools"}
    return RecordedCall(
        **{name: head[name] for name in names},
        quality=json.loads(head["quality"]),
        cost=Cost(
            input_tokens=sum(one["input_tokens"] for one in costs),
            cached_tokens=sum(one["cached_tokens"] for one in costs),
            output_tokens=sum(one["output_tokens"] for one in costs),
            model_calls=sum(one["model_calls"] for one in costs),
            usd=sum(one["micro_usd"] for one in costs) / 1e6,
        ),
        turns=tuple(_turn(one) for one in turns),
        tools=tuple(RecordedTool(**{name: one[name] for name in RecordedTool.__dataclass_fields__}) for one in tools),
    )


def _turn(row: Mapping[Any, Any]) -> RecordedTurn:
    names = set(RecordedTurn.__dataclass_fields__) - {"index", "parts_ms"}
    return RecordedTurn(
        index=row["turn_index"], parts_ms=json.loads(row["parts_ms"]), **{name: row[name] for name in names}
    )
