"""`make call`, killed at any second, leaves no process: whichever signal, and whether make gets it or tandem."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tandem.plan import REPOSITORY

# Up to the middle of the conversation; another moment in each run, told when it fails.
LATEST_S = 25.0
GONE_WITHIN_S = 8.0


def living(session: int) -> dict[int, str]:
    """Processes of a session that are no zombies: pid and command line."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state, _ppid, _group, of_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if int(of_session) == session and state != "Z":
                found[int(folder.name)] = command
    return found


@pytest.mark.timeout(120)
@pytest.mark.parametrize("whom", ["make", "tandem"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_remains(tmp_path, number, whom):
    after_s = random.uniform(0.1, LATEST_S)
    with (tmp_path / "log").open("w") as log:
        make = subprocess.Popen(
            ["make", "call", f"OUT={tmp_path / 'out'}"],
            cwd=REPOSITORY,
            env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        time.sleep(after_s)
        tandem = [
            pid for pid, command in living(make.pid).items() if "tandem call" in command and "guard" not in command
        ]
        os.kill(tandem[0] if whom == "tandem" and tandem else make.pid, number)
        make.wait(GONE_WITHIN_S + 5)
    until = time.monotonic() + GONE_WITHIN_S
    while living(make.pid) and time.monotonic() < until:
        time.sleep(0.05)
    told = f"{number.name} to {whom} after {after_s:.2f} s left {living(make.pid)}\n{(tmp_path / 'log').read_text()}"
    assert not living(make.pid), told
