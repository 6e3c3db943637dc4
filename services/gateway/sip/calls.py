"""The calls there are, and the steps that commands, requests and timers have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from services.gateway.sip.call import Call, CallState, CallStateError, PendingAck
from services.gateway.sip.dialog import DialogId
from services.gateway.sip.events import CallEnded, EndReason, Output
from services.gateway.sip.identity import Identity
from services.gateway.sip.inspection import Fields
from services.gateway.sip.message import Request, Response
from services.gateway.sip.transaction import Timers
from services.gateway.sip.transactionlayer import Indication, Running, TransactionLayer
from services.gateway.sip.transport import Address, Send


class Calls:
    """Which call each dialog and transaction belongs to. `local` and `ids` as in `UserAgent`."""

    def __init__(self, local: Address, timers: Timers, ids: Callable[[], str]) -> None:
        self.identity = Identity(local, ids)
        self.layer = TransactionLayer(timers, ids)
        self.dialogs: dict[DialogId, Call] = {}
        self.invites: dict[Running, Call] = {}
        """INVITE and re-INVITE transactions without a final response."""
        self.requests: dict[Running, tuple[Call, str]] = {}
        """BYE and REFER that wait for theirs, with the method."""
        self.repeating: dict[Running, Call] = {}

    @property
    def held(self) -> int:
        tables = (self.dialogs, self.invites, self.requests, self.repeating)
        return self.layer.held + sum(len(table) for table in tables)

    def of(self, request: Request) -> Call | None:
        """The call whose dialog a request names (§12.2.2)."""
        return self.dialogs.get((request.call_id, request.to.tag or "", request.from_.tag or ""))

    # Messages

    def respond(
        self, running: Running, request: Request, status: int, now: float, fields: Fields = (), tag: str | None = None
    ) -> list[Output]:
        return self.reply(running, self.identity.response(request, status, fields, tag), now)

    def reply(self, running: Running, response: Response, now: float) -> list[Output]:
        return _sends(self.layer.respond(running, response, now))

    def accept(
        self, call: Call, running: Running, request: Request, sdp: bytes, now: float, initial: bool
    ) -> list[Output]:
        """200 OK to an INVITE (`initial`) or re-INVITE, repeated until its ACK (§13.3.1.4)."""
        del self.invites[running]
        response = self.identity.dialog_response(request, 200, call.dialog.local_tag, sdp)
        repeating = self.layer.repeat(response, running.destination, now)
        self.repeating[repeating] = call
        delayed = not request.body.strip()
        call.acks[request.cseq.number] = PendingAck(repeating, delayed, initial)
        return self.reply(running, response, now)

    def request(self, call: Call, method: str, now: float, fields: Fields = ()) -> list[Output]:
        request = self.identity.request(call.dialog, method, fields)
        running, items = self.layer.request(request, call.dialog.next_hop() or call.peer, now)
        self.requests[running] = (call, method)
        return _sends(items)

    def final(self, call: Call, status: int, fields: Fields = (), reason: str | None = None) -> Response:
        """A final response to the call's first INVITE."""
        return self.identity.response(call.request, status, fields, call.dialog.local_tag, reason)

    # Ends

    def hang_up(self, call: Call, now: float, fields: Fields = ()) -> list[Output]:
        return [*self.close(call, now), *self.request(call, "BYE", now, fields)]

    def end_early(self, call: Call, refused: Response, now: float, why: EndReason, detail: str = "") -> list[Output]:
        """Gives `refused` to the INVITE of a call that was never answered."""
        invite = self.proceeding(call, "refuse")
        call.invite = None
        call.state = CallState.ENDED
        del self.invites[invite]
        self.forget(call)
        outputs = self.reply(invite, refused, now)
        return [*outputs, CallEnded(call, why is EndReason.CANCELLED, why, detail)]

    def reject_reinvite(self, call: Call, status: int, now: float, fields: Fields = ()) -> list[Output]:
        """Refuses the pending re-INVITE; [] when there is none."""
        if call.reinvite is None:
            return []
        running, request = call.reinvite
        call.reinvite = None
        del self.invites[running]
        return self.respond(running, request, status, now, fields)

    def close(self, call: Call, now: float) -> list[Output]:
        """Stops all that goes on in an answered call (§15.1.2); its dialog stays until `forget`."""
        call.state = CallState.ENDED
        call.referral = None
        for pending in call.acks.values():
            self.stop(pending.repeating)
        call.acks.clear()
        return self.reject_reinvite(call, 487, now)

    def stop(self, repeating: Running) -> None:
        """No more of a 200 that was acknowledged, or whose call is over."""
        self.layer.stop_repeating(repeating)
        del self.repeating[repeating]

    def forget(self, call: Call) -> None:
        self.dialogs.pop(call.dialog.id, None)

    def proceeding(self, call: Call, command: str) -> Running:
        """The INVITE's transaction. Raises CallStateError when it has its final response."""
        if call.state is not CallState.PROCEEDING or call.invite is None:
            raise CallStateError(f"{call!r}: {command} needs a call without final response")
        return call.invite


def _sends(items: Iterable[Send | Indication]) -> list[Output]:
    """What we send ourselves indicates nothing: responses and timers come through `receive` and `expire`."""
    return [item for item in items if isinstance(item, Send)]
