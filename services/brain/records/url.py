"""Where records lie: `records_url`."""

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
_EXPECTED = "expected sqlite:///path/to/file.db or postgresql://user:password@host:5432/database"


def engine_url(text: str) -> URL:
    """The URL with the driver that we use. Raises ValueError, without the password in it."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(_EXPECTED) from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ValueError(f"{_EXPECTED}, not {url.drivername}:")
    if driver == "sqlite+aiosqlite":
        if not url.database or url.database == ":memory:" or url.host:
            raise ValueError(f"{_EXPECTED}: three slashes before a relative path, four before an absolute one")
    elif not url.database:
        raise ValueError(f"{_EXPECTED}: the database is missing")
    elif "sslmode" in url.query:
        # As libpq calls it, and everybody writes it; asyncpg takes it under another name.
        url = url.update_query_pairs([("ssl", str(url.query["sslmode"]))]).difference_update_query(["sslmode"])
    return url.set(drivername=driver)


def sqlite_file(url: URL) -> Path | None:
    """The file of a SQLite URL; None for PostgreSQL."""
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def shown(url: URL) -> str:
    """For people: without the driver and the password."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def sqlite_url(file: Path) -> str:
    return f"sqlite:///{file.absolute()}"
