"""Slots under races: processes that take and give as fast as they can, some of them killed at any point."""

import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from services.gateway.admission import TrunkLimits
from services.gateway.shared_slots import SharedSlots, create_slots

MAX_CALLS, TRUNK_CALLS = 7, 3
LIMITS = {"three": TrunkLimits(TRUNK_CALLS), "free": TrunkLimits()}
# What it holds, it has written down between the take and the give: at no moment may more be written down than allowed.
WORKER = """
import os, random, sys, time
from pathlib import Path
from services.gateway.admission import TrunkLimits
from services.gateway.shared_slots import SharedSlots

path, log, rounds, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
slots = SharedSlots(path, 7, {"three": TrunkLimits(3), "free": TrunkLimits()}, os.getpid())
out = os.open(log, os.O_WRONLY | os.O_APPEND)
chance, held = random.Random(seed), []

def note(sign, trunk):
    os.write(out, f"{time.monotonic_ns()} {os.getpid()} {sign} {trunk}\\n".encode())

for _ in range(rounds):
    if chance.random() < 0.6:
        trunk = chance.choice(["three", "free"])
        if slots.take(trunk, 0.0) is None:
            held.append(trunk)
            note("+", trunk)
    elif held:
        trunk = held.pop()
        note("-", trunk)
        slots.give(trunk)
while held:
    trunk = held.pop()
    note("-", trunk)
    slots.give(trunk)
"""


def start(path: Path, log: Path, rounds: int, seed: int) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", WORKER, str(path), str(log), str(rounds), str(seed)]
    return subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])})


def most_held(log: Path, cleared: dict[int, int]) -> tuple[int, int]:
    """The most that was written down at once, in all and on the trunk of three. `cleared`: when, by process id."""
    events: list[tuple[int, int, str]] = []
    held: dict[int, list[str]] = defaultdict(list)
    for line in log.read_text().splitlines():
        at, pid, sign, trunk = line.split()
        if sign == "+":
            held[int(pid)].append(trunk)
        else:
            held[int(pid)].remove(trunk)
        events.append((int(at), 1 if sign == "+" else -1, trunk))
    for pid, trunks in held.items():
        events += [(cleared[pid], -1, trunk) for trunk in trunks]
    now = {"three": 0, "free": 0}
    most, most_three = 0, 0
    for _, change, trunk in sorted(events):
        now[trunk] += change
        most, most_three = max(most, sum(now.values())), max(most_three, now["three"])
    return most, most_three


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    path, log = tmp_path / "slots", tmp_path / "log"
    create_slots(path, MAX_CALLS, LIMITS, processes=4)
    log.touch()
    return path, log


def test_never_more_than_there_are(files: tuple[Path, Path]) -> None:
    workers = [start(*files, rounds=4000, seed=seed) for seed in range(4)]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    assert most_held(files[1], {}) == (MAX_CALLS, TRUNK_CALLS)
    watcher = SharedSlots(files[0], MAX_CALLS, LIMITS)
    assert watcher.taken == 0
    watcher.close()


def test_the_slots_of_a_killed_process_come_back(files: tuple[Path, Path]) -> None:
    path, log = files
    supervisor = SharedSlots(path, MAX_CALLS, LIMITS)
    chance, cleared = random.Random(3), dict[int, int]()
    lasting = [start(path, log, rounds=20_000, seed=seed) for seed in range(2)]
    for seed in range(8):
        victim = start(path, log, rounds=1_000_000, seed=seed)
        wanted = chance.randrange(2_000, 12_000)
        before = log.stat().st_size
        while log.stat().st_size < before + wanted and victim.poll() is None:
            os.sched_yield()
        victim.kill()
        # A killed one cannot write down that it gave back: its slots are free when it is gone, and not before.
        os.waitid(os.P_PID, victim.pid, os.WEXITED | os.WNOWAIT)
        cleared[victim.pid] = time.monotonic_ns()
        victim.wait(10)
        supervisor.clear(victim.pid)
    assert [worker.wait(60) for worker in lasting] == [0, 0]
    assert supervisor.taken == 0
    most, most_three = most_held(log, cleared)
    assert most <= MAX_CALLS
    assert most_three <= TRUNK_CALLS
    supervisor.close()
