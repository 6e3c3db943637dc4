"""Slots that several processes of one gateway share: exact at every moment, and none is lost with a process.

A small file, mapped into each process. Each process has a row with its id and counts nothing but its own calls in it,
by trunk; what is taken is the sum of all rows. To take a slot is to add up and to write one word, under a lock that the
system lets go of when its holder dies. So a process may be killed at any point: its row is right before and after
each step, and whoever sees it dead clears the row.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from services.gateway.admission import NoSlot, TrunkLimits
from services.gateway.rate_limit import TokenBucket

_HEAD = struct.Struct("<8s16sII")  # magic, what the limits were, rows, columns
_MAGIC = b"tdmslot1"
_BUCKET = struct.Struct("@dd")  # tokens, refilled at
_COUNT = 4
_PID = 8


def _row_size(columns: int) -> int:
    # Whole multiples of 8: each word lies in one piece, and is written in one piece ("@" below) or not at all.
    return _PID + _COUNT * (columns + columns % 2)


class SlotsUnusable(Exception):
    """The file was made for other limits, or every row is in use by a living process."""


def create_slots(path: Path, max_calls: int, limits: Mapping[str, TrunkLimits], processes: int) -> None:
    """Makes the file, with no slot taken; for the one who starts the processes, before they start.

    There are twice as many rows as processes: one that drains has its calls while the one after it takes new ones.
    """
    rows, columns = 2 * processes, 1 + len(limits)
    head = _HEAD.pack(_MAGIC, _fingerprint(max_calls, limits), rows, columns)
    buckets = b"".join(_BUCKET.pack(TokenBucket(one.max_calls_per_s or 0).burst, 0.0) for one in limits.values())
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(head + buckets + bytes(rows * _row_size(columns)))
    temporary.chmod(0o600)
    temporary.replace(path)


class SharedSlots:
    """One process's view; implements `admission.Slots`.

    `limits` must be those that the file was made with. Times are of CLOCK_MONOTONIC, which all processes of a machine
    share.
    """

    def __init__(self, path: Path, max_calls: int, limits: Mapping[str, TrunkLimits], pid: int | None = None) -> None:
        """With `pid` it takes a row for that process (its own); without, it only looks and clears.

        Raises SlotsUnusable and OSError.
        """
        self._max_calls = max_calls
        self._limits = list(limits.values())
        self._columns = {name: index + 1 for index, name in enumerate(limits)}
        self._width = 1 + len(limits)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(self._descriptor, 0)
            head = bytes(self._map[: _HEAD.size]).ljust(_HEAD.size, b"\0")
            magic, fingerprint, self._rows, _ = _HEAD.unpack(head)
            if (magic, fingerprint) != (_MAGIC, _fingerprint(max_calls, limits)):
                raise SlotsUnusable(f"{path} was made for other limits; it is made anew when the gateway starts")
            self._buckets_at = _HEAD.size
            self._rows_at = self._buckets_at + _BUCKET.size * len(self._limits)
            self._own = self._take_row(pid) if pid is not None else None
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def max_calls(self) -> int:
        return self._max_calls

    @property
    def taken(self) -> int:
        with self._locked():
            return self._sum(None)

    def taken_by(self, trunk: str) -> int:
        """Of all processes; 0 for a trunk that has no limits here."""
        column = self._columns.get(trunk)
        with self._locked():
            return self._sum(column) if column is not None else 0

    def take(self, trunk: str, now: float) -> NoSlot | None:
        """As `Slots.take`."""
        column = self._columns.get(trunk, 0)
        with self._locked():
            if self._full(None, self._max_calls):
                return NoSlot.GATEWAY_FULL
            if column:
                limit = self._limits[column - 1]
                if limit.max_calls is not None and self._full(column, limit.max_calls):
                    return NoSlot.TRUNK_FULL
                if limit.max_calls_per_s is not None and not self._take_token(column - 1, limit.max_calls_per_s, now):
                    return NoSlot.TRUNK_RATE
            self._add(column, 1)
        return None

    def give(self, trunk: str) -> None:
        """As `Slots.give`."""
        with self._locked():
            self._add(self._columns.get(trunk, 0), -1)

    def clear(self, pid: int) -> int:
        """Frees the slots and the row of a process that has ended; how many slots they were."""
        with self._locked():
            return sum(self._clear_row(row) for row in range(self._rows) if self._pid(row) == pid)

    def close(self) -> None:
        self._map.close()
        os.close(self._descriptor)

    # Under the lock

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Of the open file, not of the process: closing another descriptor of the file does not let go of it.
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _take_row(self, pid: int) -> int:
        with self._locked():
            rows = range(self._rows)
            for row in rows:
                if self._pid(row) == pid:  # of one long dead, whose id came round again
                    self._clear_row(row)
            free = next((row for row in rows if not self._pid(row)), None)
            if free is None:
                free = next((row for row in rows if not _alive(self._pid(row))), None)
            if free is None:
                raise SlotsUnusable(f"all {self._rows} rows are those of living processes")
            self._clear_row(free)
            struct.pack_into("@q", self._map, self._row_at(free), pid)
            return free

    def _row_at(self, row: int) -> int:
        return self._rows_at + row * _row_size(self._width)

    def _pid(self, row: int) -> int:
        pid: int = struct.unpack_from("@q", self._map, self._row_at(row))[0]
        return pid

    def _counts(self, row: int) -> tuple[int, ...]:
        return struct.unpack_from(f"@{self._width}I", self._map, self._row_at(row) + _PID)

    def _sum(self, column: int | None) -> int:
        counts = (self._counts(row) for row in range(self._rows) if self._pid(row))
        return sum(sum(one) if column is None else one[column] for one in counts)

    def _full(self, column: int | None, most: int) -> bool:
        return self._sum(column) >= most and not (self._clear_dead() and self._sum(column) < most)

    def _add(self, column: int, change: int) -> None:
        if self._own is None:
            raise RuntimeError("this process has no row of its own")
        at = self._row_at(self._own) + _PID + _COUNT * column
        (count,) = struct.unpack_from("@I", self._map, at)
        if count + change >= 0:
            struct.pack_into("@I", self._map, at, count + change)

    def _clear_row(self, row: int) -> int:
        held = sum(self._counts(row)) if self._pid(row) else 0
        at = self._row_at(row)
        # The id first: a row of nobody counts for nothing, whatever else stands in it.
        struct.pack_into("@q", self._map, at, 0)
        self._map[at + _PID : at + _PID + _COUNT * self._width] = bytes(_COUNT * self._width)
        return held

    def _clear_dead(self) -> int:
        """Slots that came free: of processes that have ended, and that nobody cleared yet."""
        pids = {self._pid(row): row for row in range(self._rows)}
        return sum(self._clear_row(row) for pid, row in pids.items() if pid and not _alive(pid))

    def _take_token(self, index: int, rate: float, now: float) -> bool:
        at = self._buckets_at + _BUCKET.size * index
        bucket = TokenBucket(rate)
        bucket.tokens, bucket.refilled_at = _BUCKET.unpack_from(self._map, at)
        taken = bucket.take(now)
        _BUCKET.pack_into(self._map, at, bucket.tokens, bucket.refilled_at)
        return taken


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _fingerprint(max_calls: int, limits: Mapping[str, TrunkLimits]) -> bytes:
    told = repr((max_calls, [(name, one.max_calls, one.max_calls_per_s) for name, one in limits.items()]))
    return hashlib.blake2s(told.encode(), digest_size=16).digest()
