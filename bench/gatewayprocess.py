"""A gateway and its NATS as processes of their own, on cores that are chosen, and what they cost."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from services.common import lifetime
from services.common.rpc import free_port
from tandem.plan import REPOSITORY, nats_server

_START_S = 30.0
_STOP_S = 10.0
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class NotStarted(Exception):
    """A process did not come up; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core the gateway has to itself, and which the others share; the same one where there is only one."""

    gateway: int
    others: int

    @classmethod
    def chosen(cls) -> Cores:
        own = sorted(os.sched_getaffinity(0))
        return cls(own[-1], own[0])


@dataclass(slots=True)
class GatewayProcess:
    """A running `python -m services.gateway`."""

    pid: int
    port: int
    """Of its SIP, on 127.0.0.1."""

    def cpu_s(self) -> float:
        """User and system time so far, of all its threads."""
        # The name may hold blanks; what follows it does not (proc(5)).
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND

    def waited_s(self) -> float:
        """How long its main thread was ready to run and had no core: what other programs took from it."""
        try:
            return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9
        except FileNotFoundError:
            return 0.0

    def rss_mb(self) -> float:
        """What is resident, in MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise NotStarted(f"the gateway (process {self.pid}) has ended")

    def until_quiet(self, within_s: float) -> None:
        """Waits until a second costs it next to nothing, so that what was before does not count for what comes."""
        for _ in range(max(1, int(within_s))):
            before = self.cpu_s()
            time.sleep(1.0)
            if self.cpu_s() - before < 0.05:
                return


@contextlib.contextmanager
def running_gateway(
    folder: Path, cores: Cores, max_calls: int, profile: Path | None = None
) -> Iterator[GatewayProcess]:
    """Logs go to `folder`; with `profile`, its main thread runs under cProfile. Raises NotStarted."""
    nats_port, sip_port, control_port = free_port(), _free_udp_port(), free_port()
    settings = folder / "settings.yaml"
    section = {
        "sip_address": f"127.0.0.1:{sip_port}",
        "control_address": f"127.0.0.1:{control_port}",
        "max_calls": max_calls,
        # One peer places all calls, and no call has a caller who speaks.
        "max_messages_per_source_s": 1_000_000,
        "media_timeout_s": 3600,
    }
    settings.write_text(yaml.safe_dump({"nats_url": f"nats://127.0.0.1:{nats_port}", "gateway": section}))
    nats = (str(nats_server()), "-a", "127.0.0.1", "-p", str(nats_port), "-js", "-sd", str(folder / "nats"))
    profiled = ("-m", "cProfile", "-o", str(profile)) if profile else ()
    gateway = (sys.executable, *profiled, "-m", "services.gateway", "--settings", str(settings), "--end-with-parent")
    log = folder / "gateway.log"
    with _process(nats, folder / "nats.log", cores.others):
        _until(lambda: _listens(nats_port), "nats-server does not listen")
        with _process(gateway, log, cores.gateway) as process:

            def ready() -> bool:
                if process.poll() is not None:
                    raise NotStarted(f"the gateway does not start: {log.read_text(errors='replace')[-500:]}")
                return "gateway_ready" in log.read_text(errors="replace")

            _until(ready, f"the gateway was not ready in {_START_S:.0f} s")
            yield GatewayProcess(process.pid, sip_port)


@contextlib.contextmanager
def _process(command: tuple[str, ...], log: Path, core: int) -> Iterator[subprocess.Popen[bytes]]:
    def before() -> None:
        lifetime.end_with_parent()
        os.sched_setaffinity(0, {core})

    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=REPOSITORY, preexec_fn=before)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(done: Callable[[], bool], failure: str) -> None:
    deadline = time.monotonic() + _START_S
    while not done():
        if time.monotonic() > deadline:
            raise NotStarted(failure)
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
