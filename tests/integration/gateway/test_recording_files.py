"""Recordings on real disks: a killed gateway, a full disk, and `tandem recordings` on what is there."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from services.gateway.recording.layout import read_header
from services.gateway.recording.recorder import Ended, Recorder
from tandem.cli import app
from tests.unit.gateway.recording.shop import CALL, KEY, OTHER_KEY, STARTED_US, Shop, about, record, settings, tick


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A settings file; its recordings lie in `rec` beside it."""
    return with_settings(tmp_path, f"keys: [{{id: k1, key: {KEY}}}]")


def with_settings(folder: Path, lines: str) -> Path:
    path = folder / "tandem.yaml"
    path.write_text(f"gateway:\n  recording:\n    folder: rec\n    {lines}\n")
    return path


def run(settings: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["recordings", *arguments, "--settings", str(settings)])


def exported(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as wav:
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)


def ticks(count: int, sign: int = 1) -> np.ndarray:
    return np.frombuffer(b"".join(tick(at, sign) for at in range(count)), "<i2")


def record_starts(data: bytes) -> list[int]:
    """Where each record begins in a file."""
    import io

    file = io.BytesIO(data)
    _, header = read_header(file)
    starts, at = [], len(header)
    while at < len(data):
        starts.append(at)
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    return starts


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.unit.gateway.recording.shop import Shop, tick

written = 0

