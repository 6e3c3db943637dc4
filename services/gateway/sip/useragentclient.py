"""The user agent client (RFC 3261 §13.2, §14.1): INVITEs of ours, to a new callee and inside a call."""

from __future__ import annotations

from services.gateway.sip.body import UnsupportedBody, session_description
from services.gateway.sip.call import Call, CallState
from services.gateway.sip.calls import Calls
from services.gateway.sip.dialog import Dialog
from services.gateway.sip.events import (
    CallAnswered,
    CallEnded,
    EndReason,
    Output,
    Progress,
    ReofferAnswered,
)
from services.gateway.sip.glare import retry_after_491
from services.gateway.sip.header import Headers
from services.gateway.sip.inspection import ALLOW, Fields
from services.gateway.sip.message import Request, Response
from services.gateway.sip.offeranswer import Carrier, Description, OfferAnswer
from services.gateway.sip.outbound import MOST_ANSWERED, MOST_FORKS, Fork, Outbound
from services.gateway.sip.outgoing import Build, Outgoing, Way
from services.gateway.sip.profile import Profile
from services.gateway.sip.retryafter import retry_after_s
from services.gateway.sip.sessiontimer import Expired
from services.gateway.sip.transport import Flow, Transport
from services.gateway.sip.uri import SipUri, readable

_NOWHERE = Flow(Transport.UDP, ("0.0.0.0", 0))
_UNSENT = Request("INVITE", "", Headers())
"""What a call of ours has for a request while the DNS is asked."""
SDP = ("Content-Type", "application/sdp")
TIMER_EXPIRED = 'SIP;cause=408;text="Session expired"'


