"""Appointments and tickets in SQLite. A write and its ledger row are one transaction."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS appointment (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, phone TEXT NOT NULL, start TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS ticket (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, created TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS ledger (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, action TEXT NOT NULL, key TEXT NOT NULL,
  traceparent TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answered (
  key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS repeat (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, key TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS duplicate (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, appointment INTEGER NOT NULL, first_key TEXT NOT NULL,
  key TEXT NOT NULL, name TEXT NOT NULL, phone TEXT NOT NULL, start TEXT NOT NULL);
"""


class Store:
    """One connection behind a lock: a sample system, one process. `:memory:` keeps nothing."""

    def __init__(self, database: str) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        if database != ":memory:":
            self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def writing(self) -> Iterator["Writing"]:
        """All that happens inside is done, or none of it."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Writing(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        with self._lock:
            return [dict(row) for row in self._connection.execute(sql, values)]

    def taken(self, day: str) -> set[str]:
        """The starts that are booked on a day (YYYY-MM-DD), ISO 8601."""
        return {row["start"] for row in self.rows("SELECT start FROM appointment WHERE start LIKE ?", f"{day}%")}


class Writing:
    """Statements inside one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def answered(self, key: str) -> tuple[str, int, Any] | None:
        """The request, status and body that this Idempotency-Key was answered with before."""
        row = self._connection.execute("SELECT request, status, body FROM answered WHERE key = ?", (key,)).fetchone()
        return (row["request"], row["status"], json.loads(row["body"])) if row else None

    def remember(self, key: str, request: str, status: int, body: Any) -> None:
        values = (key, request, status, json.dumps(body))
        self._connection.execute("INSERT INTO answered VALUES (?, ?, ?, ?)", values)

    def appointment(self, identity: int) -> dict[str, Any] | None:
        row = self._connection.execute("SELECT * FROM appointment WHERE id = ?", (identity,)).fetchone()
        return dict(row) if row else None

    def holder(self, start: str) -> int | None:
        """The appointment that begins at `start`, if one does."""
        row = self._connection.execute("SELECT id FROM appointment WHERE start = ?", (start,)).fetchone()
        return int(row["id"]) if row else None

    def book(self, name: str, phone: str, start: str) -> dict[str, Any]:
        sql = "INSERT INTO appointment (name, phone, start) VALUES (?, ?, ?)"
        identity = self._connection.execute(sql, (name, phone, start)).lastrowid
        return {"id": identity, "name": name, "phone": phone, "start": start}

    def move(self, identity: int, start: str) -> None:
        self._connection.execute("UPDATE appointment SET start = ? WHERE id = ?", (start, identity))

    def cancel(self, identity: int) -> None:
        self._connection.execute("DELETE FROM appointment WHERE id = ?", (identity,))

    def file_ticket(self, body: dict[str, Any], now: datetime) -> int:
        sql = "INSERT INTO ticket (body, created) VALUES (?, ?)"
        identity = self._connection.execute(sql, (json.dumps(body), now.isoformat())).lastrowid
        assert identity is not None
        return identity

    def ticket(self, own_id: str) -> dict[str, Any] | None:
        """By the id that its sender gave it."""
        sql = "SELECT body FROM ticket WHERE json_extract(body, '$.id') = ?"
        row = self._connection.execute(sql, (own_id,)).fetchone()
        return dict(json.loads(row["body"])) if row else None

    def change_ticket(self, own_id: str, body: dict[str, Any]) -> None:
        sql = "UPDATE ticket SET body = ? WHERE json_extract(body, '$.id') = ?"
        self._connection.execute(sql, (json.dumps(body), own_id))

    def note(self, now: datetime, action: str, key: str, traceparent: str, detail: Any) -> None:
        """A row of the ledger: what was written, under which key and trace."""
        sql = "INSERT INTO ledger (at, action, key, traceparent, detail) VALUES (?, ?, ?, ?, ?)"
        self._connection.execute(sql, (now.isoformat(), action, key, traceparent, json.dumps(detail)))

    def note_repeat(self, now: datetime, key: str) -> None:
        """A key that was answered before came again."""
        self._connection.execute("INSERT INTO repeat (at, key) VALUES (?, ?)", (now.isoformat(), key))

    def note_duplicate(self, now: datetime, key: str, name: str, phone: str, start: str) -> None:
        """When the caller has this very appointment already, booked under another key or none."""
        sql = "SELECT id FROM appointment WHERE name = ? AND phone = ? AND start = ?"
        row = self._connection.execute(sql, (name, phone, start)).fetchone()
        if row is None:
            return
        sql = "SELECT key FROM ledger WHERE json_extract(detail, '$.id') = ? AND action = 'book'"
        booked = self._connection.execute(sql, (row["id"],)).fetchone()
        first = booked["key"] if booked else ""
        if key and key == first:
            return
        values = (now.isoformat(), row["id"], first, key, name, phone, start)
        sql = "INSERT INTO duplicate (at, appointment, first_key, key, name, phone, start) VALUES (?, ?, ?, ?, ?, ?, ?)"
        self._connection.execute(sql, values)
