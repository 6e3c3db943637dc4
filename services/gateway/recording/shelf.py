"""The folder of recordings: names, finding, erasing, and what goes when it is old or the shelf is full.

    FOLDER/2026-11-23/20261123T081318.123456Z-CALLID.tdr

Names hold the start (UTC) and the call's id, never a number. Files of other names are nobody's business here: they are
neither counted nor erased.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

SUFFIX = ".tdr"
FOLDER_MODE, FILE_MODE = 0o700, 0o600
CALLER_KEY = "caller.key"
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_NAME = re.compile(rf"(\d{{8}}T\d{{6}}\.\d{{6}})Z-({_CALL_ID.pattern}){re.escape(SUFFIX)}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Kept:
    """A recording on the shelf."""

    path: Path
    call_id: str
    started: datetime


def path_of(folder: Path, call_id: str, started_unix_us: int) -> Path:
    """Where a recording is kept. Raises ValueError when the call id could lead elsewhere, or the time is absurd."""
    if not _CALL_ID.fullmatch(call_id):
        raise ValueError(f"{call_id!r} is no call id for a file name: expected letters, digits, - and _, 64 at most")
    try:
        started = _EPOCH + timedelta(microseconds=started_unix_us)
    except OverflowError:
        raise ValueError(f"{started_unix_us} is no time") from None
    return folder / f"{started:%Y-%m-%d}" / f"{started:%Y%m%dT%H%M%S.%fZ}-{call_id}{SUFFIX}"


def kept_at(path: Path) -> Kept | None:
    """What a path's name says; None when it is no recording's."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        started = datetime.strptime(match[1], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    except ValueError:
        return None
    return Kept(path, match[2], started)


def days(folder: Path) -> list[Path]:
    """The folders of days, oldest first; none where there is no folder yet. Raises OSError."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                one.name for one in entries if _DAY.fullmatch(one.name) and one.is_dir(follow_symlinks=False)
            )
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names)]


def of_day(day: Path) -> list[Kept]:
    """A day's recordings, oldest first. Raises OSError."""
    try:
        with os.scandir(day) as entries:
            found = [kept_at(day / one.name) for one in entries if one.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return sorted((one for one in found if one is not None), key=lambda one: (one.started, one.call_id))


def all_kept(folder: Path) -> Iterator[Kept]:
    """Oldest first. Raises OSError."""
    for day in days(folder):
        yield from of_day(day)


def claim(descriptor: int) -> None:
    """Marks an open file as one that is being written, until it is closed or its process dies."""
    # Some network file systems have no locks; what they hold then looks finished.
    with suppress(OSError):
        # Waits for nobody but a `being_written` of this very moment.
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def being_written(path: Path) -> bool:
    """Whether a live process records into it. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def erase(path: Path) -> bool:
    """Unlinks a recording, and its day when that is empty. False when it is being written or gone. Raises OSError."""
    try:
        if being_written(path):
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    # Not empty is the usual case.
    with suppress(OSError):
        path.parent.rmdir()
    return True


@dataclass(slots=True)
class Swept:
    """What a sweep erased."""

    too_old: int = 0
    too_much: int = 0
    failed: int = 0


_STEP = 64


def sweep(folder: Path, now: datetime, keep: timedelta | None, max_bytes: int | None, swept: Swept) -> Iterator[None]:
    """Erases what is older than `keep`, then the oldest until at most `max_bytes` are left.

    Yields after every few files: who runs it has recordings to write meanwhile. What is being written stays. A file
    that can't be erased is counted and left. Raises OSError when the folder can't be read.
    """
    if keep is not None:
        limit = now - keep
        for day in days(folder):
            if day.name > f"{limit:%Y-%m-%d}":
                break
            yield
            for at, one in enumerate(of_day(day)):
                if one.started < limit:
                    swept.too_old += _erased(one, swept)
                if at % _STEP == _STEP - 1:
                    yield
    if max_bytes is None:
        return
    total = 0
    for day in days(folder):
        yield
        for at, one in enumerate(of_day(day)):
            total += _size(one.path)
            if at % _STEP == _STEP - 1:
                yield
    for day in days(folder):
        if total <= max_bytes:
            return
        yield
        for at, one in enumerate(of_day(day)):
            if total <= max_bytes:
                return
            size = _size(one.path)
            if _erased(one, swept):
                swept.too_much += 1
                total -= size
            if at % _STEP == _STEP - 1:
                yield


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _erased(one: Kept, swept: Swept) -> bool:
    try:
        return erase(one.path)
    except OSError:
        swept.failed += 1
        return False


def make_caller_key(folder: Path) -> bytes:
    """The key of callers' hashes where recordings are not encrypted: 32 random bytes in the folder, made once.

    Raises OSError.
    """
    path = folder / CALLER_KEY
    found = caller_key(folder)
    if found is not None:
        return found
    secret = os.urandom(32)
    # Linked when it is whole: of two processes that make one, the first one's counts.
    made = path.with_name(f".{CALLER_KEY}.{os.getpid()}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(descriptor, secret)
    finally:
        os.close(descriptor)
    try:
        with suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink()
    return caller_key(folder) or secret


def caller_key(folder: Path) -> bytes | None:
    """None where none was made, or it is damaged. Raises OSError."""
    try:
        secret = (folder / CALLER_KEY).read_bytes()
    except FileNotFoundError:
        return None
    return secret if len(secret) == 32 else None