class UserAgentClient:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    # A new call

    def invite(
        self,
        target: str,
        way: Way,
        caller: tuple[str, str],
        offer: bytes,
        profile: Profile,
        now: float,
        fields: Fields = (),
        redirected: Call | None = None,
    ) -> tuple[Call, list[Output]]:
        """`caller`: number and name in From. Raises UriError when `target` is no SIP URI."""
        SipUri.parse(target)
        identity = self._calls.identity
        if redirected is None:
            tag = identity.token()
            dialog = Dialog.half(identity.token(), "", tag, target, 0)
        else:
            before = redirected.dialog
            tag = before.local_tag
            dialog = Dialog.half(before.call_id, before.local, tag, target, before.local_cseq)
        outbound = Outbound(target, way, offer, tuple(fields))
        call = Call(_UNSENT, dialog, _NOWHERE, profile, outbound)
        call.exchange = outbound.exchange
        call.exchange.invite_sent()
        if offer:
            call.exchange.local_offer(Carrier.INVITE, offer)

        def build(flow: Flow, credentials: Fields) -> Request:
            # Early dialogs end with the INVITE that made them.
            self._calls.forget(call)
            outbound.forks.clear()
            outbound.heard = False
            number, name = caller
            host = identity.host(flow)
            quoted = f'"{_escaped(name)}" ' if name else ""
            dialog.local = dialog.local or f"{quoted}<{SipUri(host, user=number)}>;tag={tag}"
            required = profile.one_hundred_rel.required
            # RFC 3262 §5: a reliable offer would want our answer in the PRACK, before anybody could make it.
            tags = [tag for tag in profile.option_tags if offer or required or tag != "100rel"]
            sent = [("Contact", identity.contact(flow, number)), ALLOW, ("Supported", ", ".join(tags))]
            sent += [("Require", ", ".join(required))] if required else []
            sent += [*call.session.request_fields(), *outbound.fields, *credentials, *([SDP] if offer else [])]
            call.request = call.invite_sent = dialog.request("INVITE", identity.via(flow), sent, offer)
            call.flow = flow
            return call.request

        return call, self._send(call, outbound, build, now)

    def _send(self, call: Call, outbound: Outbound, build: Build, now: float) -> list[Output]:
        outbound.outgoing = Outgoing(
            build,
            lambda response, now: self._on_response(call, outbound, response, now),
            lambda status, now: self._failed(call, status, "", now, EndReason.UNREACHABLE),
            self._calls.digest(call),
        )
        return self._calls.client.start(outbound.outgoing, outbound.way, now)

    def _on_response(self, call: Call, outbound: Outbound, response: Response, now: float) -> list[Output]:
        if response.status < 200:
            return self._on_provisional(call, outbound, response, now)
        if response.status < 300:
            return self._on_accepted(call, outbound, response, now)
        if response.status == 422 and call.state is CallState.PROCEEDING and call.session.too_small(response):
            assert outbound.outgoing is not None
            return self._send(call, outbound, outbound.outgoing.build, now)
        contact = response.contacts[0].uri if response.status < 400 and response.contacts else ""
        return self._failed(call, response.status, readable(response.reason), now, EndReason.REFUSED, contact)

    def _on_provisional(self, call: Call, outbound: Outbound, response: Response, now: float) -> list[Output]:
        outputs: list[Output] = []
        tag = response.to.tag
        if call.state is not CallState.PROCEEDING:
            return outputs
        if response.status == 100:
            return [Progress(call, 100, readable(response.reason), None)]
        if tag is None:
            return outputs
        fork = outbound.forks.get(tag)
        if fork is None:
            if len(outbound.forks) >= MOST_FORKS:
                return outputs
            fork = outbound.forks[tag] = Fork(Dialog.of_client(call.request, response), outbound.exchange.fork())
            if len(outbound.forks) == 1:
                self._enter(call, fork.dialog, fork.exchange)
        fork.dialog.refresh(response)
        received = fork.provisionals.received(response)
        if not received.process:
            return outputs
        sdp = _sdp(response)
        # Of several early dialogs the first with media is the one that is heard; who answers shows in the 2xx.
        if sdp is not None and not outbound.heard:
            outbound.heard = True
            self._enter(call, fork.dialog, fork.exchange)
        main = fork.dialog is call.dialog
        if sdp is not None:
            carrier = Carrier.UNRELIABLE_1XX if received.rack is None else Carrier.INVITE_1XX
            if fork.exchange.received(carrier, sdp) is Description.OFFER:
                # The INVITE had none: our answer would have to go into the PRACK, before anybody could make it.
                fork.exchange.failed(Carrier.INVITE_1XX)
                sdp = None
            fork.sdp = sdp or fork.sdp
        if received.rack is not None:
            outputs += self._calls.request(call, "PRACK", now, _nobody_cares, received.fields, dialog=fork.dialog)
        return [*outputs, Progress(call, response.status, readable(response.reason), sdp if main else None)]

    def _on_accepted(self, call: Call, outbound: Outbound, response: Response, now: float) -> list[Output]:
        tag = response.to.tag or ""
        taken = call.state in (CallState.CONFIRMED, CallState.ANSWERED)
        if taken and tag == call.dialog.remote_tag:
            if call.state is CallState.ANSWERED:
                return []  # our answer is still being made
            return self._calls.acknowledge(call, response, now)
        if taken or call.state is CallState.ENDED:
            return self._decline_fork(call, outbound, response, now)
        fork = outbound.forks.get(tag)
        heard = None if fork is None or fork.dialog is not call.dialog else fork.sdp
        exchange = outbound.exchange.fork() if fork is None else fork.exchange
        self._enter(call, _confirmed(call, fork, response), exchange)
        sdp = _sdp(response)
        outbound.answered.add(tag)
        said = sdp is not None
        if sdp is None and fork is not None:
            sdp = fork.sdp
        call.timer.peer_allows(response)
        call.timer.refreshed(call.session.accepted(response), now)
        if sdp is not None:
            repeated = exchange.received(Carrier.INVITE_2XX, sdp) is Description.REPEATED
            if repeated:
                sdp = exchange.remote_sdp
            if heard is not None and (repeated or not said):
                sdp = None
        call.exchange.invite_closed(success=True)
        self._calls.arm(call)
        if not outbound.offer and sdp is not None:
            call.state = CallState.ANSWERED
            call.accepted = response
            return [CallAnswered(call, sdp)]
        call.state = CallState.CONFIRMED
        outputs = self._calls.acknowledge(call, response, now)
        return [*outputs, CallAnswered(call, sdp)]

    def acknowledge(self, call: Call, sdp: bytes, now: float) -> list[Output]:
        """Our answer to the offer in the 2xx."""
        if call.accepted is None or call.state is not CallState.ANSWERED:
            return []
        response, call.accepted = call.accepted, None
        call.state = CallState.CONFIRMED
        call.exchange.local_answer(Carrier.ACK, sdp)
        return self._calls.acknowledge(call, response, now, sdp)

    def _decline_fork(self, call: Call, outbound: Outbound, response: Response, now: float) -> list[Output]:
        """§13.2.2.4: a 2xx that comes too late is acknowledged, and its dialog ended."""
        tag = response.to.tag or ""
        if tag in outbound.answered:
            return self._calls.acknowledge(call, response, now)
        if len(outbound.answered) >= MOST_ANSWERED:
            return []
        outbound.answered.add(tag)
        outputs = self._calls.acknowledge(call, response, now)
        dialog = _confirmed(call, outbound.forks.get(tag), response)
        return [*outputs, *self._calls.request(call, "BYE", now, _nobody_cares, dialog=dialog)]

    def cancel(self, call: Call, now: float) -> list[Output]:
        """Gives up a call of ours that nobody has answered. The 200 may cross the CANCEL: then BYE follows (§9.1)."""
        outbound = call.outbound
        assert outbound is not None
        assert outbound.outgoing is not None
        call.state = CallState.ENDED
        self._calls.forget(call)
        return self._calls.give_up(outbound.outgoing, now)

    def _failed(
        self, call: Call, status: int, phrase: str, now: float, why: EndReason, contact: str = ""
    ) -> list[Output]:
        if call.state is not CallState.PROCEEDING:
            return []
        call.state = CallState.ENDED
        call.exchange.invite_closed(success=False)
        self._calls.close(call, now)
        self._calls.forget(call)
        return [CallEnded(call, True, why, phrase, status, contact)]

    def _enter(self, call: Call, dialog: Dialog, exchange: OfferAnswer) -> None:
        """The call's dialog from now on, and what is agreed in it."""
        self._calls.forget(call)
        call.dialog, call.exchange = dialog, exchange
        self._calls.dialogs[dialog.id] = call

    # Inside a call

    def refresh(self, call: Call, method: str, now: float) -> list[Output]:
        """Keeps the session alive (RFC 4028 §10) by UPDATE without a body, or by our last offer once more."""
        fields = [ALLOW, call.profile.supported, *call.session.request_fields(call.timer.agreed)]
        if method == "UPDATE":

            def done(status: int, response: Response | None, now: float) -> list[Output]:
                return self._refreshed(call, method, status, response, now)

            return self._calls.request(call, "UPDATE", now, done, fields)
        sdp = call.exchange.local_sdp
        if sdp is None or not call.exchange.may_invite() or call.acks:
            return self._refresh_failed(call, 491, None, now)
        return self._reinvite(call, sdp, fields, now)

    def _reinvite(self, call: Call, offer: bytes, fields: Fields, now: float) -> list[Output]:
        call.exchange.invite_sent()
        call.exchange.local_offer(Carrier.INVITE, offer)
        identity, dialog = self._calls.identity, call.dialog
        closed = False  # by its first 2xx: it may come again

        def build(flow: Flow, credentials: Fields) -> Request:
            sent = [("Contact", identity.contact(flow)), *fields, *credentials, SDP]
            call.invite_sent = dialog.request("INVITE", identity.via(flow), sent, offer)
            return call.invite_sent

        def answered(response: Response, now: float) -> list[Output]:
            if response.status < 200:
                return []
            if response.status >= 300:
                return failed(response.status, now, response)
            nonlocal closed
            outputs = self._calls.acknowledge(call, response, now)
            if call.state is CallState.ENDED or closed:
                return outputs
            closed = True
            sdp = _sdp(response)
            answer = sdp is not None and call.exchange.received(Carrier.INVITE_2XX, sdp) is Description.ANSWER
            call.exchange.invite_closed(success=True)
            call.dialog.refresh(response)
            outputs += self._refreshed(call, "INVITE", response.status, response, now)
            return [*outputs, ReofferAnswered(call, sdp)] if sdp is not None and answer else outputs

        def failed(status: int, now: float, response: Response | None = None) -> list[Output]:
            call.exchange.failed(Carrier.INVITE)
            call.exchange.invite_closed(success=False)
            return self._refreshed(call, "INVITE", status, response, now)

        def give_up(now: float) -> list[Output]:
            # A 1xx and nothing after it: an INVITE has no timer for that (§17.1.1.2).
            if outgoing.over:
                return []
            cancelled = self._calls.client.cancel(outgoing, now)
            self._calls.client.drop(outgoing)
            return [*cancelled, *failed(408, now)]

        outgoing = Outgoing(build, answered, failed, self._calls.digest(call))
        self._calls.alarms.set(now + self._calls.layer.timers.timeout, give_up)
        return self._calls.client.start(outgoing, self._calls.way(call, dialog), now, call.flow)

    def _refreshed(self, call: Call, method: str, status: int, response: Response | None, now: float) -> list[Output]:
        if call.state is CallState.ENDED:
            return []
        if response is not None and status < 300:
            call.timer.peer_allows(response)
            if method == "UPDATE":
                call.dialog.refresh(response)
            call.timer.refreshed(call.session.accepted(response, call.timer.agreed), now)
            self._calls.arm(call)
            return []
        if response is not None and status == 422 and call.session.too_small(response):
            return self.refresh(call, method, now)
        return self._refresh_failed(call, status, response, now)

    def _refresh_failed(self, call: Call, status: int, response: Response | None, now: float) -> list[Output]:
        wait: float | None = retry_after_s(response)
        if status == 491:
            wait = retry_after_491(call.owns_call_id, self._calls.identity.random())
        expired = call.timer.failed(status, now, wait)
        self._calls.arm(call)
        return [] if expired is None else self.expired(call, now, EndReason.DIALOG_GONE)

    def expired(self, call: Call, now: float, why: EndReason) -> list[Output]:
        """The session is over (RFC 4028 §10)."""
        outputs = self._calls.hang_up(call, now, [("Reason", TIMER_EXPIRED)])
        return [*outputs, CallEnded(call, why is EndReason.DIALOG_GONE, why)]

    def on_timer(self, call: Call, now: float) -> list[Output]:
        due = call.timer.expire(now)
        if due is None:
            return []
        if isinstance(due, Expired):
            return self.expired(call, now, EndReason.SESSION_EXPIRED)
        return self.refresh(call, due.method, now)


def _confirmed(call: Call, fork: Fork | None, response: Response) -> Dialog:
    """§13.2.2.4: route set and target are those of the 2xx; the requests sent before keep their CSeq."""
    dialog = Dialog.of_client(call.request, response)
    if fork is not None:
        dialog.local_cseq, dialog.remote_cseq = fork.dialog.local_cseq, fork.dialog.remote_cseq
    return dialog


def _sdp(response: Response) -> bytes | None:
    try:
        return session_description(response)
    except UnsupportedBody:
        return None


def _escaped(text: str) -> str:
    return readable(text).replace("\\", "\\\\").replace('"', '\\"')


def _nobody_cares(status: int, response: Response | None, now: float) -> list[Output]:
    return []
