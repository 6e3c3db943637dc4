"""The processes of a stack: started, waited for, watched, restarted, and ended, whatever happens to us.

Nothing that is started here outlives this process: the kernel sends each child a SIGTERM when we die (leash.py), which
holds for kill -9 too.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tandem import leash

READY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05
KILL_AFTER_S = 4.0
LAST_LINES = 15
EXIT_MISTAKE = 2

Ready = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: a name for people, argv, additions to the environment, and how to tell that it is ready."""

    name: str
    argv: tuple[str, ...]
    ready: Ready
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Child:
    """A running program. `ready_s` is the time from its start until it answered, None until then."""

    program: Program
    log: Path
    process: asyncio.subprocess.Process
    started: float
    ready_s: float | None = None

    @property
    def pid(self) -> int:
        return self.process.pid


class StartFailed(Exception):
    """A program ended, or did not answer in time, while the stack came up.

    `lines` are the last of what it wrote. `mistake` is true when it refused its settings (exit code 2): then the lines
    say what to do and are all that a reader needs.
    """

    def __init__(self, name: str, what: str, lines: list[str], mistake: bool = False) -> None:
        super().__init__(f"{name} {what}")
        self.name = name
        self.lines = lines
        self.mistake = mistake


class GaveUp(Exception):
    """A program died too often."""


class RestartPolicy:
    """How long to wait before a dead program is started again. Pure: times are seconds.

    Five deaths within a minute and it is not restarted: a fault that comes back at once is not cured by trying.
    """

    DEATHS = 5
    WITHIN_S = 60.0
    FIRST_DELAY_S = 0.5

    def __init__(self) -> None:
        self._deaths: list[float] = []

    def died(self, now: float) -> float | None:
        """Seconds to wait before the restart, None when it is to be given up."""
        self._deaths = [at for at in self._deaths if now - at < self.WITHIN_S] + [now]
        if len(self._deaths) >= self.DEATHS:
            return None
        return self.FIRST_DELAY_S * 2.0 ** (len(self._deaths) - 1)


class Supervisor:
    """Starts programs, watches them and ends them. Use from the main thread: the kernel ends a child with the thread
    that started it."""

    def __init__(self, logs: Path, say: Callable[[str], None]) -> None:
        """Each program writes to `logs`/<name>.log; `say` gets one line for people at each change."""
        self._logs = logs
        self._say = say
        self.children: dict[str, Child] = {}
        self._stopping = False

    async def start(self, programs: list[Program], within_s: float = READY_WITHIN_S) -> None:
        """Starts all at once and waits until each is ready. Raises StartFailed; call `stop` then too."""
        self._logs.mkdir(parents=True, exist_ok=True)
        for program in programs:
            self.children[program.name] = await self._spawn(program, fresh_log=True)
        waits = [asyncio.create_task(self._wait_ready(self.children[p.name], within_s)) for p in programs]
        try:
            await asyncio.gather(*waits)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _spawn(self, program: Program, fresh_log: bool) -> Child:
        log = self._logs / f"{program.name}.log"
        # Opened and closed on purpose without await: a file of ours is not worth a thread.
        output = os.open(log, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if fresh_log else os.O_APPEND), 0o600)
        try:
            process = await asyncio.create_subprocess_exec(
                *on_leash(program.argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **program.environment},
            )
        except OSError as error:
            raise StartFailed(program.name, f"cannot be started: {error}", []) from error
        finally:
            os.close(output)
        return Child(program, log, process, time.monotonic())

    async def _wait_ready(self, child: Child, within_s: float) -> None:
        name = child.program.name
        while True:
            if child.process.returncode is not None:
                code = child.process.returncode
                raise StartFailed(name, f"ended at start, {_ending(code)}", last_lines(child.log), code == EXIT_MISTAKE)
            if await child.program.ready():
                child.ready_s = time.monotonic() - child.started
                self._say(f"{name} ready after {child.ready_s:.1f} s")
                return
            if time.monotonic() - child.started > within_s:
                raise StartFailed(name, f"was not ready within {within_s:.0f} s", last_lines(child.log))
            await asyncio.sleep(LOOK_EVERY_S)

    async def watch(self) -> None:
        """Restarts what dies, until cancelled. Raises GaveUp."""
        async with asyncio.TaskGroup() as group:
            for name in list(self.children):
                group.create_task(self._watch(name))

    async def _watch(self, name: str) -> None:
        policy = RestartPolicy()
        while True:
            child = self.children[name]
            code = await child.process.wait()
            # Ctrl-C reaches the children as soon as us: wait until we would know that this is the end of all.
            await asyncio.sleep(0.3)
            if self._stopping:
                return
            delay = policy.died(time.monotonic())
            if delay is None:
                raise GaveUp(
                    f"{name} died {policy.DEATHS} times within {policy.WITHIN_S:.0f} s ({_ending(code)}); "
                    f"its log is {child.log}"
                )
            self._say(f"{name} died ({_ending(code)}); restart in {delay:.1f} s; log: {child.log}")
            await asyncio.sleep(delay)
            try:
                self.children[name] = child = await self._spawn(child.program, fresh_log=False)
                await self._wait_ready(child, READY_WITHIN_S)
            except StartFailed:
                if child.process.returncode is None:
                    child.process.kill()

    async def stop(self) -> None:
        """Ends every child within 5 s: SIGTERM, and SIGKILL to those that are left after 4 s."""
        self._stopping = True
        living = [child for child in self.children.values() if child.process.returncode is None]
        for child in living:
            _send(child.process, signal.SIGTERM)
        if living:
            waits = [asyncio.ensure_future(child.process.wait()) for child in living]
            await asyncio.wait(waits, timeout=KILL_AFTER_S)
            for child in living:
                if child.process.returncode is None:
                    self._say(f"{child.program.name} did not end in {KILL_AFTER_S:.0f} s and was killed")
                    _send(child.process, signal.SIGKILL)
            await asyncio.gather(*waits)

    def resident_mb(self) -> dict[str, float]:
        """Resident memory of each living child, MB (1e6 bytes)."""
        return {name: megabytes for name, child in self.children.items() if (megabytes := resident_mb(child.pid))}

    def cpu_s(self) -> dict[str, float]:
        """CPU time that each living child has used so far, seconds."""
        return {name: cpu_s(child.pid) for name, child in self.children.items()}


def on_leash(argv: Sequence[str]) -> tuple[str, ...]:
    """The command line that runs `argv` so that it ends with us. Start it from the main thread and without a shell."""
    return (sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *argv)


def cpu_s(pid: int) -> float:
    """User and system time of a process, all threads, 0.0 when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """VmRSS of a process in MB, 0.0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def last_lines(log: Path, count: int = LAST_LINES) -> list[str]:
    """The end of a log file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 20_000))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except OSError:
        return []


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _ending(code: int) -> str:
    if code < 0:
        try:
            return f"by {signal.Signals(-code).name}"
        except ValueError:
            return f"by signal {-code}"
    return f"exit code {code}"
