"""`python -I guard.py --parent PID -- COMMAND …`: runs a command so that nothing of it outlives the process PID.

For make, which can't promise that: killed with -9 it leaves its commands running, and told to stop by SIGINT or SIGHUP
alone it waits for them. Standard library only, since it guards the making of the environment too. Linux; elsewhere the
command is run and no more.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LOOK_EVERY_S = 0.25
# `tandem up` ends within 5 s; then patience ends too.
END_WITHIN_S = 5.5
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str]) -> int:
    """The command's exit code; 128 + n when signal n ended it."""
    if len(arguments) < 4 or arguments[0] != "--parent" or arguments[2] != "--":
        sys.stderr.write("usage: guard.py --parent PID -- COMMAND …\n")
        return 2
    parent, command = int(arguments[1]), arguments[3:]
    if not sys.platform.startswith("linux"):
        os.execvp(command[0], command)
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # What our command leaves behind becomes our child, and can be ended.
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != parent:
        return 128 + signal.SIGTERM
    watched = {*_STOPPING, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    pid = _start(command, watched)
    try:
        return _wait(pid, watched, parent)
    finally:
        _end_all()


def _start(command: list[str], watched: set[signal.Signals]) -> int:
    guard, pid = os.getpid(), os.fork()
    if pid:
        return pid
    try:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, watched)
        if os.getppid() == guard:
            os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.stderr.flush()
    os._exit(127)


def _wait(pid: int, watched: set[signal.Signals], parent: int) -> int:
    deadline: float | None = None
    while True:
        came = signal.sigtimedwait(watched, LOOK_EVERY_S)
        code = _reap(pid)
        if code is not None:
            return code
        number = came.si_signo if came else 0
        if deadline is None and (number in _STOPPING or _told_to_stop(parent)):
            deadline = time.monotonic() + END_WITHIN_S
            if number != signal.SIGINT:  # Ctrl-C has reached the command by itself
                _send(pid, signal.SIGTERM)
        if deadline is not None and time.monotonic() > deadline:
            _send(pid, signal.SIGKILL)


def _reap(pid: int) -> int | None:
    """Takes leave of every child that has ended; the exit code when `pid` is among them."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while True:
            gone, status = os.waitpid(-1, os.WNOHANG)
            if not gone:
                break
            if gone == pid:
                ended = os.waitstatus_to_exitcode(status)
                code = ended if ended >= 0 else 128 - ended
    return code


def _told_to_stop(pid: int) -> bool:
    """Whether make has had a stopping signal.

    GNU make takes its handler away then, and waits for its commands (commands.c, fatal_error_signal): a signal that is
    neither caught nor ignored any more is all there is to see from outside. False for a process that is not make.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    if values.get("Name", "").strip() not in ("make", "gmake"):
        return False
    handled = int(values.get("SigCgt", "0"), 16) | int(values.get("SigIgn", "0"), 16)
    return any(not handled & 1 << number - 1 for number in _STOPPING)


def _end_all() -> None:
    """Kills what is left: our children, and theirs as they become ours. Bounded."""
    for _ in range(200):
        left = list(_children())
        if not left:
            return
        for pid in left:
            _send(pid, signal.SIGKILL)
        time.sleep(0.01)
        _reap(0)


def _children() -> Iterator[int]:
    own = str(os.getpid())
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError, IndexError):
                state, ppid = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                if ppid == own and state != "Z":
                    yield int(folder.name)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
