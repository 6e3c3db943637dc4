"""Rings a stack from the simulated caller, a process of its own that shares no code with the gateway."""

import asyncio
import contextlib
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.plan import REPOSITORY
from tandem.processes import on_leash

LONGEST_CALL_S = 180.0
# After its longest call the caller hangs up, waits for the answer, writes the record.
GRACE_S = 30.0


class CallerFailed(Exception):
    """The caller process could not ring, or told nothing."""


@dataclass(frozen=True, slots=True)
class Ring:
    """One call to be made. `script` is a dialogue script; `record` gets the stereo WAV; `voice` None: the script's.

    `network` is what the line does to the caller's packets: "loss=3,jitter=40" (evals/caller/impairment.py)."""

    target: str
    script: Path
    record: Path | None = None
    codec: str = "pcmu"
    voice: str | None = None
    number: str = "+15550100"
    network: str = ""


async def ring(call: Ring, quiet: bool = False) -> dict[str, Any]:
    """The caller's own report of the call (evals/caller/report.py). What it says meanwhile goes to stderr.

    Cancelling hangs up and waits for the process. Raises CallerFailed.
    """
    argv = [sys.executable, "-m", "evals.caller", "--target", call.target, "--script", str(call.script.absolute())]
    argv += ["--json", "--codec", call.codec, "--from", call.number, "--max-s", str(LONGEST_CALL_S)]
    if call.record:
        argv += ["--record", str(call.record.absolute())]
    if call.network:
        argv += ["--network", call.network]
    if call.voice:
        argv += ["--voice", call.voice]
    process = await asyncio.create_subprocess_exec(
        *on_leash(argv),
        cwd=REPOSITORY,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if quiet else None,
    )
    try:
        async with asyncio.timeout(LONGEST_CALL_S + GRACE_S):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise CallerFailed(f"the caller did not end within {LONGEST_CALL_S + GRACE_S:.0f} s") from error
    finally:
        if process.returncode is None:
            await _end(process)
    try:
        report: dict[str, Any] = json.loads(output)
    except ValueError as error:
        said = (errors or b"").decode("utf-8", "replace").strip().splitlines()[-1:] or ["see above"]
        raise CallerFailed(f"the caller told nothing (exit code {process.returncode}): {said[0]}") from error
    return report


async def _end(process: asyncio.subprocess.Process) -> None:
    for number, wait_s in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0)):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await process.wait()
                return
