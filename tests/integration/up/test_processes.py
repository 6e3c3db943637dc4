"""The supervisor with real processes: what it starts is ready, restarted, ended, and never outlives it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tandem.ports import free_port
from tandem.processes import Program, StartFailed, Supervisor, resident_mb
from tandem.readiness import grpc_serving

HERE = Path(__file__).resolve().parent
STANDIN = str(HERE / "standin.py")


def standin(name: str, how: str = "serve") -> Program:
    address = f"127.0.0.1:{free_port()}"
    return Program(name, (sys.executable, STANDIN, address, how), grpc_serving(address))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def gone(pid: int, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while alive(pid) and time.monotonic() < until:
        await asyncio.sleep(0.02)
    return not alive(pid)


async def test_starts_all_and_ends_all(tmp_path):
    supervisor = Supervisor(tmp_path, lambda _line: None)
    await supervisor.start([standin("asr"), standin("tts")])
    pids = [child.pid for child in supervisor.children.values()]
    assert all(alive(pid) for pid in pids)
    assert all(child.ready_s is not None for child in supervisor.children.values())
    assert set(supervisor.resident_mb()) == {"asr", "tts"}
    assert resident_mb(pids[0]) > 5

    before = time.monotonic()
    await supervisor.stop()
    assert time.monotonic() - before < 5
    assert not any(alive(pid) for pid in pids)


async def test_kills_what_does_not_end_within_five_seconds(tmp_path):
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    await supervisor.start([standin("asr", "stubborn")])
    pid = supervisor.children["asr"].pid
    before = time.monotonic()
    await supervisor.stop()
    assert time.monotonic() - before < 5
    assert not alive(pid)
    assert "asr did not end in 4 s and was killed" in said


async def test_a_refusal_is_told_with_its_line(tmp_path):
    supervisor = Supervisor(tmp_path, lambda _line: None)
    with pytest.raises(StartFailed) as failed:
        await supervisor.start([standin("tts"), standin("asr", "refuse")])
    await supervisor.stop()
    assert failed.value.mistake
    assert failed.value.lines[-1] == "asr: settings.yaml:3: asr.model: unknown key"
    assert not any(alive(child.pid) for child in supervisor.children.values())


async def test_a_crash_shows_the_last_lines(tmp_path):
    supervisor = Supervisor(tmp_path, lambda _line: None)
    with pytest.raises(StartFailed, match="asr ended at start, exit code 1") as failed:
        await supervisor.start([standin("asr", "crash")])
    assert failed.value.lines == ["line one", "line two"]
    assert not failed.value.mistake


async def test_a_program_that_never_serves_fails_the_start(tmp_path):
    supervisor = Supervisor(tmp_path, lambda _line: None)
    with pytest.raises(StartFailed, match="was not ready within 2 s"):
        await supervisor.start([standin("asr", "mute")], within_s=2)
    await supervisor.stop()


async def test_what_dies_is_started_again(tmp_path):
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    await supervisor.start([standin("asr")])
    watch = asyncio.create_task(supervisor.watch())
    first = supervisor.children["asr"].pid
    os.kill(first, signal.SIGKILL)
    until = time.monotonic() + 20
    while sum(line.startswith("asr ready") for line in said) < 2 and time.monotonic() < until:
        await asyncio.sleep(0.05)
    assert any(line.startswith("asr died (by SIGKILL); restart in 0.5 s") for line in said)
    second = supervisor.children["asr"]
    assert second.pid != first
    assert second.ready_s is not None
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    await supervisor.stop()
    assert not alive(second.pid)


_PARENT = """
import asyncio, sys
sys.path[:0] = [{repository!r}, {here!r}]
from pathlib import Path
from test_processes import standin
from tandem.processes import Supervisor

async def main():
    supervisor = Supervisor(Path({logs!r}), lambda line: None)
    await supervisor.start([standin("asr"), standin("tts")])
    print(*[child.pid for child in supervisor.children.values()], flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_nothing_outlives_a_supervisor_killed_with_minus_nine(tmp_path):
    source = _PARENT.format(repository=str(HERE.parents[2]), here=str(HERE), logs=str(tmp_path))
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", source, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pids = [int(pid) for pid in (await asyncio.wait_for(parent.stdout.readline(), 30)).split()]
    assert len(pids) == 2
    parent.kill()
    await parent.wait()
    for pid in pids:
        assert await gone(pid, within_s=5)
