"""The transaction layer (RFC 3261 §17, §18): which message belongs to which machine, where it goes, what is due."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from services.gateway.sip.dialog import SuccessRetransmission
from services.gateway.sip.message import REASON_PHRASES, Request, Response, SipParseError, parse
from services.gateway.sip.transaction import (
    Action,
    ClientTransaction,
    Deliver,
    InviteClientTransaction,
    InviteServerTransaction,
    NonInviteClientTransaction,
    NonInviteServerTransaction,
    ServerTransaction,
    SetTimer,
    Terminated,
    TimedOut,
    Timers,
    Transmit,
)
from services.gateway.sip.transport import Flow, Send, reply_flow

if TYPE_CHECKING:
    from services.gateway.sip.outgoing import Outgoing

_Key = str
"""Parts joined by line feeds, which none of them holds: less to keep for 32 s than a tuple."""

MOST_SERVERS = 65_536
"""Server transactions with which a request outside of any call is still served; within calls twice as many. A call by
UDP has two, for 32 s each: a thousand calls a second. Beyond, forged sources would fill the memory."""


@dataclass(eq=False, slots=True)
class Running:
    """A machine at work, and where its messages go."""

    machine: ServerTransaction | ClientTransaction | SuccessRetransmission
    flow: Flow
    key: _Key = ""
    merge_key: _Key = ""
    server_name: str = ""
    outgoing: Outgoing | None = None
    """What a client transaction is one try of."""
    to_tag: str | None = None
    """Of the INVITE's final response, for those that come too late (§9.2)."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request that opened a server transaction."""

    running: Running
    request: Request
    flow: Flow
    """It came on; the response may go elsewhere."""
    merged: bool
    """The same request is here already by another path (§8.2.2.2)."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An ACK that belongs to no INVITE transaction, or to one that was accepted: it is for the dialog."""

    request: Request


@dataclass(frozen=True, slots=True)
class Responded:
    running: Running
    response: Response


@dataclass(frozen=True, slots=True)
class Expired:
    """The machine gave up: nobody answered or acknowledged, or the message could not be sent."""

    running: Running
    unreachable: bool = False


Indication = Arrived | Acknowledged | Responded | Expired


