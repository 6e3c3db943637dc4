"""The pure user agent: datagrams and commands in, datagrams and events out.

    agent = UserAgent(("192.0.2.10", 5060))
    for output in agent.receive(data, source, now): ...      # a datagram came
    for output in agent.expire(now): ...                     # at or after agent.next_deadline()
    for output in agent.answer(call, sdp_answer, now): ...   # a command

Every method returns `list[Output]` (see events.py), to be carried out in order. `now` is seconds on any clock
that never goes back; the same clock for all calls. Nothing here raises because of what the network sent. A
command on a call that has already ended returns [] (the command and the network's BYE or CANCEL crossed); one
that does not fit the state of a live call raises `CallStateError`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

from services.gateway.sip.body import UnsupportedBody, session_description
from services.gateway.sip.call import Call, CallState, CallStateError, PendingAck
from services.gateway.sip.dialog import Dialog, DialogId
from services.gateway.sip.events import (
    CallConfirmed,
    CallEnded,
    EndReason,
    IncomingCall,
    Output,
    ReferAnswered,
    ReferNotified,
    ReofferConfirmed,
    Reoffered,
)
from services.gateway.sip.identity import ACCEPT, Identity
from services.gateway.sip.inspection import Fields, refusal
from services.gateway.sip.message import Request, Response
from services.gateway.sip.refer import Referral
from services.gateway.sip.transaction import Timers
from services.gateway.sip.transactionlayer import (
    Acknowledged,
    Arrived,
    Expired,
    Indication,
    Responded,
    Running,
    TransactionLayer,
)
from services.gateway.sip.transport import Address, Send
from services.gateway.sip.uri import NameAddr

_DEFAULT_TIMERS = Timers()


class UserAgent:
    """RFC 3261 user agent over UDP: server for calls, client for BYE and REFER inside them.

    `local` is the address that peers can reach us at: it goes into Contact and Via (so never 0.0.0.0).
    `ids` gives a fresh unguessable token a call (tags, branches).
    """

    def __init__(
        self,
        local: Address,
        timers: Timers = _DEFAULT_TIMERS,
        ids: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._identity = Identity(local, ids)
        self._layer = TransactionLayer(timers, ids)
        self._dialogs: dict[DialogId, Call] = {}
        self._invites: dict[Running, Call] = {}
        """INVITE and re-INVITE transactions without a final response."""
        self._requests: dict[Running, tuple[Call, str]] = {}
        """BYE and REFER that wait for theirs, with the method."""
        self._repeating: dict[Running, Call] = {}

    @property
    def held(self) -> int:
        """How many transactions, timers and calls are held: 0 when all is over."""
        tables = (self._dialogs, self._invites, self._requests, self._repeating)
        return self._layer.held + sum(len(table) for table in tables)

    # What the network and the clock bring

    def receive(self, data: bytes, source: Address, now: float) -> list[Output]:
        """One UDP datagram from `source`."""
        return self._carry(self._layer.receive(data, source, now), now)

    def next_deadline(self) -> float | None:
        """When `expire` is due next, or None. May be early (a timer that no longer matters), never late."""
        return self._layer.next_deadline()

    def expire(self, now: float) -> list[Output]:
        """Runs every timer due at or before `now`."""
        return self._carry(self._layer.expire(now), now)

    # Commands

    def ringing(self, call: Call, now: float) -> list[Output]:
        """180 Ringing."""
        if call.state is CallState.ENDED:
            return []
        invite = self._proceeding(call, "ringing")
        response = self._identity.dialog_response(call.request, 180, call.dialog.local_tag)
        return self._reply(invite, response, now)

    def answer(self, call: Call, sdp: bytes, now: float) -> list[Output]:
        """200 OK with `sdp` (answer, or our offer when the INVITE had none), repeated until the ACK."""
        if call.state is CallState.ENDED:
            return []
        invite = self._proceeding(call, "answer")
        call.invite = None
        call.state = CallState.ANSWERED
        return self._accept(call, invite, call.request, sdp, now, initial=True)

    def reject(
        self, call: Call, status: int, now: float, reason: str | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> list[Output]:
        """Final response 300–699, e.g. 503 with ("Retry-After", "5"); `reason` replaces the standard phrase."""
        if call.state is CallState.ENDED:
            return []
        if not 300 <= status <= 699:
            raise ValueError(f"a call is rejected with 300 to 699, not {status}")
        self._proceeding(call, "reject")
        return self._end_early(call, self._final(call, status, list(headers), reason), now, EndReason.REJECTED)

    def answer_reinvite(self, call: Call, sdp: bytes, now: float) -> list[Output]:
        """200 OK to the pending re-INVITE; [] when it was cancelled meanwhile."""
        if call.reinvite is None:
            return []
        running, request = call.reinvite
        call.reinvite = None
        return self._accept(call, running, request, sdp, now, initial=False)

    def reject_reinvite(
        self, call: Call, status: int, now: float, headers: Iterable[tuple[str, str]] = ()
    ) -> list[Output]:
        """Refuses the pending re-INVITE, e.g. 488; the call goes on as it was."""
        if call.reinvite is None:
            return []
        running, request = call.reinvite
        call.reinvite = None
        del self._invites[running]
        return self._respond(running, request, status, now, list(headers))

    def bye(self, call: Call, now: float, reason: str | None = None) -> list[Output]:
        """Ends the call however it stands: BYE, or 480 before an answer. `CallEnded` comes at once.

        Before the ACK the BYE itself waits for it (RFC 3261 §15). `reason` is a Reason header value (RFC 3326),
        e.g. 'Q.850;cause=16;text="Normal call clearing"'.
        """
        if call.state is CallState.ENDED:
            return []
        fields = () if reason is None else (("Reason", reason),)
        if call.state is CallState.PROCEEDING:
            return self._end_early(call, self._final(call, 480, fields), now, EndReason.REJECTED)
        ended = CallEnded(call, False, EndReason.LOCAL_BYE)
        if call.state is CallState.ANSWERED:
            call.bye_waits = fields
            call.state = CallState.ENDED
            return [*self.reject_reinvite(call, 487, now), ended]
        return [*self._hang_up(call, now, fields), ended]

    def refer(self, call: Call, target: str, now: float) -> list[Output]:
        """Blind transfer: REFER with Refer-To `target` (a URI, e.g. "sip:100@pbx.example" or "tel:+4930…").

        `ReferAnswered` follows once, then on 2xx `ReferNotified`. One at a time a call. The call stays up:
        a peer that took the transfer ends it with BYE, or the user does with `bye`.
        Raises ValueError when `target` is no URI.
        """
        if call.state is CallState.ENDED:
            return []
        if call.state is not CallState.CONFIRMED or call.referral is not None:
            raise CallStateError(f"{call!r}: refer needs a confirmed call without another REFER under way")
        NameAddr.parse(f"<{target}>")
        fields = [("Refer-To", f"<{target}>"), ("Referred-By", self._identity.uri), ("Contact", self._identity.uri)]
        call.referral = Referral(call.dialog.local_cseq + 1)
        return self._request(call, "REFER", now, fields)

    # From the transaction layer

    def _carry(self, items: Iterable[Send | Indication], now: float) -> list[Output]:
        outputs: list[Output] = []
        for item in items:
            match item:
                case Send():
                    outputs.append(item)
                case Arrived():
                    outputs += self._on_request(item, now)
                case Acknowledged(request):
                    outputs += self._on_ack(request, now)
                case Responded(running, response):
                    if response.status >= 200:
                        outputs += self._on_final(running, response.status, response.reason, now)
                case Expired(running):
                    outputs += self._on_expired(running, now)
        return outputs

    def _on_request(self, arrived: Arrived, now: float) -> list[Output]:
        """§8.2, in its order."""
        running, request = arrived.running, arrived.request
        if request.method == "CANCEL":
            return self._on_cancel(running, request, now)
        refused = refusal(request, arrived.merged)
        if refused is not None:
            return self._respond(running, request, refused[0], now, refused[1])
        if request.to.tag is not None:
            return self._on_request_in_dialog(running, request, now)
        match request.method:
            case "INVITE":
                return self._on_invite(running, request, now)
            case "OPTIONS":
                return self._respond(running, request, 200, now, self._identity.capabilities)
        return self._respond(running, request, 481, now)

    def _on_invite(self, running: Running, request: Request, now: float) -> list[Output]:
        try:
            offer = session_description(request)
        except UnsupportedBody:
            return self._respond(running, request, 415, now, [ACCEPT])
        dialog = Dialog.of_server(request, self._identity.tag())
        call = Call(request, dialog, running, running.destination)
        self._dialogs[dialog.id] = self._invites[running] = call
        return [*self._reply(running, Response.trying(request), now), IncomingCall(call, offer)]

    def _on_request_in_dialog(self, running: Running, request: Request, now: float) -> list[Output]:
        call = self._call_of(request)
        if call is None or (call.state is CallState.ENDED and request.method != "BYE"):
            return self._respond(running, request, 481, now)
        if not call.dialog.in_order(request):
            return self._respond(running, request, 500, now)
        match request.method:
            case "BYE":
                return self._on_bye(call, running, request, now)
            case "INVITE":
                return self._on_reinvite(call, running, request, now)
            case "NOTIFY":
                return self._on_notify(call, running, request, now)
        return self._respond(running, request, 200, now, self._identity.capabilities)

    def _on_reinvite(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        if call.state is CallState.PROCEEDING or call.reinvite is not None:
            # §14.2: an INVITE of theirs is still without final response.
            retry_after = ("Retry-After", str(self._identity.retry_after_s()))
            return self._respond(running, request, 500, now, [retry_after])
        if any(pending.expects_answer for pending in call.acks.values()):
            return self._respond(running, request, 491, now)
        try:
            offer = session_description(request)
        except UnsupportedBody:
            return self._respond(running, request, 415, now, [ACCEPT])
        call.dialog.remote_target = request.contacts[0].uri
        call.reinvite = (running, request)
        self._invites[running] = call
        return [*self._reply(running, Response.trying(request), now), Reoffered(call, offer)]

    def _on_ack(self, request: Request, now: float) -> list[Output]:
        call = self._call_of(request)
        pending = call.acks.pop(request.cseq.number, None) if call is not None else None
        if call is None or pending is None:
            return []
        self._stop(pending.repeating)
        if call.state is CallState.ENDED:
            return self._hang_up(call, now, call.bye_waits or ())
        answer = None
        if pending.expects_answer:
            try:
                answer = session_description(request)
            except UnsupportedBody:
                answer = None
        if not pending.initial:
            return [ReofferConfirmed(call, answer)]
        call.state = CallState.CONFIRMED
        return [CallConfirmed(call, answer)]

    def _on_cancel(self, running: Running, request: Request, now: float) -> list[Output]:
        """§9.2. A CANCEL that crossed our final response changes nothing."""
        invite = self._layer.invite_of(request)
        if invite is None:
            return self._respond(running, request, 481, now)
        call = self._invites.get(invite)
        tag = None if call is None else call.dialog.local_tag
        outputs = self._respond(running, request, 200, now, tag=tag)
        if call is None:
            return outputs
        if call.invite is not invite:
            return outputs + self.reject_reinvite(call, 487, now)
        return outputs + self._cancelled(call, request, now)

    def _on_bye(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        outputs = self._respond(running, request, 200, now)
        if call.state is CallState.PROCEEDING:
            return outputs + self._cancelled(call, request, now)
        already_ended = call.state is CallState.ENDED
        outputs += self._close(call, now)
        self._forget(call)
        return outputs if already_ended else [*outputs, CallEnded(call, True, EndReason.REMOTE_BYE, _reason(request))]

    def _on_notify(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        package = (request.headers.get("Event") or "").partition(";")[0].strip().lower()
        if package != "refer":
            return self._respond(running, request, 489, now, [("Allow-Events", "refer")])
        if call.referral is None or not call.referral.matches(request):
            return self._respond(running, request, 481, now)
        outputs = self._respond(running, request, 200, now)
        progress = call.referral.notified(request)
        if call.referral.over:
            call.referral = None
        if progress is not None:
            outputs.append(ReferNotified(call, progress.status, progress.reason, progress.final))
        return outputs

    def _on_final(self, running: Running, status: int, reason: str, now: float) -> list[Output]:
        """The outcome of a BYE or REFER of ours; a timeout counts as 408 (§8.1.3.1)."""
        call, method = self._requests.pop(running, (None, ""))
        if call is None:
            return []
        if method == "BYE":
            self._forget(call)
        if call.state is CallState.ENDED:
            return []
        outputs: list[Output] = [ReferAnswered(call, status, reason)]
        if status >= 300:
            call.referral = None
        if status != 481:
            return outputs
        # §12.2.1.2: the peer has forgotten the dialog. A 408 does not end it: many peers just ignore REFER.
        outputs += self._close(call, now)
        self._forget(call)
        return [*outputs, CallEnded(call, True, EndReason.DIALOG_GONE)]

    def _on_expired(self, running: Running, now: float) -> list[Output]:
        call = self._repeating.get(running)
        if call is None:
            return self._on_final(running, 408, "Request Timeout", now)
        if call.state is CallState.ENDED:
            return self._hang_up(call, now, call.bye_waits or ())
        return [*self._hang_up(call, now), CallEnded(call, False, EndReason.NO_ACK)]

    # Steps

    def _respond(
        self, running: Running, request: Request, status: int, now: float, fields: Fields = (), tag: str | None = None
    ) -> list[Output]:
        return self._carry(
            self._layer.respond(running, self._identity.response(request, status, fields, tag), now), now
        )

    def _reply(self, running: Running, response: Response, now: float) -> list[Output]:
        return self._carry(self._layer.respond(running, response, now), now)

    def _accept(
        self, call: Call, running: Running, request: Request, sdp: bytes, now: float, initial: bool
    ) -> list[Output]:
        del self._invites[running]
        response = self._identity.dialog_response(request, 200, call.dialog.local_tag, sdp)
        repeating = self._layer.repeat(response, running.destination, now)
        self._repeating[repeating] = call
        delayed = not request.body.strip()
        call.acks[request.cseq.number] = PendingAck(repeating, delayed, initial)
        return self._reply(running, response, now)

    def _request(self, call: Call, method: str, now: float, fields: Fields = ()) -> list[Output]:
        request = self._identity.request(call.dialog, method, fields)
        running, items = self._layer.request(request, call.dialog.next_hop() or call.peer, now)
        self._requests[running] = (call, method)
        return self._carry(items, now)

    def _hang_up(self, call: Call, now: float, fields: Fields = ()) -> list[Output]:
        return [*self._close(call, now), *self._request(call, "BYE", now, fields)]

    def _end_early(self, call: Call, refused: Response, now: float, why: EndReason, detail: str = "") -> list[Output]:
        """Gives `refused` to the INVITE of a call that was never answered."""
        invite = self._proceeding(call, "refuse")
        call.invite = None
        call.state = CallState.ENDED
        del self._invites[invite]
        self._forget(call)
        outputs = self._reply(invite, refused, now)
        return [*outputs, CallEnded(call, why is EndReason.CANCELLED, why, detail)]

    def _cancelled(self, call: Call, request: Request, now: float) -> list[Output]:
        return self._end_early(call, self._final(call, 487), now, EndReason.CANCELLED, _reason(request))

    def _final(self, call: Call, status: int, fields: Fields = (), reason: str | None = None) -> Response:
        """A final response to the call's first INVITE."""
        return self._identity.response(call.request, status, fields, call.dialog.local_tag, reason)

    def _close(self, call: Call, now: float) -> list[Output]:
        """Stops all that goes on in an answered call (§15.1.2); its dialog stays until `_forget`."""
        call.state = CallState.ENDED
        call.referral = None
        for pending in call.acks.values():
            self._stop(pending.repeating)
        call.acks.clear()
        return self.reject_reinvite(call, 487, now)

    def _stop(self, repeating: Running) -> None:
        self._layer.stop_repeating(repeating)
        del self._repeating[repeating]

    def _forget(self, call: Call) -> None:
        self._dialogs.pop(call.dialog.id, None)

    def _proceeding(self, call: Call, command: str) -> Running:
        if call.state is not CallState.PROCEEDING or call.invite is None:
            raise CallStateError(f"{call!r}: {command} needs a call without final response")
        return call.invite

    def _call_of(self, request: Request) -> Call | None:
        return self._dialogs.get((request.call_id, request.to.tag or "", request.from_.tag or ""))


def _reason(request: Request) -> str:
    return request.headers.get("Reason") or ""
