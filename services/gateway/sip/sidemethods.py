"""What else is asked inside a call: PRACK, INFO, MESSAGE, REFER, NOTIFY, OPTIONS."""

from __future__ import annotations

from services.gateway.sip import info
from services.gateway.sip.body import UnsupportedBody, media_type, session_description
from services.gateway.sip.call import Call, CallState, PendingOffer
from services.gateway.sip.calls import Calls
from services.gateway.sip.events import (
    DtmfReceived,
    MessageReceived,
    Output,
    ProvisionalAcknowledged,
    ReferNotified,
    ReferReceived,
    Reoffered,
)
from services.gateway.sip.message import Request, Response
from services.gateway.sip.offeranswer import Carrier, Collision, Description
from services.gateway.sip.subscription import Notify, ReferSubscription, refer_to
from services.gateway.sip.transactionlayer import Running
from services.gateway.sip.uri import readable

_LONGEST_TEXT = 4096


class SideMethods:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def on_request(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        match request.method:
            case "NOTIFY":
                return self._on_notify(call, running, request, now)
            case "INFO":
                return self._on_info(call, running, request, now)
            case "MESSAGE":
                return self._on_message(call, running, request, now)
            case "REFER":
                return self._on_refer(call, running, request, now)
        capabilities = self._calls.identity.capabilities(running.flow, call.profile)
        return self._calls.respond(running, request, 200, now, capabilities)

    def on_prack(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        """RFC 3262 §3; it may bring the answer to an offer in the 1xx, or an offer (§5)."""
        pracked = None if call.provisionals is None else call.provisionals.pracked(request, now)
        if pracked is None or pracked.status != 200:
            return self._calls.respond(running, request, 481, now)
        try:
            sdp = session_description(request)
        except UnsupportedBody:
            sdp = None
        received = None if sdp is None else call.exchange.received(Carrier.PRACK, sdp)
        if sdp is None and pracked.acknowledged is not None and pracked.acknowledged.body:
            call.exchange.failed(Carrier.INVITE_1XX)
        answer = sdp if received is Description.ANSWER else None
        outputs: list[Output] = []
        if isinstance(received, Collision):
            outputs += self._calls.respond(running, request, received.status, now)
        elif received is Description.OFFER:
            call.offered = PendingOffer(running, request)
            outputs.append(Reoffered(call, sdp))
        else:
            outputs += self._calls.respond(running, request, 200, now)
        if pracked.acknowledged is not None:
            outputs.append(ProvisionalAcknowledged(call, answer))
        outputs += self.send_on_invite(call, pracked.responses, now)
        self._calls.arm(call)
        return outputs

    def send_on_invite(self, call: Call, responses: tuple[Response, ...], now: float) -> list[Output]:
        """What `call.provisionals` lets through to the INVITE."""
        outputs: list[Output] = []
        for response in responses:
            if call.invite is None:
                break
            if response.status < 200:
                outputs += self._calls.reply(call.invite, response, now)
            else:
                invite, call.invite = call.invite, None
                call.state = CallState.ANSWERED
                outputs += self._calls.answered(call, invite, response, now, initial=True)
                call.timer.refreshed(call.agreed, now)
        return outputs

    def _on_info(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        """RFC 6086: keys, and what is empty (a keep-alive); anything else is not for us."""
        if not request.body.strip():
            return self._calls.respond(running, request, 200, now)
        kind = media_type(request)
        if kind not in info.MEDIA_TYPES:
            accepted = ("Accept", ", ".join(info.MEDIA_TYPES))
            return self._calls.respond(running, request, 415, now, [accepted])
        key = info.digit(kind, request.body)
        if key is None:
            return self._calls.respond(running, request, 400, now)
        outputs = self._calls.respond(running, request, 200, now)
        return [*outputs, DtmfReceived(call, key.digit, key.duration_ms)]

    def _on_message(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        if media_type(request) not in ("text/plain", ""):
            return self._calls.respond(running, request, 415, now, [("Accept", "text/plain")])
        text = readable(request.body[:_LONGEST_TEXT].decode("utf-8", "replace"))
        outputs = self._calls.respond(running, request, 200, now)
        return [*outputs, MessageReceived(call, text)] if text else outputs

    def _on_refer(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        """RFC 3515 §2.4.2; whoever may not ask us to call others is declined."""
        target = refer_to(request)
        if target is None:
            return self._calls.respond(running, request, 400, now)
        confirmed = call.state in (CallState.CONFIRMED, CallState.ANSWERED)
        if not call.profile.refer or target.method != "INVITE" or not confirmed:
            return self._calls.respond(running, request, 603, now)
        if call.referring is not None or (call.subscription is not None and not call.subscription.over):
            return self._calls.respond(running, request, 491, now)
        call.referring = PendingOffer(running, request)
        replaces = None if target.replaces is None else str(target.replaces)
        referred_by = readable(request.headers.get("Referred-By") or "")
        return [ReferReceived(call, target.uri, replaces, referred_by)]

    def accept_refer(self, call: Call, now: float) -> list[Output]:
        if call.referring is None:
            return []
        running, request = call.referring.running, call.referring.request
        call.referring = None
        call.subscription = subscription = ReferSubscription(request, now)
        fields = [("Contact", self._calls.identity.contact(running.flow)), *subscription.response_fields]
        outputs = self._calls.respond(running, request, subscription.status, now, fields)
        return outputs + self.notify(call, subscription.begin(now), now)

    def reject_refer(self, call: Call, status: int, now: float) -> list[Output]:
        return self._calls.reject_refer(call, status, now)

    def notify(self, call: Call, notify: Notify | None, now: float) -> list[Output]:
        """Sends a NOTIFY of the call's subscription."""
        subscription = call.subscription
        self._calls.arm(call)
        if notify is None or subscription is None:
            return []

        def done(status: int, response: Response | None, now: float) -> list[Output]:
            if status >= 300:
                subscription.notify_failed(status)
                self._calls.arm(call)
            return []

        return self._calls.request(call, "NOTIFY", now, done, notify.fields, notify.body)

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
