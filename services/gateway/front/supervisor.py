"""The front process: it has the sockets, and keeps the workers alive that have the calls."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from services.common import rpc
from services.common.service import StartRefused
from services.common.settings import split_address
from services.common.telemetry.log import logger
from services.gateway.access import Trunks
from services.gateway.admission import TrunkLimits
from services.gateway.control import SERVICE_NAME
from services.gateway.front.callcontrol import FrontCallControl
from services.gateway.front.dispatcher import Dispatcher, WorkerState
from services.gateway.front.frame import Carried, Kind
from services.gateway.front.restarts import Restarts
from services.gateway.front.share import Start, check_rtp_ports, settings_of
from services.gateway.front.switch import Switch, read
from services.gateway.front.workerprocess import WorkerProcess
from services.gateway.settings import GatewaySettings
from services.gateway.shared_slots import SharedSlots, create_slots
from services.gateway.sip.uri import format_host_port
from services.gateway.transports.transports import Transports
from tandem.v1.gateway_pb2_grpc import add_CallControlServicer_to_server

if TYPE_CHECKING:
    from tandem.v1.gateway_pb2_grpc import CallControlAsyncStub

_MEMORY = Path("/dev/shm")
# From its start to its first call: imports, NATS (2 s a try).
_START_S = 30.0
# It says so every second. Long: a machine that is out of breath must not lose its calls for it.
_SILENCE_S = 10
# Of that, a worker takes 2 s.
_GOODBYE_S = 4.0


async def run(settings: GatewaySettings, transports: Transports, trunks: Trunks, stop: asyncio.Event) -> None:
    """Serves with `settings.workers` workers until `stop`. Raises StartRefused and AddressTaken."""
    if not sys.platform.startswith("linux"):
        await transports.close()
        raise StartRefused("gateway.workers: more than one wants Linux (seqpacket sockets, pidfd); set it to 1")
    server = rpc.RpcServer(settings.control_address, [SERVICE_NAME])
    limits = TrunkLimits.of(settings.trunks)
    descriptor = _slots_file(settings, limits)
    file = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    try:
        check_rtp_ports(settings)
        slots = SharedSlots(file, settings.max_calls, limits)
        supervisor = Supervisor(settings, transports, trunks, file, slots, server)
        control = FrontCallControl(supervisor.stubs)
        add_CallControlServicer_to_server(control, server.server)
        try:
            port = await server.start()
            await supervisor.start()
            found = transports.locals()
            logger().info(
                "gateway_ready",
                **{
                    f"sip_{kind.lower()}": " ".join(
                        format_host_port(*one) for (other, _), here in found.items() if other is kind for one in here
                    )
                    for kind, _ in found
                },
                control=format_host_port(split_address(settings.control_address)[0], port),
                max_calls=settings.max_calls,
                workers=settings.workers,
            )
            await stop.wait()
            await server.ready(False)
            stop.clear()
            await supervisor.drain(stop)
        finally:
            await supervisor.close()
            slots.close()
        logger().info("gateway_stopped", unheard_messages=supervisor.switch.unheard)
    finally:
        await transports.close()
        await server.stop(grace_s=0.2)
        os.close(descriptor)


def _slots_file(settings: GatewaySettings, limits: dict[str, TrunkLimits]) -> int:
    """Its descriptor. The file has no name, and so is gone with us however we end."""
    with tempfile.TemporaryDirectory(prefix="tandem-gateway-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        path = Path(folder) / "slots"
        create_slots(path, settings.max_calls, limits, settings.workers)
        return os.open(path, os.O_RDWR)


class Supervisor:
    """Starts the workers, and starts those again that die: each keeps its number, and so what is hashed to it."""

    def __init__(
        self,
        settings: GatewaySettings,
        transports: Transports,
        trunks: Trunks,
        slots_file: Path,
        slots: SharedSlots,
        server: rpc.RpcServer,
    ) -> None:
        self._settings = settings
        self._locals = dict(transports.locals())
        self._slots_file = slots_file
        self._slots = slots
        self._server = server
        self._secret = secrets.token_bytes(32)
        self._dispatcher = Dispatcher(settings.workers, secrets.token_bytes(16))
        self._workers: dict[int, WorkerProcess] = {}
        self.switch = Switch(settings, transports, trunks, self._dispatcher, self._workers)
        self._tasks: list[asyncio.Task[None]] = []
        self._all_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._health: asyncio.Task[None] | None = None
        self._hearing = self._closing = False

    async def start(self) -> None:
        """Returns when every worker takes calls. Raises StartRefused when one cannot."""
        self._tasks = [asyncio.create_task(self._keep(number)) for number in range(self._settings.workers)]
        self._tasks.append(asyncio.create_task(self._watch()))
        await self._all_ready

    def stubs(self) -> dict[int, CallControlAsyncStub]:
        """CallControl of the workers that are there."""
        return {
            number: worker.control for number, worker in sorted(self._workers.items()) if worker.control is not None
        }

    async def drain(self, stop: asyncio.Event) -> None:
        """No new calls; returns when the live ones are over, after `drain_s`, or when a second signal comes."""
        self._closing = True
        for worker in self._workers.values():
            worker.terminate()
        deadline = asyncio.get_running_loop().time() + self._settings.drain_s
        while self._workers and not stop.is_set() and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """The workers say goodbye to their calls; they are killed when that takes too long."""
        self._closing = True
        for worker in self._workers.values():
            worker.terminate()
        keeping = [task for task in self._tasks if not task.done()]
        if keeping:
            # They end with their workers; the one that watches, and those that wait to start another, do not.
            await self._gone(_GOODBYE_S)
        for worker in self._workers.values():
            logger().error("worker_killed", worker=worker.number, pid=worker.pid, why="no end within 4 s")
            worker.kill()
        await self._gone(1.0)
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        if not self._all_ready.done():
            self._all_ready.cancel()

    async def _gone(self, within_s: float) -> None:
        deadline = asyncio.get_running_loop().time() + within_s
        while self._workers and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)

    # One worker

    async def _keep(self, number: int) -> None:
        restarts = Restarts()
        while not self._closing:
            lived_s, exit_ = 0.0, ""
            try:
                worker = WorkerProcess.start(self._start_of(number), self._frame)
            except OSError as error:  # no memory, no more processes
                exit_ = f"not started: {error}"
            else:
                exit_, lived_s = await self._live(worker)
            if self._closing:
                return
            wait_s = restarts.wait_s(lived_s)
            logger().error("worker_died", worker=number, exit=exit_, lived_s=round(lived_s, 1), again_in_s=wait_s)
            if not self._all_ready.done():
                why = f"worker {number} did not start ({exit_}); what it said stands above"
                self._all_ready.set_exception(StartRefused(why))
                return
            await asyncio.sleep(wait_s)

    async def _live(self, worker: WorkerProcess) -> tuple[str, float]:
        """One life, until the process has ended; how it did, and after how many seconds."""
        self._workers[worker.number] = worker
        logger().info("worker_started", worker=worker.number, pid=worker.pid)
        try:
            status = await worker.ended()
        finally:
            worker.kill()
            self._dispatcher.set_state(worker.number, WorkerState.GONE)
            del self._workers[worker.number]
            freed = self._slots.clear(worker.pid)
            self._tell_health()
            await worker.close()
        if freed:
            logger().error("worker_calls_lost", worker=worker.number, pid=worker.pid, calls=freed)
        return f"exit {status}" if status >= 0 else f"signal {-status}", worker.lived_s

    def _start_of(self, number: int) -> Start:
        return Start(settings_of(self._settings, number), number, self._secret, self._locals, self._slots_file)

    def _frame(self, worker: WorkerProcess, frame: bytes) -> None:
        worker.silent_s = 0
        told = read(frame)
        if isinstance(told, Carried):
            self.switch.carried(worker, told)
        elif told is None:
            return
        elif told.kind is Kind.LEARNED:
            self.switch.learned(worker, told.text)
        elif told.kind is Kind.READY:
            self._ready(worker, told.text)
        elif told.kind is Kind.DRAINING:
            self._dispatcher.set_state(worker.number, WorkerState.DRAINING)
            self._tell_health()

    def _ready(self, worker: WorkerProcess, control_address: str) -> None:
        worker.serves(control_address)
        if not self._hearing:  # worker 0 may be waiting for an answer to its REGISTER
            self._hearing = True
            self.switch.start()
        self.switch.welcome(worker)
        self._dispatcher.set_state(worker.number, WorkerState.READY)
        self._tell_health()
        if len(self._dispatcher.ready) == self._settings.workers and not self._all_ready.done():
            self._all_ready.set_result(None)

    def _tell_health(self) -> None:
        """SERVING while anybody takes calls."""
        ready = bool(self._dispatcher.ready) and not self._closing
        self._health = asyncio.create_task(self._server.ready(ready))

    async def _watch(self) -> None:
        """Ends workers that hang. Counts its looks: after a suspend of the machine all are heard before the next."""
        while True:
            await asyncio.sleep(1.0)
            for worker in self._workers.values():
                worker.silent_s += 1
                silent = worker.control is not None and worker.silent_s > _SILENCE_S
                if silent or (worker.control is None and worker.silent_s > _START_S):
                    logger().error("worker_hangs", worker=worker.number, pid=worker.pid, silent_s=worker.silent_s)
                    worker.kill()
