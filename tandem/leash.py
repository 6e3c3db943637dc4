"""`python -I -S leash.py PID COMMAND …` becomes COMMAND, and the kernel ends it with SIGTERM when process PID dies.

The same as services/common/lifetime.py, for commands that are not Python or not ours. A process of its own instead of a
preexec_fn: that runs between fork and exec, where gRPC's fork handlers close descriptors and now and then abort the
child (1 of 30 forks beside a live grpc.aio server). Without it Python starts children by vfork, which runs none.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> int:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            return 128 + signal.SIGTERM
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
