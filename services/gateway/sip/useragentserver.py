"""The user agent server (RFC 3261 §8.2): what becomes of a request, in a call or outside of one."""

from __future__ import annotations

from ipaddress import ip_address

from services.gateway.sip.body import UnsupportedBody, session_description
from services.gateway.sip.call import Call, CallState, PendingOffer
from services.gateway.sip.calls import Calls
from services.gateway.sip.challenge import Verdict
from services.gateway.sip.dialog import Dialog
from services.gateway.sip.events import (
    CallConfirmed,
    CallEnded,
    EndReason,
    IncomingCall,
    Output,
    ReofferConfirmed,
    Reoffered,
)
from services.gateway.sip.identity import ACCEPT
from services.gateway.sip.inspection import refusal
from services.gateway.sip.message import Request, Response
from services.gateway.sip.offeranswer import Carrier, Collision
from services.gateway.sip.profile import Profile
from services.gateway.sip.reliable import Refusal, ReliableProvisionals, reliability
from services.gateway.sip.replaces import Match, Replaces, TakeOver, replaces_of, take_over
from services.gateway.sip.sessiontimer import TooSmall
from services.gateway.sip.sidemethods import SideMethods
from services.gateway.sip.transactionlayer import Arrived, Running
from services.gateway.sip.transport import Flow
from services.gateway.sip.uri import SipUri, UriError, readable


