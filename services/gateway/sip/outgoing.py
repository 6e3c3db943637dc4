"""Requests of ours: found a way, tried at one server after the other, authenticated, answered (RFC 3261 §8.1, §22)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from services.gateway.sip.digestclient import DigestClient
from services.gateway.sip.events import LookUp, Output
from services.gateway.sip.header import Headers
from services.gateway.sip.identity import Identity
from services.gateway.sip.inspection import Fields
from services.gateway.sip.message import Request, Response
from services.gateway.sip.outages import Outages
from services.gateway.sip.retryafter import retry_after_s
from services.gateway.sip.targets import Target
from services.gateway.sip.transactionlayer import Indication, Running, TransactionLayer
from services.gateway.sip.transport import Flow, Send, Transport, numeric_flow

# §18.1.1: what is larger may be cut into fragments that firewalls drop.
LARGEST_DATAGRAM_BYTES = 1300

Way = Flow | str
"""Where a request goes: a flow, or a URI that names it."""
Build = Callable[[Flow, Fields], Request]
"""Makes a request, each time with a new branch and a higher CSeq: for the flow that it goes out on, and with the
credentials to add."""


@dataclass(eq=False, slots=True)
class Outgoing:
    """One request, from the command to its final response, over as many transactions as that takes.

    `answered` gets each response but those that this layer acts on; `failed` gets 408 when nobody
    answered and 503 when nobody could be reached (§8.1.3.1). Exactly one of them is told the end.
    """

    build: Build
    answered: Callable[[Response, float], list[Output]]
    failed: Callable[[int, float], list[Output]]
    digest: DigestClient | None = None
    targets: list[Target] = field(default_factory=list)
    """Those that are left."""
    running: Running | None = None
    request: Request | None = None
    """The latest that was sent."""
    credentials: Fields = ()
    stream_tried: bool = False
    """It was too large for UDP and has been tried over TCP."""
    proceeding: bool = False
    """A provisional response came to the latest try: it may be cancelled (§9.1)."""
    given_up: bool = False
    """Whatever comes, it is not tried again."""
    over: bool = False
    """It has its outcome, or nobody waits for it any more."""


class Client:
    def __init__(self, identity: Identity, layer: TransactionLayer) -> None:
        self._identity = identity
        self._layer = layer
        self._tokens = count(1)
        self._lookups: dict[int, Callable[[Sequence[Target], float], list[Output]]] = {}
        self._unanswered: set[Outgoing] = set()
        self._outages = Outages()

    @property
    def held(self) -> int:
        return len(self._lookups) + len(self._unanswered)

    @property
    def waiting(self) -> bool:
        """Whether a request of ours waits for its final response."""
        return bool(self.held)

    def start(self, outgoing: Outgoing, way: Way, now: float, known: Flow | None = None) -> list[Output]:
        """Sends it. `known`: where the peer was heard last, for a name that leads nowhere."""

        def go(targets: Sequence[Target], now: float) -> list[Output]:
            if outgoing.over:
                return []
            outgoing.targets = self._outages.in_order(targets, now)
            return self._next(outgoing, 503, now)

        return self.locate(way, now, go, known)

    def locate(
        self,
        way: Way,
        now: float,
        then: Callable[[Sequence[Target], float], list[Output]],
        known: Flow | None = None,
    ) -> list[Output]:
        """Calls `then` with the targets: at once where no name is to be looked up."""
        flow = numeric_flow(way) if isinstance(way, str) else way
        if flow is not None:
            return then([Target(flow, flow.address[0])], now)
        assert isinstance(way, str)
        token = next(self._tokens)
        spare = [] if known is None else [Target(known, known.address[0])]
        self._lookups[token] = lambda targets, now: then(targets or spare, now)
        return [LookUp(token, way)]

    def looked_up(self, token: int, targets: Sequence[Target], now: float) -> list[Output]:
        then = self._lookups.pop(token, None)
        return [] if then is None else then(targets, now)

    def give_up(self, outgoing: Outgoing, now: float) -> list[Output]:
        """§9.1: CANCEL for an INVITE, at once or when a provisional response shows that it has arrived."""
        outgoing.given_up = True
        if outgoing.running is None:
            self._end(outgoing)
        return self.cancel(outgoing, now) if outgoing.proceeding and not outgoing.over else []

    def cancel(self, outgoing: Outgoing, now: float) -> list[Output]:
        """§9.1: a CANCEL for the INVITE that is out; nobody cares what is said to it."""
        invite, running = outgoing.request, outgoing.running
        if invite is None or running is None:
            return []
        fields = [("Via", invite.vias[0]), ("Max-Forwards", "70")]
        fields += [("Route", route) for route in invite.headers.all("Route")]
        fields += [(name, invite.headers.get(name) or "") for name in ("From", "To", "Call-ID")]
        fields.append(("CSeq", f"{invite.cseq.number} CANCEL"))
        cancel = Request("CANCEL", invite.uri, Headers(fields))
        _, items = self._layer.request(cancel, running.flow, now, running.server_name)
        return sends(items)

    def drop(self, outgoing: Outgoing) -> None:
        """Forgets a request that nobody will answer any more."""
        self._end(outgoing)
        if outgoing.running is not None:
            self._layer.drop(outgoing.running)

    def on_response(self, running: Running, response: Response, now: float) -> list[Output]:
        outgoing = running.outgoing
        # An INVITE's 2xx comes again, and from other branches of a fork, until timer M.
        accepted = response.cseq.method == "INVITE" and 200 <= response.status < 300
        if outgoing is None or (outgoing.over and not accepted):
            return []
        if response.status < 200:
            first, outgoing.proceeding = not outgoing.proceeding, True
            if outgoing.given_up:
                return self.cancel(outgoing, now) if first else []
            return outgoing.answered(response, now)
        again = not outgoing.given_up
        if response.status in (401, 407) and again and outgoing.digest is not None and outgoing.request is not None:
            credentials = outgoing.digest.answer(outgoing.request, response)
            if credentials is not None:
                outgoing.credentials = credentials
                return self._try(outgoing, Target(running.flow, running.server_name), now)
        target = Target(Flow(running.flow.transport, running.flow.address), running.server_name)
        if response.status == 503:
            self._outages.failed(target, now, retry_after_s(response))
            # The same server by another transport would say the same.
            outgoing.targets = [one for one in outgoing.targets if one.flow.address != running.flow.address]
            if outgoing.targets and again:
                return self._next(outgoing, 503, now)
        elif response.status != 408:
            self._outages.answered(target)
        self._end(outgoing)
        return outgoing.answered(response, now)

    def on_expired(self, running: Running, unreachable: bool, now: float) -> list[Output]:
        outgoing = running.outgoing
        if outgoing is None or outgoing.over:
            return []
        self._outages.failed(Target(running.flow, running.server_name), now)
        return self._next(outgoing, 503 if unreachable else 408, now)

    def _end(self, outgoing: Outgoing) -> None:
        outgoing.over = True
        self._unanswered.discard(outgoing)

    def _next(self, outgoing: Outgoing, status: int, now: float) -> list[Output]:
        if not outgoing.targets or outgoing.given_up:
            self._end(outgoing)
            return outgoing.failed(status, now)
        return self._try(outgoing, outgoing.targets.pop(0), now)

    def _try(self, outgoing: Outgoing, target: Target, now: float) -> list[Output]:
        flow = target.flow
        request = outgoing.build(flow, outgoing.credentials)
        if not outgoing.stream_tried and self._too_large(request, flow):
            # §18.1.1: over TCP; and over UDP after all where nobody listens there.
            outgoing.stream_tried = True
            outgoing.targets.insert(0, target)
            flow = Flow(Transport.TCP, flow.address)
            request = outgoing.build(flow, outgoing.credentials)
        outgoing.request = request
        outgoing.proceeding = False
        outgoing.running, items = self._layer.request(request, flow, now, target.server_name)
        outgoing.running.outgoing = outgoing
        self._unanswered.add(outgoing)
        return sends(items)

    def _too_large(self, request: Request, flow: Flow) -> bool:
        if flow.transport is not Transport.UDP or not self._identity.has(Transport.TCP, flow):
            return False
        return len(request.encode()) > LARGEST_DATAGRAM_BYTES


def sends(items: Sequence[Send | Indication]) -> list[Output]:
    """What we send ourselves indicates nothing: responses and timers come through `receive` and `expire`."""
    return [item for item in items if isinstance(item, Send)]
