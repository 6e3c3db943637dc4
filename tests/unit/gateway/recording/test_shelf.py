"""What is on the shelf, and what goes from it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.gateway.recording import shelf
from services.gateway.recording.shelf import Swept, all_kept, erase, kept_at, path_of, sweep
from tests.unit.gateway.recording.shop import STARTED, STARTED_US, Shop, record

DAY = timedelta(days=1)


def put(folder: Path, call_id: str, started: datetime, size: int = 1000) -> Path:
    path = path_of(folder, call_id, round(started.timestamp() * 1_000_000))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def swept(folder: Path, keep: timedelta | None = None, max_bytes: int | None = None) -> tuple[int, int, int]:
    result = Swept()
    for _ in sweep(folder, STARTED, keep, max_bytes, result):
        pass
    return result.too_old, result.too_much, result.failed


def names(folder: Path) -> list[str]:
    return [one.call_id for one in all_kept(folder)]


def test_names() -> None:
    path = path_of(Path("rec"), "c-1", STARTED_US)
    assert path == Path("rec/2026-11-23/20261123T081318.123456Z-c-1.tdr")
    kept = kept_at(path)
    assert kept is not None
    assert (kept.call_id, kept.started) == ("c-1", STARTED)


@pytest.mark.parametrize("started", [10**18, -(10**18)])
def test_absurd_times_are_refused(started: int) -> None:
    with pytest.raises(ValueError, match="no time"):
        path_of(Path("rec"), "c", started)


@pytest.mark.parametrize(
    "name", ["notes.txt", "20261123T081318.123456Z-c.tdr.bak", "20269923T081318.123456Z-c.tdr", "x-c.tdr", ".tdr"]
)
def test_what_is_no_recording(name: str) -> None:
    assert kept_at(Path(name)) is None


def test_old_ones_go_counted_from_the_calls_start(tmp_path: Path) -> None:
    put(tmp_path, "old", STARTED - 40 * DAY)
    put(tmp_path, "just-over", STARTED - 30 * DAY - timedelta(seconds=1))
    put(tmp_path, "just-under", STARTED - 30 * DAY + timedelta(seconds=1))
    put(tmp_path, "new", STARTED)
    assert swept(tmp_path, keep=30 * DAY) == (2, 0, 0)
    assert names(tmp_path) == ["just-under", "new"]
    assert not (tmp_path / f"{STARTED - 40 * DAY:%Y-%m-%d}").exists()


def test_the_oldest_go_when_there_is_too_much(tmp_path: Path) -> None:
    for number in range(10):
        put(tmp_path, f"c{number}", STARTED - number * timedelta(hours=10))
    assert swept(tmp_path, max_bytes=4_500) == (0, 6, 0)
    assert names(tmp_path) == ["c3", "c2", "c1", "c0"]
    assert swept(tmp_path, max_bytes=4_500) == (0, 0, 0)


def test_without_limits_nothing_goes(tmp_path: Path) -> None:
    put(tmp_path, "old", datetime(1999, 1, 1, tzinfo=UTC))
    assert swept(tmp_path) == (0, 0, 0)
    assert names(tmp_path) == ["old"]


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    day = put(tmp_path, "old", STARTED - 40 * DAY).parent
    (day / "notes.txt").write_text("mine")
    (tmp_path / "2001-01-01").write_text("a file")
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "2001-01-02").symlink_to(outside)
    put(outside, "x", STARTED - 90 * DAY)
    linked = day / "20200101T000000.000000Z-link.tdr"
    linked.symlink_to(day / "notes.txt")
    assert swept(tmp_path, keep=DAY, max_bytes=1) == (1, 0, 0)
    assert (day / "notes.txt").exists()
    assert linked.is_symlink()
    assert (outside / f"{STARTED - 90 * DAY:%Y-%m-%d}").exists()


def test_what_is_being_written_stays(tmp_path: Path) -> None:
    path = put(tmp_path, "live", STARTED - 40 * DAY)
    descriptor = os.open(path, os.O_WRONLY)
    shelf.claim(descriptor)
    assert shelf.being_written(path)
    assert not erase(path)
    assert swept(tmp_path, keep=DAY, max_bytes=1) == (0, 0, 0)
    os.close(descriptor)
    assert not shelf.being_written(path)
    assert swept(tmp_path, keep=DAY) == (1, 0, 0)


def test_a_folder_that_is_not_there_is_an_empty_shelf(tmp_path: Path) -> None:
    assert swept(tmp_path / "none", keep=DAY, max_bytes=1) == (0, 0, 0)


def test_a_sweep_rests_between_files(tmp_path: Path) -> None:
    for number in range(300):
        put(tmp_path, f"c{number}", STARTED - 40 * DAY)
    assert sum(1 for _ in sweep(tmp_path, STARTED, DAY, None, Swept())) >= 4
    assert names(tmp_path) == []


def test_the_recorder_sweeps_when_it_starts(tmp_path: Path) -> None:
    put(tmp_path, "old", STARTED - 40 * DAY)
    shop = Shop(tmp_path)
    shop.recorder.start()
    # The sweep goes on while calls are written; a call's worth of work is more than its few steps.
    one = shop.begin()
    for _ in range(500):
        one.tick(None, None)
    one.end()
    shop.close()
    assert shop.recorder.counts.swept.too_old == 1
    assert names(tmp_path) == [one.about.call_id]


def test_the_size_that_is_kept_is_the_settings(tmp_path: Path) -> None:
    record(tmp_path, call_id="first")
    record(tmp_path, call_id="second", started_unix_us=STARTED_US + 1)
    shop = Shop(tmp_path, max_gb=0.0001)
    shop.recorder.start()
    for number in range(20):
        shop.begin(f"more{number}").end()
    shop.close()
    assert shop.recorder.counts.swept.too_much >= 1
    assert "first" not in names(tmp_path)


def test_the_callers_key_is_made_once(tmp_path: Path) -> None:
    assert shelf.caller_key(tmp_path) is None
    made = shelf.make_caller_key(tmp_path)
    assert (len(made), shelf.make_caller_key(tmp_path), shelf.caller_key(tmp_path)) == (32, made, made)
    assert (tmp_path / shelf.CALLER_KEY).stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [shelf.CALLER_KEY]