class TransactionLayer:
    """Holds every machine, its timers, and nothing that is over."""

    def __init__(self, timers: Timers, ids: Callable[[], str]) -> None:
        self.timers = timers
        self.most_servers = MOST_SERVERS
        self._ids = ids
        self._servers: dict[_Key, Running] = {}
        self._clients: dict[_Key, Running] = {}
        self._merge: dict[_Key, Running] = {}
        self._heap: list[tuple[float, int, Running, str]] = []
        self._order = count()

    @property
    def held(self) -> int:
        """Machines and timers that are still held."""
        return len(self._servers) + len(self._clients) + len(self._merge) + len(self._heap)

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Send | Indication]:
        if not data.strip(b"\r\n\0 "):
            return []  # Keep-alive (RFC 5626 §3.5.1; some phones send a NUL).
        try:
            message = parse(data)
        except SipParseError as error:
            return self._refuse(error, flow)
        if isinstance(message, Response):
            running = self._clients.get(_client_key(message.via.branch, message.cseq.method))
            if running is None or not isinstance(running.machine, ClientTransaction):
                return []
            return self.perform(running, running.machine.receive(message, now))
        return self._receive_request(message, flow, now)

    def _receive_request(self, request: Request, flow: Flow, now: float) -> list[Send | Indication]:
        key = _server_key(request, request.method)
        request.mark_received(*flow.address)
        running = self._servers.get(key)
        if running is not None and isinstance(running.machine, ServerTransaction):
            return self.perform(running, running.machine.receive(request, now))
        if request.method == "ACK":
            return [Acknowledged(request)]
        new = request.to.tag is None and (request.method != "CANCEL" or self.invite_of(request) is None)
        if len(self._servers) >= (self.most_servers if new else 2 * self.most_servers):
            return self._refuse(SipParseError(REASON_PHRASES[503], 503, request), flow)
        kind = InviteServerTransaction if request.method == "INVITE" else NonInviteServerTransaction
        machine = kind(self.timers, flow.reliable)
        merge_key: _Key = ""
        # §8.2.2.2 means any request, but carriers ping with OPTIONS that differ in nothing but the branch.
        if request.to.tag is None and request.method == "INVITE":
            merge_key = f"{request.call_id}\n{request.from_.tag}\n{request.cseq}"
        running = self._servers[key] = Running(machine, reply_flow(request, flow), key, merge_key)
        merged = bool(merge_key) and self._merge.setdefault(merge_key, running) is not running
        return [Arrived(running, request, flow, merged)]

    def invite_of(self, cancel: Request) -> Running | None:
        """The INVITE transaction that a CANCEL means (§9.2)."""
        return self._servers.get(_server_key(cancel, "INVITE"))

    def respond(self, running: Running, response: Response, now: float) -> list[Send | Indication]:
        assert isinstance(running.machine, ServerTransaction)
        if response.status >= 200:
            running.to_tag = response.to.tag
        return self.perform(running, running.machine.respond(response, now))

    def request(
        self, request: Request, flow: Flow, now: float, server_name: str = ""
    ) -> tuple[Running, list[Send | Indication]]:
        """Sends a request (not ACK) in a new client transaction."""
        key = _client_key(request.via.branch, request.method)
        kind = InviteClientTransaction if request.method == "INVITE" else NonInviteClientTransaction
        machine = kind(request, self.timers, flow.reliable)
        running = self._clients[key] = Running(machine, flow, key, server_name=server_name)
        return running, self.perform(running, machine.start(now))

    def unreachable(self, flow: Flow, now: float) -> list[Send | Indication]:
        """What was sent to `flow` did not get there (§17.1.4): whoever waits for an answer waits no longer."""
        results: list[Send | Indication] = []
        for running in [one for one in self._clients.values() if one.flow == flow]:
            assert isinstance(running.machine, ClientTransaction)
            for action in running.machine.unreachable():
                if isinstance(action, TimedOut):
                    results.append(Expired(running, unreachable=True))
                else:
                    results += self.perform(running, [action])
        return results

    def repeat(self, response: Response, flow: Flow, now: float) -> Running:
        """Keeps a 2xx to an INVITE going until it is acknowledged, also over TCP (§13.3.1.4)."""
        machine = SuccessRetransmission(response, self.timers)
        running = Running(machine, flow)
        self.perform(running, machine.start(now))
        return running

    def drop(self, running: Running) -> None:
        """Forgets a client transaction that will have no end of its own (§9.1)."""
        self._forget(running)

    def stop_repeating(self, running: Running) -> None:
        assert isinstance(running.machine, SuccessRetransmission)
        running.machine.stop()

    def next_deadline(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def expire(self, now: float) -> list[Send | Indication]:
        results: list[Send | Indication] = []
        while self._heap and self._heap[0][0] <= now:
            _, _, running, name = heapq.heappop(self._heap)
            # With `now`, not the timer's own time: after a stall one retransmission is wanted, not a burst.
            results += self.perform(running, running.machine.expire(name, now))
        return results

    def perform(self, running: Running, actions: list[Action]) -> list[Send | Indication]:
        results: list[Send | Indication] = []
        for action in actions:
            match action:
                case Transmit(message):
                    results.append(Send(message.encode(), running.flow, running.server_name))
                case SetTimer(name, at):
                    heapq.heappush(self._heap, (at, next(self._order), running, name))
                case Deliver(message):
                    results.append(
                        Acknowledged(message) if isinstance(message, Request) else Responded(running, message)
                    )
                case TimedOut():
                    results.append(Expired(running))
                case Terminated():
                    self._forget(running)
        return results

    def _forget(self, running: Running) -> None:
        table = self._servers if isinstance(running.machine, ServerTransaction) else self._clients
        table.pop(running.key, None)
        if self._merge.get(running.merge_key) is running:
            del self._merge[running.merge_key]

    def refuse(self, data: bytes, flow: Flow, status: int) -> list[Send | Indication]:
        """Answers a request with `status` and keeps no state of it; anything else is dropped."""
        try:
            message = parse(data)
        except SipParseError as error:
            return self._refuse(error, flow)
        if not isinstance(message, Request):
            return []
        return self._refuse(SipParseError(REASON_PHRASES[status], status, message), flow)

    def _refuse(self, error: SipParseError, flow: Flow) -> list[Send | Indication]:
        """Answers a malformed request without keeping state, where enough of it can be read (§8.2.7)."""
        request = error.request
        if request is None or request.method == "ACK":
            return []
        try:
            request.mark_received(*flow.address)
        except SipParseError:
            return []
        try:
            response = Response.to_request(request, error.status, self._ids(), error.reason)
        except SipParseError:
            response = Response.to_request(request, error.status, None, error.reason)
        return [Send(response.encode(), reply_flow(request, flow))]


def _client_key(branch: str | None, method: str) -> _Key:
    """§17.1.3."""
    return f"{branch}\n{method}"


def _server_key(request: Request, method: str) -> _Key:
    """§17.2.3: branch, sent-by and method; without a usable branch what RFC 2543 matched by."""
    method = "INVITE" if method == "ACK" else method
    via = request.via
    if via.branch is not None:
        return f"{via.branch}\n{via.host}\n{via.port}\n{method}"
    sent_by = f"{via.host}:{via.port};{via.parameters.get('branch')}"
    return "\n".join((request.uri, request.call_id, request.from_.tag or "", str(request.cseq.number), sent_by, method))
