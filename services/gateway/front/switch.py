"""The front's edge: messages between the sockets and the workers."""

from __future__ import annotations

import time

from services.common.telemetry.log import logger
from services.gateway.access import Trunks
from services.gateway.front.dispatcher import Dispatcher
from services.gateway.front.frame import Carried, FrameInvalid, Kind, Told, unpack
from services.gateway.front.workerprocess import WorkerProcess
from services.gateway.rate_limit import SourceLimit
from services.gateway.settings import GatewaySettings
from services.gateway.sip.transport import Flow
from services.gateway.transports.transports import SipTransport


class Switch:
    """On the event loop's thread. `workers` has those that live, by number; the supervisor keeps it."""

    def __init__(
        self,
        settings: GatewaySettings,
        transport: SipTransport,
        trunks: Trunks,
        dispatcher: Dispatcher,
        workers: dict[int, WorkerProcess],
    ) -> None:
        self.unheard = 0
        """Messages that no worker took."""
        self._transport = transport
        self._trunks = trunks
        self._dispatcher = dispatcher
        self._workers = workers
        self._sources = SourceLimit(settings.max_messages_per_source_s)
        # As in the workers: forged sources must not push the trunks' out.
        self._strangers = SourceLimit(settings.max_messages_per_source_s)
        self._learned: dict[str, str] = {}

    def start(self) -> None:
        self._transport.start(self._message, self._unsent)

    def carried(self, worker: WorkerProcess, carried: Carried) -> None:
        """`worker` sends a message."""
        if carried.kind is Kind.SEND:
            self._dispatcher.sent(carried.data, worker.number)
            self._transport.send(carried.data, carried.flow, carried.server_name or None)

    def learned(self, worker: WorkerProcess, told: str) -> None:
        """`worker` has looked up the addresses of a trunk's servers: who sends from there is no stranger to any."""
        name, *hosts = told.split("\n")
        self._learned[name] = told
        self._trunks.learn(name, hosts)
        for other in self._workers.values():
            if other is not worker:
                other.pipe.send(Told(Kind.LEARNED, told).pack())

    def welcome(self, worker: WorkerProcess) -> None:
        """Tells a new worker what the others have learned."""
        for told in self._learned.values():
            worker.pipe.send(Told(Kind.LEARNED, told).pack())

    def _message(self, data: bytes, flow: Flow) -> None:
        source = flow.address[0]
        trusted = self._trunks.of(source) is not None
        if not (self._sources if trusted else self._strangers).allows(source, time.monotonic()):
            return
        number = self._dispatcher.receive(data, trusted)
        worker = None if number is None else self._workers.get(number)
        if worker is None or not worker.pipe.send(Carried(Kind.RECEIVED, flow, data).pack()):
            self.unheard += 1

    def _unsent(self, flow: Flow) -> None:
        # Whose message it was is not told; who has none on its way there does nothing.
        frame = Carried(Kind.UNSENT, flow).pack()
        for worker in self._workers.values():
            worker.pipe.send(frame)


def read(frame: bytes) -> Carried | Told | None:
    """None for what cannot be read, which only a worker that has lost its mind can send."""
    try:
        return unpack(frame)
    except FrameInvalid as error:
        logger().error("worker_frame_invalid", why=str(error))
        return None
