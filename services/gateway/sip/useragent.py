"""The pure user agent: messages and commands in, messages and events out.

    agent = UserAgent({(Transport.UDP, 4): [("192.0.2.10", 5060)]})
    for output in agent.receive(data, flow, now): ...        # a message came
    for output in agent.expire(now): ...                     # at or after agent.next_deadline()
    for output in agent.answer(call, sdp_answer, now): ...   # a command

Every method returns `list[Output]` (see events.py), to be carried out in order. `now` is seconds on any clock
that never goes back; the same clock for all calls. Nothing here raises because of what the network sent. A
command on a call that has already ended returns [] (the command and the network's BYE or CANCEL crossed); one
that does not fit the state of a live call raises `CallStateError`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from services.gateway.sip.call import Call, CallState, CallStateError
from services.gateway.sip.calls import Calls
from services.gateway.sip.digestclient import DigestClient
from services.gateway.sip.events import CallEnded, EndReason, Output, ReferAnswered, ReferNotified, RequestAnswered
from services.gateway.sip.header import Headers
from services.gateway.sip.identity import Locals
from services.gateway.sip.inspection import Fields
from services.gateway.sip.message import Request, Response
from services.gateway.sip.offeranswer import Carrier
from services.gateway.sip.outgoing import Outgoing, Way
from services.gateway.sip.profile import ANYONE, Profile
from services.gateway.sip.refer import Referral, referred
from services.gateway.sip.reliable import TimedOut
from services.gateway.sip.sidemethods import SideMethods
from services.gateway.sip.targets import Target
from services.gateway.sip.transaction import Timers
from services.gateway.sip.transactionlayer import Acknowledged, Arrived, Expired, Indication, Responded, Running
from services.gateway.sip.transport import Address, Flow, Send
from services.gateway.sip.uri import readable
from services.gateway.sip.useragentclient import UserAgentClient
from services.gateway.sip.useragentserver import UserAgentServer

_DEFAULT_TIMERS = Timers()


class UserAgent:
    """RFC 3261 user agent: server for calls that come, client for calls of ours and for requests in any call.

    `local` says where peers can reach us: it goes into Contact and Via (so never 0.0.0.0).
    `ids` gives a fresh unguessable token a call (tags, branches).
    """

    def __init__(
        self,
        local: Locals,
        timers: Timers = _DEFAULT_TIMERS,
        ids: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._calls = Calls(local, timers, ids)
        self._calls.on_alarm = self._on_alarm
        self._server = UserAgentServer(self._calls)
        self._client = UserAgentClient(self._calls)
        self._side = SideMethods(self._calls)
        self._tokens = count(1)

    @property
    def held(self) -> int:
        """How many transactions, timers and calls are held: 0 when all is over."""
        return self._calls.held

    @property
    def waiting(self) -> bool:
        """Whether a 200 still waits for its ACK, or a request of ours for its final response."""
        return bool(self._calls.repeating) or self._calls.client.waiting

    # What the network and the clock bring

    def receive(self, data: bytes, flow: Flow, now: float, profile: Profile = ANYONE) -> list[Output]:
        """One message that came on `flow`, from a peer to be treated as `profile` says."""
        return self._carry(self._calls.layer.receive(data, flow, now), profile, now)

    def refuse(self, data: bytes, flow: Flow, status: int) -> list[Output]:
        """Answers a request from somebody that is none of our peers; nothing is kept of it."""
        return [item for item in self._calls.layer.refuse(data, flow, status) if isinstance(item, Send)]

    def unreachable(self, flow: Flow, now: float) -> list[Output]:
        """Something could not be sent to `flow`."""
        return self._carry(self._calls.layer.unreachable(flow, now), ANYONE, now)

    def looked_up(self, token: int, targets: Sequence[Target], now: float) -> list[Output]:
        """The servers of a `LookUp`, in the order to be tried; empty when there are none."""
        return self._calls.client.looked_up(token, targets, now)

    def next_deadline(self) -> float | None:
        """When `expire` is due next, or None. May be early (a timer that no longer matters), never late."""
        deadlines = (self._calls.layer.next_deadline(), self._calls.alarms.next_deadline())
        return min((at for at in deadlines if at is not None), default=None)

    def expire(self, now: float) -> list[Output]:
        """Runs every timer due at or before `now`."""
        outputs = self._carry(self._calls.layer.expire(now), ANYONE, now)
        while (action := self._calls.alarms.pop(now)) is not None:
            outputs += action(now)
        return outputs

    # Calls that came

    def accept_calls(self, accepting: bool) -> None:
        """What OPTIONS says of us (§11.2): 200, or 503 while no call would be taken."""
        self._server.accepting = accepting

    def trying(self, call: Call, now: float) -> list[Output]:
        """100 Trying."""
        if call.state is CallState.ENDED:
            return []
        return self._calls.reply(self._calls.proceeding(call, "trying"), Response.trying(call.request), now)

    def ringing(self, call: Call, now: float) -> list[Output]:
        """180 Ringing."""
        return self._provisional(call, 180, b"", now)

    def progress(self, call: Call, sdp: bytes, now: float) -> list[Output]:
        """183 with `sdp`: media before the answer. Where the peer can, it arrives for sure (RFC 3262)."""
        return self._provisional(call, 183, sdp, now)

    def answer(self, call: Call, sdp: bytes, now: float, headers: Iterable[tuple[str, str]] = ()) -> list[Output]:
        """200 OK with `sdp` (answer, or our offer when the INVITE had none), repeated until the ACK.

        `sdp` is left out where a reliable 183 has brought it. While a PRACK is due the 200 waits for it.
        """
        if call.state is CallState.ENDED:
            return []
        invite = self._calls.proceeding(call, "answer")
        described = self._describe(call, Carrier.INVITE_2XX, sdp)
        fields = [*call.session.response_fields(call.request, call.agreed), *headers]
        response = self._calls.identity.dialog_response(call.request, 200, call, invite.flow, described, fields)
        responses = (response,) if call.provisionals is None else call.provisionals.final(response, now)
        outputs = self._side.send_on_invite(call, responses, now)
        self._calls.arm(call)
        return outputs

    def reject(
        self, call: Call, status: int, now: float, reason: str | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> list[Output]:
        """Final response 300–699, e.g. 503 with ("Retry-After", "5"); `reason` replaces the standard phrase."""
        if call.state is CallState.ENDED:
            return []
        if not 300 <= status <= 699:
            raise ValueError(f"a call is rejected with 300 to 699, not {status}")
        self._calls.proceeding(call, "reject")
        refused = self._calls.final(call, status, list(headers), reason)
        return self._calls.end_early(call, refused, now, EndReason.REJECTED)

    # Calls of ours

    def invite(
        self,
        target: str,
        offer: bytes,
        now: float,
        *,
        caller: tuple[str, str] = ("", ""),
        way: Way | None = None,
        profile: Profile = ANYONE,
        headers: Iterable[tuple[str, str]] = (),
        redirected: Call | None = None,
    ) -> tuple[Call, list[Output]]:
        """INVITE to the URI `target`, by the server `way` where that is another; `caller` is number and name in From.

        `Progress` comes, then `CallAnswered` or `CallEnded`. An empty `offer` lets the far end offer. `redirected`: the
        call that a 3xx sent here; Call-ID and From stay (§8.1.3.4).
        Raises ValueError when `target` is no SIP URI.
        """
        return self._client.invite(target, way or target, caller, offer, profile, now, list(headers), redirected)

    def acknowledge(self, call: Call, sdp: bytes, now: float) -> list[Output]:
        """Our answer to the offer that `CallAnswered` brought."""
        return self._client.acknowledge(call, sdp, now)

    # Any call

    def answer_offer(self, call: Call, sdp: bytes, now: float) -> list[Output]:
        """200 OK to what brought the pending offer; [] when it was cancelled meanwhile."""
        if call.offered is None:
            return []
        running, request = call.offered.running, call.offered.request
        call.offered = None
        carrier = {"INVITE": Carrier.INVITE_2XX, "UPDATE": Carrier.UPDATE_2XX, "PRACK": Carrier.PRACK_2XX}[
            request.method
        ]
        described = self._describe(call, carrier, sdp)
        timed = request.method != "PRACK" and call.state is not CallState.PROCEEDING
        fields = call.session.response_fields(request, call.agreed) if timed else ()
        response = self._calls.identity.dialog_response(request, 200, call, running.flow, described, fields)
        if timed:
            call.timer.refreshed(call.agreed, now)
            self._calls.arm(call)
        if request.method == "INVITE":
            return self._calls.answered(call, running, response, now, initial=False)
        return self._calls.reply(running, response, now)

    def reject_offer(
        self, call: Call, status: int, now: float, headers: Iterable[tuple[str, str]] = ()
    ) -> list[Output]:
        """Refuses the pending offer, e.g. 488; the call goes on as it was."""
        return self._calls.reject_offer(call, status, now, list(headers))

    def bye(self, call: Call, now: float, reason: str | None = None) -> list[Output]:
        """Ends the call however it stands: BYE, or before an answer 480 or CANCEL. `CallEnded` comes at once.

        Before the ACK the BYE itself waits for it (RFC 3261 §15). `reason` is a Reason header value (RFC 3326),
        e.g. 'Q.850;cause=16;text="Normal call clearing"'.
        """
        if call.state is CallState.ENDED:
            return []
        fields = () if reason is None else (("Reason", reason),)
        ended = CallEnded(call, False, EndReason.LOCAL_BYE)
        if call.state is CallState.PROCEEDING:
            if not call.inbound:
                return [*self._client.cancel(call, now), ended]
            return self._calls.end_early(call, self._calls.final(call, 480, fields), now, EndReason.REJECTED)
        if call.accepted is not None:
            # A 2xx whose offer nobody answered wants its ACK all the same.
            response, call.accepted = call.accepted, None
            return [*self._calls.acknowledge(call, response, now), *self._calls.hang_up(call, now, fields), ended]
        if call.state is CallState.ANSWERED:
            call.bye_waits = fields
            self._calls.stop_timers(call)
            call.state = CallState.ENDED
            return [*self._calls.reject_offer(call, 487, now), ended]
        return [*self._calls.hang_up(call, now, fields), ended]

    def refer(self, call: Call, target: str, now: float, headers: Iterable[tuple[str, str]] = ()) -> list[Output]:
        """Blind transfer: REFER with Refer-To `target` (a URI, e.g. "sip:100@pbx.example" or "tel:+4930…").

        `ReferAnswered` follows once, then on 2xx `ReferNotified`. One at a time a call. The call stays up:
        a peer that took the transfer ends it with BYE, or the user does with `bye`.
        Raises ValueError when `target` is no URI that can be called.
        """
        if call.state is CallState.ENDED:
            return []
        if call.state is not CallState.CONFIRMED or (call.referral and not call.referral.final):
            raise CallStateError(f"{call!r}: refer needs a confirmed call without another REFER under way")
        refer_to = referred(target)
        fields = [("Refer-To", refer_to), ("Referred-By", self._calls.identity.contact(call.flow)), *headers]
        referral = call.referral = Referral(call.dialog.local_cseq + 1, call.referral)

        def sent(request: Request) -> None:
            referral.cseq = request.cseq.number

        def done(status: int, response: Response | None, now: float) -> list[Output]:
            return self._on_referred(call, status, response, now)

        return self._calls.request(call, "REFER", now, done, fields, sent=sent)

    def accept_refer(self, call: Call, now: float) -> list[Output]:
        """202 to the REFER of `ReferReceived`; tell how it goes with `tell_refer`."""
        return self._side.accept_refer(call, now)

    def reject_refer(self, call: Call, status: int, now: float) -> list[Output]:
        return self._side.reject_refer(call, status, now)

    def tell_refer(self, call: Call, status: int, reason: str, now: float) -> list[Output]:
        """NOTIFY: the call to the target got this response; a final one ends the subscription."""
        if call.state is CallState.ENDED or call.subscription is None:
            return []
        return self._side.notify(call, call.subscription.progress(status, reason, now), now)

    # Outside of calls

    def send_request(
        self, method: str, uri: str, now: float, headers: Fields, *, way: Way | None = None, profile: Profile = ANYONE
    ) -> tuple[int, list[Output]]:
        """A request outside of any dialog (REGISTER, OPTIONS); `RequestAnswered` with this token brings its end.

        `headers` have all but Via, Max-Forwards and Contact; a CSeq there gives the first number. Raises ValueError
        when they lack From, To or Call-ID.
        """
        given = Headers(list(headers))
        missing = [name for name in ("From", "To", "Call-ID", "CSeq") if given.get(name) is None]
        if missing:
            raise ValueError(f"{method} lacks {', '.join(missing)}")
        token = next(self._tokens)
        others = [(name, value) for name, value in headers if name.lower() != "cseq"]
        number = int((given.get("CSeq") or "1").split()[0])
        tries = count(number)

        def build(flow: Flow, credentials: Fields) -> Request:
            fields = [("Via", self._calls.identity.via(flow)), ("Max-Forwards", "70"), *others]
            if given.get("Contact") is None:
                fields.append(("Contact", self._calls.identity.contact(flow)))
            fields += [("CSeq", f"{next(tries)} {method}"), *credentials]
            return Request(method, uri, Headers(fields))

        def answered(response: Response, now: float) -> list[Output]:
            return [RequestAnswered(token, response)] if response.status >= 200 else []

        outgoing = Outgoing(build, answered, lambda status, now: [RequestAnswered(token, None)])
        if profile.credentials is not None:
            outgoing.digest = DigestClient([profile.credentials], self._calls.identity.token)
        return token, self._calls.client.start(outgoing, way or uri, now)

    def local_address(self, flow: Flow) -> Address:
        """Ours, as the peer at the other end of `flow` is told it."""
        return self._calls.identity.address(flow)

    def contact(self, flow: Flow, user: str = "") -> str:
        """Where the peer at the other end of `flow` reaches us, in angle brackets."""
        return self._calls.identity.contact(flow, user)

    # Inside

    def _provisional(self, call: Call, status: int, sdp: bytes, now: float) -> list[Output]:
        if call.state is CallState.ENDED:
            return []
        invite = self._calls.proceeding(call, "a provisional response")
        described = None
        if sdp:
            described = sdp if call.provisionals is None else self._describe(call, Carrier.INVITE_1XX, sdp)
        response = self._calls.identity.dialog_response(call.request, status, call, invite.flow, described)
        if call.provisionals is None:
            return self._calls.reply(invite, response, now)
        outputs = self._side.send_on_invite(call, call.provisionals.send(response, now), now)
        self._calls.arm(call)
        return outputs

    def _describe(self, call: Call, carrier: Carrier, sdp: bytes) -> bytes | None:
        """Notes `sdp` as offer or answer in `carrier`; None where neither has its place there."""
        if call.exchange.may_answer(carrier):
            call.exchange.local_answer(carrier, sdp)
        elif call.exchange.may_offer(carrier):
            call.exchange.local_offer(carrier, sdp)
        else:
            return None
        return sdp

    def _carry(self, items: Iterable[Send | Indication], profile: Profile, now: float) -> list[Output]:
        outputs: list[Output] = []
        for item in items:
            match item:
                case Send():
                    outputs.append(item)
                case Arrived():
                    outputs += self._server.on_request(item, profile, now)
                case Acknowledged(request):
                    outputs += self._server.on_ack(request, now)
                case Responded(running, response):
                    outputs += self._calls.client.on_response(running, response, now)
                case Expired(running, unreachable):
                    outputs += self._on_expired(running, unreachable, now)
        return outputs

    def _on_referred(self, call: Call, status: int, response: Response | None, now: float) -> list[Output]:
        """The outcome of a REFER of ours; a timeout counts as 408 (§8.1.3.1)."""
        if call.state is CallState.ENDED:
            return []
        reason = "Request Timeout" if response is None else readable(response.reason)
        outputs: list[Output] = [ReferAnswered(call, status, reason)]
        referral = call.referral
        if status >= 300:
            call.referral = None
        elif response is not None and referral is not None:
            if (response.headers.get("Refer-Sub") or "").strip().lower() == "false":  # RFC 4488 §4
                return [*outputs, *self._unheard(call, referral)]
            # RFC 3515 §2.4.4 wants the first NOTIFY at once; from some peers none ever comes.
            deadline = now + self._calls.layer.timers.timeout
            self._calls.alarms.set(deadline, lambda now: self._unheard(call, referral))
        if status != 481:
            return outputs
        # §12.2.1.2: the peer has forgotten the dialog. A 408 does not end it: many peers just ignore REFER.
        outputs += self._calls.close(call, now)
        self._calls.forget(call)
        return [*outputs, CallEnded(call, True, EndReason.DIALOG_GONE)]

    def _unheard(self, call: Call, referral: Referral) -> list[Output]:
        progress = referral.unheard() if call.referral is referral else None
        return [] if progress is None else [ReferNotified(call, None, "", True)]

    def _on_expired(self, running: Running, unreachable: bool, now: float) -> list[Output]:
        call = self._calls.repeating.get(running)
        if call is None:
            return self._calls.client.on_expired(running, unreachable, now)
        if call.state is CallState.ENDED:
            return self._calls.hang_up(call, now, call.bye_waits or ())
        return [*self._calls.hang_up(call, now), CallEnded(call, False, EndReason.NO_ACK)]

    def _on_alarm(self, call: Call, now: float) -> list[Output]:
        """A deadline of the call's own machines."""
        outputs: list[Output] = []
        if call.provisionals is not None and call.invite is not None:
            repeated = call.provisionals.expire(now)
            if isinstance(repeated, TimedOut):
                return self._calls.end_early(call, self._calls.final(call, 504), now, EndReason.NO_PRACK)
            outputs += self._side.send_on_invite(call, repeated, now)
        if call.subscription is not None:
            outputs += self._side.notify(call, call.subscription.expire(now), now)
        outputs += self._client.on_timer(call, now)
        if call.state is not CallState.ENDED:
            self._calls.arm(call)
        return outputs
