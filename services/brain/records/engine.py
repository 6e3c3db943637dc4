"""A connection pool to SQLite or PostgreSQL."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.brain.records.url import sqlite_file

# How long somebody else may write before we call SQLite locked, or PostgreSQL take to answer.
PATIENCE_S = 5.0
_WRITES = "tandem_writes"


def make_engine(url: URL) -> AsyncEngine:
    """`url` as `engine_url` gives it. Connects to nothing yet."""
    file = sqlite_file(url)
    if file is None:
        arguments = {"timeout": PATIENCE_S, "command_timeout": 30.0}
        return create_async_engine(url, pool_size=2, max_overflow=2, pool_pre_ping=True, connect_args=arguments)
    engine = create_async_engine(url, connect_args={"timeout": PATIENCE_S})
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def writing(engine: AsyncEngine) -> AsyncEngine:
    """The engine for transactions that write: in SQLite they take its one lock at once, for one that began by reading
    cannot always get it later."""
    return engine.execution_options(**{_WRITES: True})


async def ping(connection: AsyncConnection) -> None:
    await connection.exec_driver_sql("SELECT 1")


def _prepare(connection: Any, _record: Any) -> None:
    # Python's sqlite3 begins transactions by a rule of its own, and none before CREATE TABLE: we say BEGIN ourselves.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    # Safe against a killed process; a power cut may take back the last second, and the events are acknowledged.
    cursor.execute("PRAGMA synchronous = FULL")
    # What is erased is overwritten, and does not stay in a free page.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
