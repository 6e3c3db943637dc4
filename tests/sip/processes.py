"""The real processes of a run: NATS, gateways and sipp."""

import asyncio
import contextlib
import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from services.common import lifetime
from services.common.rpc import connect, free_port
from tandem.plan import nats_server
from tandem.v1.gateway_pb2_grpc import CallControlStub
from tests.sip.scenario import OUT, Scenario

ROOT = Path(__file__).parents[2]
_START_S = 30.0


class NotStarted(Exception):
    """A process did not come up; the message is what it said."""


async def start_nats(folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    """The process and its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(nats_server(), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=lifetime.end_with_parent,
    )
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return process, f"nats://127.0.0.1:{port}"
        await asyncio.sleep(0.05)
    raise NotStarted("nats-server does not listen")


@dataclass
class Gateway:
    """A running `python -m services.gateway`."""

    host: str
    port: int
    control: str
    log: Path
    process: asyncio.subprocess.Process

    @property
    def address(self) -> str:
        """host:port of its SIP."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def stub(self) -> CallControlStub:
        if not hasattr(self, "_channel"):
            self._channel = connect(self.control)
        return CallControlStub(self._channel)

    def drain(self) -> None:
        self.process.terminate()

    async def close(self) -> None:
        if hasattr(self, "_channel"):
            await self._channel.close()
        if self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 5)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()

    def last_words(self, lines: int = 12) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


async def start_gateway(name: str, host: str, settings: Mapping[str, Any], nats_url: str, brain_port: int) -> Gateway:
    """Starts it with `settings` in its section of the file. Raises NotStarted with what it wrote."""
    folder = OUT / "gateways" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = free_port() if host == "::1" else 5060
    control = f"127.0.0.1:{free_port()}"
    sip_address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    section = {
        "sip_address": sip_address,
        "control_address": control,
        "brain_address": f"127.0.0.1:{brain_port}",
        "routes": [{"called": "agent", "agent": "front_desk"}],
        **settings,
    }
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump({"nats_url": nats_url, "gateway": section}, sort_keys=False))
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.gateway", "--settings", str(file), "--end-with-parent"),
            stdout=output,
            stderr=output,
            cwd=ROOT,
        )
    gateway = Gateway(host, port, control, log, process)
    try:
        async with asyncio.timeout(_START_S), connect(control) as channel:
            ready = asyncio.ensure_future(channel.channel_ready())
            ended = asyncio.ensure_future(process.wait())
            await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            ended.cancel()
            if process.returncode is not None:
                raise NotStarted(f"gateway {name} does not start: {gateway.last_words(1)} (see {log})")
            while "gateway_ready" not in log.read_text(errors="replace"):
                await asyncio.sleep(0.02)
    except TimeoutError:
        await gateway.close()
        raise NotStarted(f"gateway {name} was not ready in {_START_S:.0f} s (see {log})") from None
    return gateway


_SIPP_TRANSPORT = {"udp": "u1", "tcp": "t1", "tcp-each": "tn", "udp6": "u1", "tcp6": "t1"}


async def start_sipp(
    scenario: Scenario, file: Path, host: str, port: int, media_port: int, remote: str, log: str
) -> asyncio.subprocess.Process:
    """sipp at host:port, talking to `remote`; its messages go to `log` in the scenario's folder.

    Ends by itself (-timeout): to set a death signal would want a fork, and gRPC's threads do not survive one.
    """
    folder = scenario.folder
    names = [one for key, value in scenario.keys.items() for one in ("-key", key, value)]
    # Its own would lack the user part; where it checks credentials, it would compare with ours.
    auth_uri = ("-auth_uri", f"{scenario.to}@{remote}") if scenario.authenticates else ()
    return await asyncio.create_subprocess_exec(
        "sipp",
        *("-sf", str(file), "-i", host, "-p", str(port), "-mi", host, "-mp", str(media_port)),
        *("-m", str(scenario.calls), "-r", str(scenario.rate), "-t", _SIPP_TRANSPORT[scenario.transport]),
        *("-s", scenario.to, "-cid_str", f"{scenario.name}-%u-%p@%s", "-nostdin", "-max_socket", "200"),
        *("-timeout", str(scenario.timeout_s), "-timeout_error", "-recv_timeout", f"{1000 * scenario.timeout_s}"),
        *("-trace_msg", "-message_file", str(folder / f"{log}.log")),
        *("-trace_err", "-error_file", str(folder / f"{log}-errors.log")),
        *names,
        *auth_uri,
        remote,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=(folder / f"{log}-stderr.log").open("wb"),
        cwd=folder,
        env={"TERM": "dumb", "PATH": "/usr/local/bin:/usr/bin:/bin"},
    )
