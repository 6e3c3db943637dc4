"""Plain SQL migrations, applied in order, each once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

FOLDER = Path(__file__).parent / "migrations"
# Any number, the same in each brain: whoever has it is alone with the schema.
_SCHEMA_LOCK = 0x7A4DE301

_VERSIONS = "CREATE TABLE IF NOT EXISTS records_schema (version BIGINT PRIMARY KEY, name TEXT NOT NULL)"


class SchemaNewer(Exception):
    """The database was made by a newer Tandem; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A file `0001_name.sql`."""

    version: int
    name: str
    sql: str

    def statements(self) -> list[str]:
        """One by one, as drivers want them. One ends with a semicolon at the end of a line, and nowhere else."""
        bare = re.sub(r"^--.*\n", "", self.sql, flags=re.MULTILINE)
        return [one.strip() for one in re.split(r";[ \t]*(?:\n|$)", bare) if one.strip()]


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """In order. Raises ValueError for a number that is missing, given twice, or no number."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        number, _, name = path.stem.partition("_")
        if not number.isdecimal():
            raise ValueError(f"{path.name}: expected a name such as 0001_calls.sql")
        found.append(Migration(int(number), name, path.read_text(encoding="utf-8")))
    if [one.version for one in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"{folder}: expected the numbers from 1 on, each once")
    return found


def missing(known: list[Migration], applied: Iterable[int]) -> list[Migration]:
    """Those that are not applied yet. Raises SchemaNewer."""
    done = set(applied)
    newest = known[-1].version if known else 0
    if done and max(done) > newest:
        raise SchemaNewer(
            f"the records' schema is at version {max(done)} and this Tandem knows {newest}: "
            "use the newer Tandem, or another database"
        )
    return [one for one in known if one.version not in done]


async def migrate(connection: AsyncConnection, known: list[Migration]) -> list[Migration]:
    """Within the connection's transaction: all or nothing. Returns what was applied. Raises SchemaNewer.

    In SQLite the transaction must be one that writes from its beginning on: it is the lock.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"))
    await connection.execute(text(_VERSIONS))
    applied = (await connection.execute(text("SELECT version FROM records_schema"))).scalars().all()
    todo = missing(known, applied)
    for migration in todo:
        for statement in migration.statements():
            await connection.exec_driver_sql(statement)
        await connection.execute(
            text("INSERT INTO records_schema (version, name) VALUES (:version, :name)"),
            {"version": migration.version, "name": migration.name},
        )
    return todo
