"""The messages we make ourselves: our address, tags and branches in them (RFC 3261 §8.2.6, §12.1.1, §12.2.1.1)."""

from __future__ import annotations

from collections.abc import Callable

from services.gateway.sip.dialog import Dialog
from services.gateway.sip.header import Via
from services.gateway.sip.inspection import ALLOW, SUPPORTED, Fields
from services.gateway.sip.message import Request, Response
from services.gateway.sip.transport import Address
from services.gateway.sip.uri import format_host_port

ACCEPT = ("Accept", "application/sdp")


class Identity:
    """`local` goes into Contact and Via; `ids` gives a fresh token a call."""

    def __init__(self, local: Address, ids: Callable[[], str]) -> None:
        self._local = local
        self._ids = ids
        self.uri = f"<sip:{format_host_port(*local)}>"
        self.capabilities: Fields = (ACCEPT, ALLOW, SUPPORTED, ("Contact", self.uri))

    def tag(self) -> str:
        return self._ids()

    def retry_after_s(self) -> int:
        """At random from 0 to 10 (§14.2)."""
        return sum(self._ids().encode()) % 11

    def response(
        self, request: Request, status: int, fields: Fields = (), tag: str | None = None, reason: str | None = None
    ) -> Response:
        """A response that makes no dialog; `tag` where the request belongs to a call."""
        return Response.to_request(request, status, tag or self._ids(), reason, fields)

    def dialog_response(self, request: Request, status: int, tag: str, sdp: bytes | None = None) -> Response:
        """180 or 200 to an INVITE: Record-Route comes back, Contact says where to reach us."""
        fields = [*(("Record-Route", route) for route in request.record_route), ("Contact", self.uri)]
        if sdp is None:
            return Response.to_request(request, status, tag, None, fields)
        fields += [ALLOW, SUPPORTED, ("Content-Type", "application/sdp")]
        return Response.to_request(request, status, tag, None, fields, sdp)

    def request(self, dialog: Dialog, method: str, fields: Fields = ()) -> Request:
        """The next request inside `dialog`."""
        via = Via(*self._local, parameters={"branch": f"z9hG4bK{self._ids()}", "rport": None})
        return dialog.request(method, str(via), fields)
