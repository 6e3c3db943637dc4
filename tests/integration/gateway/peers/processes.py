"""Programs of others, started from a process that has threads and ended with it."""

import asyncio
import os
import signal
import subprocess
import sys

# Between fork and exec nothing may run that takes a lock, for gRPC's threads may hold it: so prctl is left to a Python
# that then becomes the program.
_BECOME = (
    "import os, sys; from services.common.lifetime import end_with_parent;"
    "end_with_parent(int(sys.argv[1])); os.execvp(sys.argv[2], sys.argv[2:])"
)


async def start(*command: str) -> asyncio.subprocess.Process:
    """What it prints comes by its `stdout`."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", _BECOME, str(os.getpid()), *command,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


async def end(process: asyncio.subprocess.Process, within_s: float) -> None:
    """SIGTERM, and SIGKILL for it and its children where that does not do."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), within_s)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