class UserAgentServer:
    """Answers requests at once, but for INVITE and what brings an offer: these wait for `UserAgent`'s commands."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._side = SideMethods(calls)
        self.accepting = True

    def on_request(self, arrived: Arrived, profile: Profile, now: float) -> list[Output]:
        """§8.2, in its order."""
        running, request = arrived.running, arrived.request
        if request.method == "CANCEL":
            return self._on_cancel(running, request, now)
        refused = refusal(request, arrived.merged, profile.option_tags)
        if refused is not None:
            return self._calls.respond(running, request, refused[0], now, refused[1])
        if request.to.tag is not None:
            return self._on_request_in_dialog(arrived, now)
        if profile.challenger is not None:
            verdict = profile.challenger.verify(request, now)
            if verdict is not Verdict.OK:
                challenges = profile.challenger.challenges(now, stale=verdict is Verdict.STALE)
                return self._calls.respond(running, request, profile.challenger.status, now, challenges)
        match request.method:
            case "INVITE":
                return self._on_invite(arrived, profile, now)
            case "OPTIONS":
                # §11.2: the status that an INVITE would get; a carrier's ping takes us out of its list by it.
                status = 200 if self.accepting else 503
                return self._calls.respond(
                    running, request, status, now, self._calls.identity.capabilities(arrived.flow, profile)
                )
            case "MESSAGE":
                return self._calls.respond(running, request, 404, now)
        return self._calls.respond(running, request, 481, now)

    def _on_invite(self, arrived: Arrived, profile: Profile, now: float) -> list[Output]:
        running, request = arrived.running, arrived.request
        try:
            offer = session_description(request)
        except UnsupportedBody:
            return self._calls.respond(running, request, 415, now, [ACCEPT])
        reliable = reliability(profile.one_hundred_rel, request)
        if isinstance(reliable, Refusal):
            return self._calls.respond(running, request, reliable.status, now, reliable.fields)
        call = Call(request, Dialog.of_server(request, self._calls.identity.token()), arrived.flow, profile)
        agreed = call.session.requested(request)
        if isinstance(agreed, TooSmall):
            return self._calls.respond(running, request, 422, now, agreed.fields)
        replaced = self._replaced(request, profile)
        if isinstance(replaced, int):
            return self._calls.respond(running, request, replaced, now)
        call.agreed = agreed
        call.timer.peer_allows(request)
        call.behind_nat = _behind_nat(request, arrived.flow)
        call.invite = running
        call.exchange.invite_received()
        if offer is not None:
            call.exchange.received(Carrier.INVITE, offer)
        if reliable:
            first = 1 + int(self._calls.identity.random() * 1_000_000)
            call.provisionals = ReliableProvisionals(request, first, self._calls.layer.timers.t1)
        self._calls.dialogs[call.dialog.id] = self._calls.invites[running] = call
        return [IncomingCall(call, offer, replaced)]

    def _replaced(self, request: Request, profile: Profile) -> Call | int | None:
        """The call that an INVITE is to take the place of; or the status to refuse it with (RFC 3891 §3)."""
        replaces = replaces_of(request)
        if replaces is None:
            return None
        if not isinstance(replaces, Replaces):
            return replaces.status
        call = self._find(replaces)
        # §8: who may replace a call? The trunk that it came by.
        authorised = call is not None and call.profile.name == profile.name
        verdict = take_over(replaces, _match(call), authorised)
        return call if isinstance(verdict, TakeOver) and call is not None else getattr(verdict, "status", 481)

    def _find(self, replaces: Replaces) -> Call | None:
        for theirs in (replaces.from_tag, "" if replaces.from_tag == "0" else None):
            if theirs is not None:
                call = self._calls.dialogs.get((replaces.call_id, replaces.to_tag, theirs))
                if call is not None:
                    return call
        return None

    def _on_request_in_dialog(self, arrived: Arrived, now: float) -> list[Output]:
        running, request = arrived.running, arrived.request
        call = self._calls.of(request)
        if call is None or (call.state is CallState.ENDED and request.method != "BYE"):
            return self._calls.respond(running, request, 481, now)
        if not call.dialog.in_order(request):
            return self._calls.respond(running, request, 500, now)
        call.flow = arrived.flow
        match request.method:
            case "BYE":
                return self._on_bye(call, running, request, now)
            case "INVITE":
                return self._on_reinvite(call, running, request, now)
            case "UPDATE":
                return self._on_update(call, running, request, now)
            case "PRACK":
                return self._side.on_prack(call, running, request, now)
        return self._side.on_request(call, running, request, now)

    def _on_reinvite(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        try:
            offer = session_description(request)
        except UnsupportedBody:
            return self._calls.respond(running, request, 415, now, [ACCEPT])
        collision = call.exchange.invite_received()
        if collision is not None:
            return self._refuse(running, request, collision, now)
        refused = self._refresh(call, running, request, now)
        if refused is not None:
            call.exchange.invite_closed(success=False)
            return refused
        if offer is not None:
            call.exchange.received(Carrier.INVITE, offer)
        call.offered = PendingOffer(running, request)
        self._calls.invites[running] = call
        return [*self._calls.reply(running, Response.trying(request), now), Reoffered(call, offer)]

    def _on_update(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        """RFC 3311 §5.2; without an offer it only refreshes the session and the target."""
        try:
            offer = session_description(request)
        except UnsupportedBody:
            return self._calls.respond(running, request, 415, now, [ACCEPT])
        if offer is not None and call.offered is not None:
            # Also where that is a re-INVITE that asks us to offer.
            return self._refuse(running, request, Collision(500), now)
        received = None if offer is None else call.exchange.received(Carrier.UPDATE, offer)
        if isinstance(received, Collision):
            return self._refuse(running, request, received, now)
        refused = self._refresh(call, running, request, now)
        if refused is not None:
            call.exchange.failed(Carrier.UPDATE)
            return refused
        if offer is not None:
            call.offered = PendingOffer(running, request)
            return [Reoffered(call, offer)]
        early = call.state is CallState.PROCEEDING
        fields = [] if early else call.session.response_fields(request, call.agreed)
        response = self._calls.identity.dialog_response(request, 200, call, running.flow, fields=fields)
        if not early:
            call.timer.refreshed(call.agreed, now)
            self._calls.arm(call)
        return self._calls.reply(running, response, now)

    def _refresh(self, call: Call, running: Running, request: Request, now: float) -> list[Output] | None:
        """Session timer and target of a re-INVITE or UPDATE; the 422 where its interval is too small."""
        agreed = call.session.requested(request, call.timer.agreed)
        if isinstance(agreed, TooSmall):
            return self._calls.respond(running, request, 422, now, agreed.fields, call.dialog.local_tag)
        if call.state is not CallState.PROCEEDING:
            # RFC 4028 §4: a session begins with the 2xx to the INVITE, and with what that asked for.
            call.agreed = agreed
        call.timer.peer_allows(request)
        call.dialog.refresh(request)
        return None

    def _refuse(self, running: Running, request: Request, collision: Collision, now: float) -> list[Output]:
        fields = collision.fields(self._calls.identity.random())
        return self._calls.respond(running, request, collision.status, now, fields)

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
            if answer is None:
                call.exchange.failed(Carrier.INVITE_2XX)
            else:
                call.exchange.received(Carrier.ACK, answer)
        missing = pending.expects_answer and answer is None
        if not pending.initial:
            return [ReofferConfirmed(call, answer, missing)]
        call.state = CallState.CONFIRMED
        return [CallConfirmed(call, answer, missing)]

    def _on_cancel(self, running: Running, request: Request, now: float) -> list[Output]:
        """§9.2. A CANCEL that crossed our final response changes nothing."""
        invite = self._calls.layer.invite_of(request)
        if invite is None:
            return self._calls.respond(running, request, 481, now)
        call = self._calls.invites.get(invite)
        tag = invite.to_tag if call is None else call.dialog.local_tag
        outputs = self._calls.respond(running, request, 200, now, tag=tag)
        if call is None:
            return outputs
        if call.invite is not invite:
            return outputs + self._calls.reject_offer(call, 487, now)
        return outputs + self._cancelled(call, request, now)

    def _on_bye(self, call: Call, running: Running, request: Request, now: float) -> list[Output]:
        outputs = self._calls.respond(running, request, 200, now)
        if call.inbound and call.state is CallState.PROCEEDING:
            return outputs + self._cancelled(call, request, now)
        already_ended = call.state is CallState.ENDED
        outputs += self._calls.close(call, now)
        self._calls.forget(call)
        if already_ended:
            return outputs
        # First: whoever reads the 200 may call again at once, also at another worker, and is to find the slot free.
        return [CallEnded(call, True, EndReason.REMOTE_BYE, _reason(request)), *outputs]

    def _cancelled(self, call: Call, request: Request, now: float) -> list[Output]:
        return self._calls.end_early(call, self._calls.final(call, 487), now, EndReason.CANCELLED, _reason(request))


def _match(call: Call | None) -> Match:
    if call is None:
        return Match.NONE
    match call.state:
        case CallState.PROCEEDING:
            return Match.EARLY_THEIRS if call.inbound else Match.EARLY_OURS
        case CallState.ENDED:
            return Match.TERMINATED
    return Match.CONFIRMED


def _behind_nat(request: Request, flow: Flow) -> bool:
    """The peer calls itself by addresses that it does not have, and no proxy before it says how to reach it."""
    try:
        sent_by = ip_address(request.via.host)
        contact = ip_address(SipUri.parse(request.contacts[0].uri).host)
    except (ValueError, UriError):
        return False
    source = ip_address(flow.address[0])
    return not flow.reliable and not request.record_route and sent_by != source and contact != source


def _reason(request: Request) -> str:
    return readable(request.headers.get("Reason") or "")