def write(descriptor, data):
    global written
    written += len(data)
    if written > 100_000:
        os.write(descriptor, data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return os.write(descriptor, data)

shop = Shop(Path(sys.argv[1]), {"write": write})
one = shop.begin()
shop.recorder.start()
for at in range(500):
    one.tick(tick(at), tick(at, -1))
shop.recorder.close(20)
"""


def test_a_gateway_killed_in_the_middle_of_a_write_leaves_what_came_before(shelf: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "rec")]
    killed = subprocess.run(command, cwd=Path(__file__).parents[3], timeout=60, check=False)
    assert killed.returncode == -9

    result = run(shelf, "verify")
    assert result.exit_code == 1
    assert "unfinished, 0:00:03 can be saved: its end is missing: the gateway died" in result.output
    assert "0 whole, 0 being written, 1 with a problem" in result.output
    assert "unfinished" in run(shelf, "list").output

    out = tmp_path / "out.wav"
    result = run(shelf, "export", CALL, str(out))
    assert result.exit_code == 1
    assert "0:00:03 could be saved; then: its end is missing" in result.output
    sound = exported(out)
    assert len(sound) == 3 * 8000
    assert (sound[:, 0] == ticks(150)).all()
    assert (sound[:, 1] == ticks(150, -1)).all()


async def test_many_calls_on_a_loop_are_all_written_and_told_there(shelf: Path, tmp_path: Path) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    told: dict[str, tuple[str, int]] = {}

    def on_end(end: Ended) -> None:
        told[end.call_id] = (end.reason, threading.get_ident())
        if len(told) == 40:
            done.set()

    recorder = Recorder(settings(tmp_path / "rec"), loop.call_soon_threadsafe)
    recorder.start()
    calls = [recorder.begin(about(f"c{number}"), on_end) for number in range(40)]
    for at in range(200):
        for number, call in enumerate(calls):
            call.tick(tick(at + number), None)
        await asyncio.sleep(0)
    for call in calls:
        call.end()
    async with asyncio.timeout(20):
        await done.wait()
    assert await asyncio.to_thread(recorder.close)
    assert set(told.values()) == {("call_ended", threading.get_ident())}
    for number in (0, 17, 39):
        out = tmp_path / f"{number}.wav"
        assert (await asyncio.to_thread(run, shelf, "export", f"c{number}", str(out))).exit_code == 0
        assert (exported(out)[:, 0] == ticks(240)[number * 160 :][: 200 * 160]).all()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "rec"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_the_recording_and_the_file_is_good_up_to_there(shelf: Path, small_disk: Path) -> None:
    shop = Shop(small_disk)
    one = shop.begin()
    for at in range(1000):
        one.tick(tick(at), tick(at, -1))
    one.end()
    shop.run()
    assert [(end.reason, end.complete) for end in shop.ends] == [("disk_full", False)]
    out = shelf.with_name("out.wav")
    result = run(shelf, "export", CALL, str(out))
    # Whether there was room for the end depends on the disk's blocks.
    assert result.exit_code == 0 or "its end is missing" in result.output
    sound = exported(out)
    assert 5 * 8000 <= len(sound) <= 8 * 8000
    assert (sound[:, 0] == ticks(len(sound) // 160)).all()


def test_list_export_verify_of_whole_ones(shelf: Path, tmp_path: Path) -> None:
    assert f"no recordings in {tmp_path / 'rec'}" in run(shelf, "list").output
    record(tmp_path / "rec", call_id="first", trunk="carrier")
    record(tmp_path / "rec", call_id="second", started_unix_us=STARTED_US + 10**6)
    result = run(shelf, "list")
    assert result.exit_code == 0
    assert ["first" in line and "carrier" in line and "0:00:02" in line for line in result.output.splitlines()].count(
        True
    ) == 1
    listed = json.loads(run(shelf, "list", "--json").output)["recordings"]
    assert [(one["call_id"], one["state"], one["end"]["length_us"]) for one in listed] == [
        ("first", "complete", 2_400_000),
        ("second", "complete", 2_400_000),
    ]
    result = run(shelf, "export", "first", str(tmp_path / "out.wav"))
    assert (result.exit_code, "0:00:02 of the call first" in result.output) == (0, True)
    assert (exported(tmp_path / "out.wav")[:, 0] == ticks(120)).all()
    assert (tmp_path / "out.wav").stat().st_mode & 0o777 == 0o600
    result = run(shelf, "verify")
    assert (result.exit_code, result.output) == (0, "2 whole, 0 being written, 0 with a problem\n")
    verified = json.loads(run(shelf, "verify", "--json").output)["recordings"]
    assert [one["problem"] for one in verified] == [None, None]


def test_a_call_that_goes_on_is_no_problem_and_is_not_erased(shelf: Path, tmp_path: Path) -> None:
    shop = Shop(tmp_path / "rec")
    one = shop.begin(caller="+4930")
    recorded = threading.Event()
    for at in range(50):
        one.tick(tick(at), None)
    shop.recorder.hand(one, lambda tape: recorded.set())
    shop.recorder.start()
    assert recorded.wait(20)
    try:
        assert "being written" in run(shelf, "list").output
        result = run(shelf, "verify")
        assert (result.exit_code, result.output) == (0, "0 whole, 1 being written, 0 with a problem\n")
        result = run(shelf, "export", CALL, str(tmp_path / "out.wav"))
        assert (result.exit_code, "so far" in result.output) == (0, True)
        assert len(exported(tmp_path / "out.wav")) == 8000
        for arguments in ([CALL], ["--caller", "+4930"]):
            result = run(shelf, "erase", *arguments)
            assert (result.exit_code, "the call goes on" in result.output) == (1, True)
    finally:
        one.end()
        shop.close()
    assert run(shelf, "erase", CALL).exit_code == 0
    assert not list((tmp_path / "rec").glob("*"))


Harm = Callable[[bytearray, list[int]], bytes]


def flipped(data: bytearray, starts: list[int]) -> bytes:
    data[starts[2] + 1000] ^= 4
    return bytes(data)


def swapped(data: bytearray, starts: list[int]) -> bytes:
    one, other, after = starts[1:4]
    return bytes(data[:one] + data[other:after] + data[one:other] + data[after:])


def truncated(data: bytearray, starts: list[int]) -> bytes:
    return bytes(data[: starts[3] + 7])


def cut_at_a_record(data: bytearray, starts: list[int]) -> bytes:
    return bytes(data[: starts[3]])


@pytest.mark.parametrize(
    ("harm", "saved", "said"),
    [
        (flipped, 1, "record 2 was changed"),
        (swapped, 0, "record 1 was changed, moved"),
        (truncated, 2, "its end is missing"),
        (cut_at_a_record, 2, "its end is missing"),
    ],
)
def test_harm_is_told_and_the_rest_is_saved(shelf: Path, tmp_path: Path, harm: Harm, saved: int, said: str) -> None:
    path = record(tmp_path / "rec", 250)
    data = path.read_bytes()
    path.write_bytes(harm(bytearray(data), record_starts(data)))
    result = run(shelf, "verify")
    assert result.exit_code == 1
    assert said in result.output
    out = tmp_path / "out.wav"
    result = run(shelf, "export", CALL, str(out))
    assert result.exit_code == 1
    assert f"0:00:0{saved} could be saved; then: {said}" in result.output
    sound = exported(out)
    assert len(sound) == saved * 8000
    assert (sound[:, 0] == ticks(saved * 50)).all()


def test_wrong_missing_and_older_keys(shelf: Path, tmp_path: Path) -> None:
    record(tmp_path / "rec")
    out = str(tmp_path / "out.wav")
    wrong = with_settings(tmp_path, f"keys: [{{id: k1, key: {OTHER_KEY}}}]")
    result = run(wrong, "export", CALL, out)
    assert (result.exit_code, "the key k1 of the settings does not open it" in result.output) == (1, True)
    assert not Path(out).exists()
    assert "cannot be opened: the key k1" in run(wrong, "list").output
    missing = with_settings(tmp_path, f"keys: [{{id: k2, key: {OTHER_KEY}}}]")
    result = run(missing, "export", CALL, out)
    assert (result.exit_code, "the key k1, which is not among the settings' keys" in result.output) == (1, True)
    assert run(missing, "verify").exit_code == 1
    both = with_settings(tmp_path, f"keys: [{{id: k2, key: {OTHER_KEY}}}, {{id: k1, key: {KEY}}}]")
    assert run(both, "export", CALL, out).exit_code == 0


def test_erase_by_call_and_by_caller(shelf: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    for number, (call_id, caller) in enumerate(
        [("a", "+493012345"), ("b", "+49 30 999"), ("c", "+49 (30) 123-45"), ("d", "")]
    ):
        record(folder, call_id=call_id, caller=caller, started_unix_us=STARTED_US + number)
    result = run(shelf, "erase", "--caller", "+49 30 12345")
    assert (result.exit_code, result.output.count("erased ")) == (0, 2)
    assert sorted(path.stem.split("-")[-1] for path in folder.glob("*/*.tdr")) == ["b", "d"]
    assert "no recordings of that number" in run(shelf, "erase", "--caller", "+49 30 12345").output
    assert run(shelf, "erase", "b").exit_code == 0
    result = run(shelf, "erase", "b")
    assert (result.exit_code, "no recording of the call b" in result.output) == (2, True)
    for arguments in ([], ["d", "--caller", "+1"]):
        assert run(shelf, "erase", *arguments).exit_code == 2


def test_erase_by_caller_tells_of_those_it_cannot_know(shelf: Path, tmp_path: Path) -> None:
    record(tmp_path / "rec", caller="+4930")
    other = with_settings(tmp_path, f"keys: [{{id: k2, key: {OTHER_KEY}}}]")
    result = run(other, "erase", "--caller", "+4930")
    assert (result.exit_code, "nobody can tell whose call it is" in result.output) == (1, True)
    assert len(list((tmp_path / "rec").glob("*/*.tdr"))) == 1


def test_without_encryption(tmp_path: Path) -> None:
    record(tmp_path / "rec", caller="+4930", encryption="off", keys=[])
    off = with_settings(tmp_path, "encryption: off")
    assert run(off, "verify").exit_code == 0
    on = with_settings(tmp_path, f"keys: [{{id: k1, key: {KEY}}}]")
    result = run(on, "verify")
    assert (result.exit_code, "it is not encrypted" in result.output) == (1, True)
    assert run(off, "export", CALL, str(tmp_path / "out.wav")).exit_code == 0
    assert run(off, "erase", "--caller", "+49-30").output.startswith("erased ")


def test_a_renamed_recording_is_told(shelf: Path, tmp_path: Path) -> None:
    path = record(tmp_path / "rec")
    path.rename(path.with_name(path.name.replace(CALL, "another")))
    assert f"it is of the call {CALL}: the file was renamed" in run(shelf, "verify").output


def test_mistakes_of_who_types(shelf: Path, tmp_path: Path) -> None:
    result = run(shelf, "export", "none", str(tmp_path / "out.wav"))
    assert (result.exit_code, "no recording of the call none" in result.output) == (2, True)
    record(tmp_path / "rec")
    (tmp_path / "out.wav").write_text("")
    result = run(shelf, "export", CALL, str(tmp_path / "out.wav"))
    assert (result.exit_code, "is there already" in result.output) == (2, True)
    result = run(shelf, "export", CALL, str(tmp_path / "nowhere" / "out.wav"))
    assert (result.exit_code, "No such file" in result.output) == (1, True)
    record(tmp_path / "rec", started_unix_us=STARTED_US + 1)
    result = run(shelf, "export", CALL, str(tmp_path / "new.wav"))
    assert (result.exit_code, "has 2 recordings; name one of them by its path" in result.output) == (2, True)
    path = next((tmp_path / "rec").glob("*/*.tdr"))
    assert run(shelf, "export", str(path), str(tmp_path / "new.wav")).exit_code == 0
    path.write_bytes(b"")
    result = run(shelf, "export", str(path), str(tmp_path / "newer.wav"))
    assert (result.exit_code, "the file is empty" in result.output) == (1, True)
    empty = tmp_path / "empty.yaml"
    empty.write_text("gateway: {}\n")
    result = run(empty, "list")
    assert (result.exit_code, "gateway.recording: missing" in result.output) == (2, True)
    result = run(tmp_path / "none.yaml", "list")
    assert (result.exit_code, "cannot be read" in result.output) == (2, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_is_not_ours(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir(mode=0)
    assert run(shelf, "list").exit_code == 1
