"""The user agent server (RFC 3261 §8.2): what becomes of a request, in a call or outside of one."""

from __future__ import annotations

from services.gateway.sip.body import UnsupportedBody, session_description
from services.gateway.sip.call import Call, CallState
from services.gateway.sip.calls import Calls
from services.gateway.sip.dialog import Dialog
from services.gateway.sip.events import (
    CallConfirmed,
    CallEnded,
    EndReason,
    IncomingCall,
    Output,
    ReferNotified,
    ReofferConfirmed,
    Reoffered,
)
from services.gateway.sip.identity import ACCEPT
from services.gateway.sip.inspection import refusal
from services.gateway.sip.message import Request, Response
from services.gateway.sip.transactionlayer import Arrived, Running
from services.gateway.sip.uri import readable


class UserAgentServer:
    """Answers requests at once, but for INVITE and re-INVITE: these wait for `UserAgent`'s commands."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def on_request(self, arrived: Arrived, now: float) -> list[Output]:
        """§8.2, in its order."""
        running, request = arrived.running, arrived.request
        if request.method == "CANCEL":
            return self._on_cancel(running, request, now)
        refused = refusal(request, arrived.merged)
        if refused is not None:
            return self._calls.respond(running, request, refused[0], now, refused[1])
        if request.to.tag is not None:
            return self._on_request_in_dialog(running, request, now)
        match request.method:
            case "INVITE":
                return self._on_invite(running, request, now)
            case "OPTIONS":
                return self._calls.respond(running, request, 200, now, self._calls.identity.capabilities)
        return self._calls.respond(running, request, 481, now)

    def _on_invite(self, running: Running, request: Request, now: float) -> list[Output]:
        try:
            offer = session_description(request)
        except UnsupportedBody:
            return self._calls.respond(running, request, 415, now, [ACCEPT])
        dialog = Dialog.of_server(request, self._calls.identity.tag())
        call = Call(request, dialog, running, running.destination)
        self._calls.dialogs[dialog.id] = self._calls.invites[running] = call
        return [*self._calls.reply(running, Response.trying(request), now), IncomingCall(call, offer)]

    def _on_request_in_dialog(self, running: Running, request: Request, now: float) -> list[Output]:
        call = self._calls.of(request)
        if call is None or (call.state is CallState.ENDED and request.method != "BYE"):
            return self._calls.respond(running, request, 481, now)
        if not call.dialog.in_order(request):
            return self._calls.respond(running, request, 500, now)
        match request.method:
            case "BYE":
                return self._on_bye(call, running, request, now)
            case "INVITE":
                return self._on_reinvite(call, running, request, now)
            case "NOTIFY":
                return self._on_notify(call, running, request, now)
        return self._calls.respond(running, request, 200, now, self._calls.identity.capabilities)

    def _on_reinvite(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        if call.state is CallState.PROCEEDING or call.reinvite is not None:
            # §14.2: an INVITE of theirs is still without final response.
            retry_after = ("Retry-After", str(self._calls.identity.retry_after_s()))
            return self._calls.respond(running, request, 500, now, [retry_after])
        if any(pending.expects_answer for pending in call.acks.values()):
            return self._calls.respond(running, request, 491, now)
        try:
            offer = session_description(request)
        except UnsupportedBody:
            return self._calls.respond(running, request, 415, now, [ACCEPT])
        call.dialog.remote_target = request.contacts[0].uri
        call.reinvite = (running, request)
        self._calls.invites[running] = call
        return [*self._calls.reply(running, Response.trying(request), now), Reoffered(call, offer)]

    def on_ack(self, request: Request, now: float) -> list[Output]:
        call = self._calls.of(request)
        pending = call.acks.pop(request.cseq.number, None) if call is not None else None
        if call is None or pending is None:
            return []
        self._calls.stop(pending.repeating)
        if call.state is CallState.ENDED:
            return self._calls.hang_up(call, now, call.bye_waits or ())
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
        invite = self._calls.layer.invite_of(request)
        if invite is None:
            return self._calls.respond(running, request, 481, now)
        call = self._calls.invites.get(invite)
        tag = None if call is None else call.dialog.local_tag
        outputs = self._calls.respond(running, request, 200, now, tag=tag)
        if call is None:
            return outputs
        if call.invite is not invite:
            return outputs + self._calls.reject_reinvite(call, 487, now)
        return outputs + self._cancelled(call, request, now)

    def _on_bye(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        outputs = self._calls.respond(running, request, 200, now)
        if call.state is CallState.PROCEEDING:
            return outputs + self._cancelled(call, request, now)
        already_ended = call.state is CallState.ENDED
        outputs += self._calls.close(call, now)
        self._calls.forget(call)
        return outputs if already_ended else [*outputs, CallEnded(call, True, EndReason.REMOTE_BYE, _reason(request))]

    def _on_notify(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        package = (request.headers.get("Event") or "").partition(";")[0].strip().lower()
        if package != "refer":
            return self._calls.respond(running, request, 489, now, [("Allow-Events", "refer")])
        if call.referral is None or not call.referral.matches(request):
            return self._calls.respond(running, request, 481, now)
        outputs = self._calls.respond(running, request, 200, now)
        progress = call.referral.notified(request)
        if call.referral.over:
            call.referral = None
        if progress is not None:
            outputs.append(ReferNotified(call, progress.status, progress.reason, progress.final))
        return outputs

    def _cancelled(self, call: Call, request: Request, now: float) -> list[Output]:
        return self._calls.end_early(call, self._calls.final(call, 487), now, EndReason.CANCELLED, _reason(request))


def _reason(request: Request) -> str:
    return readable(request.headers.get("Reason") or "")
