"""Dialogs (RFC 3261 §12), and the 2xx that the transaction user repeats until the ACK (§13.3.1.4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.gateway.sip.header import Headers
from services.gateway.sip.message import Request, Response
from services.gateway.sip.transaction import Action, SetTimer, TimedOut, Timers, Transmit
from services.gateway.sip.uri import NameAddr, SipUri, without_headers

DialogId = tuple[str, str, str]
"""Call-ID, local tag, remote tag (empty when the peer is of RFC 2543 and has none, §12.1.1)."""


@dataclass(slots=True)
class Dialog:
    call_id: str
    local: str
    """Our From value in requests of ours: the header as the peer has it, with our tag."""
    remote: str
    """Our To value: the peer's From (or To) header, with its tag."""
    local_tag: str
    remote_tag: str
    remote_target: str
    """Contact URI of the peer."""
    route_set: list[str]
    """Route header values in the order in which our requests pass them."""
    local_cseq: int
    remote_cseq: int | None

    @classmethod
    def of_server(cls, request: Request, local_tag: str) -> Dialog:
        """§12.1.1: from the INVITE we answer."""
        return cls(
            call_id=request.call_id,
            local=f"{request.headers.get('To')};tag={local_tag}",
            remote=request.headers.get("From") or "",
            local_tag=local_tag,
            remote_tag=request.from_.tag or "",
            # RFC 2543 §6.13 let an INVITE go without Contact.
            remote_target=request.contacts[0].uri if request.contacts else request.from_.uri,
            route_set=request.record_route,
            local_cseq=0,
            remote_cseq=request.cseq.number,
        )

    @classmethod
    def of_client(cls, request: Request, response: Response) -> Dialog:
        """§12.1.2: from a response to an INVITE of ours; its Record-Route is taken in reverse."""
        return cls(
            call_id=request.call_id,
            local=request.headers.get("From") or "",
            remote=response.headers.get("To") or "",
            local_tag=request.from_.tag or "",
            remote_tag=response.to.tag or "",
            remote_target=response.contacts[0].uri if response.contacts else request.uri,
            route_set=response.record_route[::-1],
            local_cseq=request.cseq.number,
            remote_cseq=None,
        )

    @classmethod
    def half(cls, call_id: str, local: str, local_tag: str, target: str, cseq: int) -> Dialog:
        """What an INVITE of ours is built from, before a response makes a dialog of it (§8.1.1)."""
        return cls(call_id, local, f"<{target}>", local_tag, "", target, [], cseq, None)

    @property
    def id(self) -> DialogId:
        return self.call_id, self.local_tag, self.remote_tag

    def in_order(self, request: Request) -> bool:
        """§12.2.2: takes the CSeq of a request inside the dialog; False when it is not newer than the last, to be
        answered 500."""
        if self.remote_cseq is not None and request.cseq.number <= self.remote_cseq:
            return False
        self.remote_cseq = request.cseq.number
        return True

    def refresh(self, message: Request | Response) -> None:
        """§12.2.1.2, §12.2.2: an INVITE or UPDATE and its 2xx may say where the peer is now."""
        if message.contacts:
            self.remote_target = message.contacts[0].uri

    def request(self, method: str, via: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Request:
        """§12.2.1.1: the next request inside the dialog (any method but ACK and CANCEL)."""
        self.local_cseq += 1
        return self._build(method, self.local_cseq, via, headers, body)

    def ack(self, cseq: int, via: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Request:
        """§13.2.2.4: the ACK to a 2xx, with the CSeq number of its INVITE."""
        return self._build("ACK", cseq, via, headers, body)

    def next_hop(self) -> str:
        """URI of the one who gets our requests first: a proxy, or the peer."""
        return NameAddr.parse(self.route_set[0]).uri if self.route_set else self.remote_target

    def _build(self, method: str, cseq: int, via: str, headers: Iterable[tuple[str, str]], body: bytes) -> Request:
        uri, routes = self._route()
        fields = [("Via", via), ("Max-Forwards", "70"), *(("Route", route) for route in routes)]
        fields += [("From", self.local), ("To", self.remote), ("Call-ID", self.call_id)]
        fields += [("CSeq", f"{cseq} {method}"), *headers]
        return Request(method, without_headers(uri), Headers(fields), body)

    def _route(self) -> tuple[str, list[str]]:
        if not self.route_set:
            return self.remote_target, []
        first = SipUri.parse(NameAddr.parse(self.route_set[0]).uri)
        if first.loose:
            return self.remote_target, self.route_set
        # A strict router takes the Request-URI as its own address and finds the target last in Route.
        return str(first), [*self.route_set[1:], f"<{self.remote_target}>"]


class SuccessRetransmission:
    """§13.3.1.4: the 2xx goes out again after T1, then twice as late each time up to T2, until the ACK.

    After 64*T1 without one it gives `TimedOut`: the call is to be ended with BYE.
    """

    __slots__ = ("_interval", "_response", "_timers")

    def __init__(self, response: Response, timers: Timers) -> None:
        self._response: Response | None = response
        self._timers = timers
        self._interval = timers.t1

    def start(self, now: float) -> list[Action]:
        return [SetTimer("2xx", now + self._interval), SetTimer("ACK", now + self._timers.timeout)]

    def stop(self) -> None:
        """The ACK came, or the call ended otherwise."""
        self._response = None

    def expire(self, timer: str, now: float) -> list[Action]:
        if self._response is None:
            return []
        if timer == "2xx":
            self._interval = min(2 * self._interval, self._timers.t2)
            return [Transmit(self._response), SetTimer("2xx", now + self._interval)]
        self._response = None
        return [TimedOut()]
