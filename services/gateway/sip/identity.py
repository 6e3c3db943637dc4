"""The messages we make ourselves: our address, tags and branches in them (RFC 3261 §8.2.6, §12.1.1, §12.2.1.1)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from services.gateway.sip.header import Via
from services.gateway.sip.inspection import ALLOW, Fields
from services.gateway.sip.message import Request, Response
from services.gateway.sip.profile import Profile
from services.gateway.sip.transport import Address, Flow, Transport
from services.gateway.sip.uri import format_host_port

if TYPE_CHECKING:
    from services.gateway.sip.call import Call

ACCEPT = ("Accept", "application/sdp")

Locals = Mapping[tuple[Transport, int], Sequence[Address]]
"""By transport and IP version: the addresses that peers can reach us at (so never 0.0.0.0)."""


class Identity:
    """`ids` gives a fresh unguessable token a call."""

    def __init__(self, local: Locals, ids: Callable[[], str]) -> None:
        if not any(local.values()):
            raise ValueError("a user agent needs an address that it can be reached at")
        self._locals = dict(local)
        self._ids = ids
        self._contacts: dict[tuple[Transport, Address], str] = {}

    def token(self) -> str:
        return self._ids()

    def has(self, transport: Transport, flow: Flow) -> bool:
        """Whether we are there with `transport` in the address family of `flow`."""
        return bool(self._locals.get((transport, flow.ip_version)))

    def via(self, flow: Flow, branch: str | None = None) -> str:
        """The topmost Via of a request that goes out on `flow`; `branch` where it belongs to one sent before."""
        parameters = {"branch": branch or f"z9hG4bK{self._ids()}", "rport": None}
        return str(Via(*self.address(flow), transport=flow.transport.value, parameters=parameters))

    def contact(self, flow: Flow, user: str = "") -> str:
        """Where the peer at the other end of `flow` reaches us."""
        address = self.address(flow)
        key = (flow.transport, address)
        uri = self._contacts.get(key)
        if uri is None:
            parameter = "" if flow.transport is Transport.UDP else f";transport={flow.transport.value.lower()}"
            uri = self._contacts[key] = f"{format_host_port(*address)}{parameter}"
        return f"<sip:{user}@{uri}>" if user else f"<sip:{uri}>"

    def host(self, flow: Flow) -> str:
        """Our host part in From."""
        return self.address(flow)[0]

    def capabilities(self, flow: Flow, profile: Profile) -> Fields:
        """What OPTIONS asks for (§11.2)."""
        return ACCEPT, ALLOW, profile.supported, ("Contact", self.contact(flow))

    def retry_after_s(self) -> int:
        """At random from 0 to 10 (§14.2)."""
        return sum(self._ids().encode()) % 11

    def random(self) -> float:
        """From 0 to 1, without the 1."""
        return zlib.crc32(self._ids().encode()) / 2**32

    def response(
        self, request: Request, status: int, fields: Fields = (), tag: str | None = None, reason: str | None = None
    ) -> Response:
        """A response that makes no dialog; `tag` where the request belongs to a call."""
        return Response.to_request(request, status, tag or self._ids(), reason, fields)

    def dialog_response(
        self, request: Request, status: int, call: Call, flow: Flow, sdp: bytes | None = None, fields: Fields = ()
    ) -> Response:
        """1xx or 2xx that makes or keeps the call's dialog: Record-Route comes back, Contact says where to reach us."""
        out = [*(("Record-Route", route) for route in request.record_route), ("Contact", self.contact(flow))]
        out += [ALLOW, call.profile.supported, *fields]
        if sdp is not None:
            out.append(("Content-Type", "application/sdp"))
        return Response.to_request(request, status, call.dialog.local_tag, None, out, sdp or b"")

    def address(self, flow: Flow) -> Address:
        """Ours, as the peer at the other end of `flow` is told it. A UDP flow's number is that of our socket."""
        here = self._locals.get((flow.transport, flow.ip_version))
        if not here:
            return next(addresses[0] for addresses in self._locals.values() if addresses)
        number = 0 if flow.reliable else flow.connection
        return here[number if number < len(here) else 0]
