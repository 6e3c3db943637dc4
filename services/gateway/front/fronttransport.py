"""A worker's SIP transport: the front's sockets, by way of the pipe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from services.common.telemetry.log import logger
from services.gateway.access import Trunks
from services.gateway.front.frame import Carried, FrameInvalid, Kind, Told, unpack
from services.gateway.front.pipe import Pipe
from services.gateway.settings import GatewaySettings
from services.gateway.sip.transport import Flow
from services.gateway.transports.transports import Locals, OnMessage, OnUnsent

_ALIVE_S = 1.0


class SharedTrunks(Trunks):
    """Trunks whose servers' addresses all workers and the front know as soon as one has looked them up."""

    def __init__(self, settings: GatewaySettings, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told: dict[str, frozenset[str]] = {}
        super().__init__(settings)

    def learn(self, name: str, hosts: Iterable[str]) -> None:
        found = frozenset(hosts)
        if not found:
            return  # a new worker that has asked nobody yet takes nothing away
        super().learn(name, found)
        if self._told.get(name) != found:
            self._told[name] = found
            self._tell("\n".join((name, *sorted(found))))

    def hear(self, told: str) -> None:
        """What another has told."""
        name, *hosts = told.split("\n")
        self._told[name] = frozenset(hosts)
        super().learn(name, hosts)


class FrontTransport:
    """SipTransport (see transports.py) in a worker. All methods run on the event loop's thread."""

    def __init__(self, pipe: Pipe, locals_: Locals) -> None:
        self._pipe = pipe
        self._locals = locals_
        self._on_message: OnMessage = lambda data, flow: None
        self._on_unsent: OnUnsent = lambda flow: None
        self._on_learned: Callable[[str], None] = lambda told: None
        self._alive: asyncio.TimerHandle | None = None

    def connect(self, on_learned: Callable[[str], None], on_end: Callable[[], None]) -> None:
        """Listens to the front. `on_end`: it has gone."""
        self._on_learned = on_learned
        self._pipe.start(self._frame, on_end)

    def start(self, on_message: OnMessage, on_unsent: OnUnsent) -> None:
        self._on_message, self._on_unsent = on_message, on_unsent
        self._tell_alive()

    def send(self, data: bytes, flow: Flow, server_name: str | None = None) -> None:
        try:
            frame = Carried(Kind.SEND, flow, data, server_name or "").pack()
        except FrameInvalid as error:
            logger().warning("sip_unsent", why=str(error))
            asyncio.get_running_loop().call_soon(self._on_unsent, flow)
        else:
            self._pipe.send(frame)

    def tell(self, kind: Kind, text: str = "") -> None:
        self._pipe.send(Told(kind, text).pack())

    def locals(self) -> Locals:
        return self._locals

    async def close(self) -> None:
        if self._alive is not None:
            self._alive.cancel()
        for _ in range(15):
            if self._pipe.idle:
                break
            await asyncio.sleep(0.02)
        self._pipe.close()

    def _frame(self, frame: bytes) -> None:
        match unpack(frame):
            case Carried(Kind.RECEIVED, flow, data):
                self._on_message(data, flow)
            case Carried(Kind.UNSENT, flow):
                self._on_unsent(flow)
            case Told(Kind.LEARNED, text):
                self._on_learned(text)

    def _tell_alive(self) -> None:
        self.tell(Kind.ALIVE)
        self._alive = asyncio.get_running_loop().call_later(_ALIVE_S, self._tell_alive)
