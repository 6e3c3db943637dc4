"""The real processes beside us: NATS, the booking system, brains that are killed. All on loopback, all end with us."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import IO

import grpc
import httpx
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.rpc import connect
from tandem.plan import REPOSITORY, nats_server
from tandem.ports import free_port
from tandem.processes import on_leash

READY_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.05


class NotReady(RuntimeError):
    """A process ended or did not answer in time; the message ends with the last of what it wrote."""


class Process:
    """One program in a folder of its own, its output in `<name>.log`."""

    def __init__(self, name: str, argv: Sequence[str], folder: Path, cpus: set[int] | None = None) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        self._argv = list(argv)
        self._cpus = cpus
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        output: IO[bytes]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                on_leash(self._argv),
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
            )
        if self._cpus is not None:
            os.sched_setaffinity(self._process.pid, self._cpus)

    def signal(self, number: int) -> None:
        if self.alive:
            assert self._process is not None
            self._process.send_signal(number)

    async def ended(self, within_s: float = 5.0) -> None:
        """Waits; kills what has not ended by then."""
        until = time.monotonic() + within_s
        while self.alive and time.monotonic() < until:
            await asyncio.sleep(_LOOK_EVERY_S)
        self.signal(signal.SIGKILL)
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    async def stop(self) -> None:
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        await self.ended()

    def fail(self, what: str) -> NotReady:
        last = self._log.read_text(errors="replace").splitlines()[-8:]
        code = self._process.poll() if self._process is not None else None
        return NotReady("\n".join([f"{self.name} {what} (exit code {code})", *last]))


async def nats(folder: Path) -> tuple[Process, str]:
    """A NATS server with JetStream, and its URL."""
    port = free_port()
    argv = [str(nats_server()), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder / "jetstream")]
    process = Process("nats", argv, folder)
    process.start()
    await _until(process, lambda: _port_open(port))
    return process, f"nats://127.0.0.1:{port}"


async def business_api(folder: Path, now: str) -> tuple[Process, str]:
    """The booking system, its clock standing at `now` (ISO 8601), ready to go wrong; and its URL."""
    port = free_port()
    module = [sys.executable, "-m", "agents.front_desk.api", "--faults", "--port", str(port), "--now", now]
    process = Process("business_api", [*module, "--database", str(folder / "clinic.db")], folder)
    process.start()
    await _until(process, lambda: _http_ok(f"http://127.0.0.1:{port}/health"))
    return process, f"http://127.0.0.1:{port}"


class Brain:
    """A brain process at one address, which may be killed and started again."""

    def __init__(
        self,
        number: int,
        folder: Path,
        nats_url: str,
        neighbours: str,
        agents: Path,
        variables: dict[str, str],
        cpus: set[int] | None = None,
    ) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        around = dict.fromkeys(("asr_address", "tts_address", "escalation_address"), neighbours)
        brain = {"address": self.address, **around, "agents_dir": str(agents), "variables": variables}
        settings = folder / f"brain{number}.yaml"
        settings.write_text(yaml.safe_dump({"nats_url": nats_url, "log_level": "warning", "brain": brain}))
        argv = [sys.executable, "-m", "services.brain", "--settings", str(settings)]
        self.process = Process(f"brain{number}", argv, folder, cpus)
        self.channel = connect(self.address)

    async def start(self) -> None:
        """Returns when it serves. Raises NotReady."""
        self.process.start()
        await _until(self.process, self._serving)

    async def _serving(self) -> bool:
        channel = grpc.aio.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)])
        try:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(service="tandem.v1.Dialogue"), timeout=1)
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
        except grpc.aio.AioRpcError:
            return False
        finally:
            await channel.close()

    async def stop(self) -> None:
        await self.channel.close()
        await self.process.stop()


async def _until(process: Process, ready: Callable[[], Awaitable[bool]]) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until:
        if not process.alive:
            raise process.fail("ended while it came up")
        if await ready():
            return
        await asyncio.sleep(_LOOK_EVERY_S)
    raise process.fail(f"did not answer within {READY_WITHIN_S:g} s")


async def _port_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _http_ok(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=1) as client:
        try:
            return (await client.get(url)).is_success
        except httpx.HTTPError:
            return False
