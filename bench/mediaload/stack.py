"""The processes of the media bench: NATS, brain, far end and callers share a core; the gateway has one to itself."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.gatewayprocess import Cores, NotStarted
from services.common import lifetime
from services.common.rpc import free_port
from tandem.plan import REPOSITORY, nats_server

RTP_PORTS = (20000, 29999)
MOST_CALLS = 2500
_START_S = 30.0
_STOP_S = 10.0


class HelperLost(Exception):
    """A process of the bench ended, or did not answer in time; the message is what it said."""


@dataclass(slots=True)
class Child:
    """A process, what it wrote to stderr, and a conversation in lines of JSON over its stdin and stdout."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    _rest: bytes = b""

    @property
    def pid(self) -> int:
        return self.process.pid

    def ask(self, command: Mapping[str, Any], within_s: float = 30.0) -> dict[str, Any]:
        """Raises HelperLost."""
        self.begin(command)
        return self.answer(within_s)

    def begin(self, command: Mapping[str, Any]) -> None:
        """Asks; `answer` takes what comes of it."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._lost("has ended") from None

    def answer(self, within_s: float) -> dict[str, Any]:
        """Raises HelperLost."""
        assert self.process.stdout is not None
        output = self.process.stdout.fileno()
        deadline = time.monotonic() + within_s
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([output], [], [], left)[0]:
                raise self._lost(f"gave no answer in {within_s:.0f} s")
            data = os.read(output, 1 << 16)
            if not data:
                raise self._lost("has ended")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        return told

    def _lost(self, what: str) -> HelperLost:
        return HelperLost(f"{self.name} {what}: {self.log.read_text(errors='replace')[-500:].strip()}")


@dataclass(slots=True)
class Stack:
    """A running gateway with what it needs. `callers` starts a generator against it."""

    gateway: Child
    sip_port: int
    nats: Child
    brain: Child
    far_end: Child
    folder: Path
    cores: Cores

    @property
    def others(self) -> tuple[Child, ...]:
        return self.nats, self.brain, self.far_end

    @contextlib.contextmanager
    def callers(self, called: str, *, srtp: bool = False, impair: str = "") -> Iterator[Child]:
        """The generator, ringing `called`. Raises HelperLost."""
        command = [*_module("generator"), "--gateway", f"127.0.0.1:{self.sip_port}", "--called", called]
        command += ["--srtp"] if srtp else []
        command += ["--impair", impair] if impair else []
        log = self.folder / "generator.log"
        with _child("the generator", command, log, self.cores.others, keeps_time=True) as callers:
            callers.answer(_START_S)
            yield callers

    def call_ends(self) -> list[dict[str, Any]]:
        """What the gateway logged at the end of each call so far: the fields of `call_ended`."""
        return log_events(self.gateway.log, "call_ended")


def log_events(log: Path, event: str) -> list[dict[str, Any]]:
    """The lines of a service's log that tell of `event`."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            told = json.loads(line)
            if isinstance(told, dict) and told.get("event") == event:
                found.append(told)
    return found


@contextlib.contextmanager
def running(folder: Path, cores: Cores, *, profile: Path | None = None) -> Iterator[Stack]:
    """Logs go to `folder`; with `profile`, the gateway's main thread runs under cProfile. Raises NotStarted."""
    nats_port, control_port, sip_port = free_port(), free_port(), _free_udp_port()
    nats_command = (str(nats_server()), "-a", "127.0.0.1", "-p", str(nats_port))
    at = ("--nats", f"127.0.0.1:{nats_port}")
    with contextlib.ExitStack() as stack:
        nats = stack.enter_context(_child("nats-server", nats_command, folder / "nats.log", cores.others))
        _until(lambda: _listens(nats_port), "nats-server does not listen")
        helpers = []
        for name in ("brain", "farend"):
            helpers.append(
                stack.enter_context(_child(name, (*_module(name), *at), folder / f"{name}.log", cores.others))
            )
        brain, far_end = helpers
        try:
            brain_port = brain.answer(_START_S)["port"]
            far_end.answer(_START_S)
        except HelperLost as error:
            raise NotStarted(str(error)) from error
        settings = folder / "settings.yaml"
        section = _gateway_settings(sip_port, control_port, brain_port)
        settings.write_text(yaml.safe_dump({"nats_url": f"nats://127.0.0.1:{nats_port}", "gateway": section}))
        profiled = ("-m", "cProfile", "-o", str(profile)) if profile else ()
        command = (sys.executable, *profiled, "-m", "services.gateway", "--settings", str(settings))
        log = folder / "gateway.log"
        gateway = stack.enter_context(_child("the gateway", (*command, "--end-with-parent"), log, cores.gateway))

        def ready() -> bool:
            if gateway.process.poll() is not None:
                raise NotStarted(f"the gateway does not start: {log.read_text(errors='replace')[-500:]}")
            return "gateway_ready" in log.read_text(errors="replace")

        _until(ready, f"the gateway was not ready in {_START_S:.0f} s")
        yield Stack(gateway, sip_port, nats, brain, far_end, folder, cores)


def _gateway_settings(sip_port: int, control_port: int, brain_port: int) -> dict[str, Any]:
    return {
        "sip_address": f"127.0.0.1:{sip_port}",
        "control_address": f"127.0.0.1:{control_port}",
        "brain_address": f"127.0.0.1:{brain_port}",
        "max_calls": MOST_CALLS,
        "rtp_ports": list(RTP_PORTS),
        # One peer places all calls.
        "max_messages_per_source_s": 1_000_000,
        "max_call_s": 86400,
        "trunks": [{"name": "bench", "allow": ["127.0.0.1/32"], "srtp": "optional"}],
    }


def _module(name: str) -> tuple[str, ...]:
    return sys.executable, "-m", f"bench.mediaload.{name}"


@contextlib.contextmanager
def _child(
    name: str, command: tuple[str, ...] | list[str], log: Path, core: int, *, keeps_time: bool = False
) -> Iterator[Child]:
    def before() -> None:
        lifetime.end_with_parent()
        os.sched_setaffinity(0, {core})
        if keeps_time and os.sched_getscheduler(0) == os.SCHED_RR:
            # Ahead of those beside it: among equals it would wait for their slices of 100 ms.
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_getparam(0).sched_priority + 1))
        # Ctrl-C goes to the whole group: we end them, in our order.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    with piped(name, command, log, before) as child:
        yield child


@contextlib.contextmanager
def piped(name: str, command: Sequence[str], log: Path, before: Callable[[], None] | None = None) -> Iterator[Child]:
    """A process that is spoken to through its pipes, and ended behind the block. `before` runs in it first."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=REPOSITORY, preexec_fn=before
        )
    try:
        yield Child(name, process, log)
    finally:
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
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
