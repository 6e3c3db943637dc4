"""A process ends with the one that started it, however that one ended."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent_pid: int | None = None) -> None:
    """Asks the kernel for SIGTERM when the parent process dies (Linux; elsewhere nothing).

    For a child between fork and exec (`preexec_fn`), or for a process itself at its start. Pass the parent's pid where
    it is known: it may be gone before we ask.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if parent_pid is not None and os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGTERM)
