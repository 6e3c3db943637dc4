"""The calls there are, and the steps that commands, requests and timers have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network

from services.gateway.sip.alarms import Alarms
from services.gateway.sip.call import Call, CallState, CallStateError, PendingAck
from services.gateway.sip.dialog import Dialog, DialogId
from services.gateway.sip.digestclient import DigestClient, credentials_of
from services.gateway.sip.events import CallEnded, EndReason, Output
from services.gateway.sip.identity import Identity, Locals
from services.gateway.sip.inspection import Fields
from services.gateway.sip.message import Request, Response
from services.gateway.sip.offeranswer import Carrier
from services.gateway.sip.outgoing import Client, Outgoing, Way, sends
from services.gateway.sip.targets import Target
from services.gateway.sip.transaction import Timers
from services.gateway.sip.transactionlayer import Running, TransactionLayer
from services.gateway.sip.transport import Flow, Send, numeric_flow

Done = Callable[[int, Response | None, float], list[Output]]
"""Gets the status of the final response, and the response: None when nobody answered (408) or was reached (503)."""
# RFC 3261 table 2, RFC 3262 §7, RFC 3428 §4: they set no target.
_WITHOUT_CONTACT = ("BYE", "PRACK", "MESSAGE", "INFO")
# RFC 1918, RFC 6598, RFC 4193.
_PRIVATE = [ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")]
# Of 2xx that may still be repeated: a re-INVITE or two in 32 s, or a fork.
_MOST_ACKS = 16


class Calls:
    """Which call each dialog and transaction belongs to. `local` and `ids` as in `UserAgent`."""

    def __init__(self, local: Locals, timers: Timers, ids: Callable[[], str]) -> None:
        self.identity = Identity(local, ids)
        self.layer = TransactionLayer(timers, ids)
        self.client = Client(self.identity, self.layer)
        self.alarms = Alarms()
        self.dialogs: dict[DialogId, Call] = {}
        self.invites: dict[Running, Call] = {}
        """INVITE and re-INVITE transactions of the peers without a final response."""
        self.repeating: dict[Running, Call] = {}
        self.on_alarm: Callable[[Call, float], list[Output]] = lambda call, now: []
        """What is done when a call's alarm goes off; the user agent puts it in."""

    @property
    def held(self) -> int:
        tables = (self.dialogs, self.invites, self.repeating)
        return self.layer.held + self.client.held + self.alarms.held + sum(len(table) for table in tables)

    def of(self, request: Request) -> Call | None:
        """The call whose dialog a request names (§12.2.2)."""
        return self.dialogs.get((request.call_id, request.to.tag or "", request.from_.tag or ""))

    # Responses

    def respond(
        self, running: Running, request: Request, status: int, now: float, fields: Fields = (), tag: str | None = None
    ) -> list[Output]:
        return self.reply(running, self.identity.response(request, status, fields, tag), now)

    def reply(self, running: Running, response: Response, now: float) -> list[Output]:
        return sends(self.layer.respond(running, response, now))

    def answered(self, call: Call, running: Running, response: Response, now: float, initial: bool) -> list[Output]:
        """A 200 to an INVITE (`initial`) or re-INVITE, repeated until its ACK (§13.3.1.4)."""
        self.invites.pop(running, None)
        call.exchange.invite_closed(success=True)
        repeating = self.layer.repeat(response, running.flow, now)
        self.repeating[repeating] = call
        call.acks[response.cseq.number] = PendingAck(repeating, call.exchange.offer is not None, initial)
        return self.reply(running, response, now)

    def final(self, call: Call, status: int, fields: Fields = (), reason: str | None = None) -> Response:
        """A final response to the call's first INVITE."""
        return self.identity.response(call.request, status, fields, call.dialog.local_tag, reason)

    # Requests

    def way(self, call: Call, dialog: Dialog) -> Way:
        """Where a request inside `dialog` goes: its next hop; but a peer behind NAT is where its messages come from,
        and one that came on a connection is at its other end (RFC 5923)."""
        hop = dialog.next_hop()
        direct = numeric_flow(hop)
        last = call.flow
        if direct is not None and _own(direct) and not _own(last):
            return last  # or anybody's Contact or Record-Route would have us talk to what listens here for us alone
        hidden = direct is not None and _private(direct) and not _private(last)
        if not dialog.route_set and (call.behind_nat or hidden):
            return last
        same_host = direct is not None and direct.address[0] == last.address[0]
        if (last.connection and not dialog.route_set) or ((last.connection or last.reliable) and same_host):
            address = direct.address if direct and direct.transport is last.transport else last.address
            return Flow(last.transport, address, last.connection)
        return hop if direct is None else direct

    def request(
        self,
        call: Call,
        method: str,
        now: float,
        done: Done,
        fields: Fields = (),
        body: bytes = b"",
        dialog: Dialog | None = None,
        sent: Callable[[Request], None] = lambda request: None,
    ) -> list[Output]:
        """A request inside the call's dialog (or `dialog`, one of its forks); `done` gets its end, once.

        `sent` gets it each time that it goes out, for it may take several tries.
        """
        inside = dialog or call.dialog

        def build(flow: Flow, credentials: Fields) -> Request:
            contact = [] if method in _WITHOUT_CONTACT else [("Contact", self.identity.contact(flow))]
            request = inside.request(method, self.identity.via(flow), [*contact, *fields, *credentials], body)
            sent(request)
            return request

        def answered(response: Response, now: float) -> list[Output]:
            return done(response.status, response, now) if response.status >= 200 else []

        outgoing = Outgoing(build, answered, lambda status, now: done(status, None, now), self.digest(call))
        return self.client.start(outgoing, self.way(call, inside), now, call.flow)

    def acknowledge(self, call: Call, response: Response, now: float, sdp: bytes = b"") -> list[Output]:
        """The ACK to a 2xx that answers an INVITE of ours; again for one that comes again (§13.2.2.4)."""
        number, tag = response.cseq.number, response.to.tag or ""
        known = call.sent_acks.get((number, tag))
        if known is not None:
            return [known]
        dialog = call.dialog if tag == call.dialog.remote_tag else Dialog.of_client(call.request, response)
        fields = [*(() if call.invite_sent is None else credentials_of(call.invite_sent))]
        if sdp:
            fields.append(("Content-Type", "application/sdp"))

        def send(targets: Sequence[Target], now: float) -> list[Output]:
            if not targets:
                return []
            flow, name = targets[0].flow, targets[0].server_name
            ack = dialog.ack(number, self.identity.via(flow), fields, sdp)
            sent = call.sent_acks[number, tag] = Send(ack.encode(), flow, name)
            while len(call.sent_acks) > _MOST_ACKS:
                call.sent_acks.pop(next(iter(call.sent_acks)))
            return [sent]

        return self.client.locate(self.way(call, dialog), now, send, call.flow)

    def give_up(self, outgoing: Outgoing, now: float) -> list[Output]:
        """Cancels an INVITE of ours. Whoever says nothing to the CANCEL for 64*T1 never will (§9.1)."""
        outputs = self.client.give_up(outgoing, now)
        if not outgoing.over:
            self.alarms.set(now + self.layer.timers.timeout, lambda now: self._drop(outgoing))
        return outputs

    def _drop(self, outgoing: Outgoing) -> list[Output]:
        if not outgoing.over:
            self.client.drop(outgoing)
        return []

    def digest(self, call: Call) -> DigestClient | None:
        if call.digest is None and call.profile.credentials is not None:
            call.digest = DigestClient([call.profile.credentials], self.identity.token)
        return call.digest

    # Timers

    def arm(self, call: Call) -> None:
        """Has `call.alarm` go off at the earliest deadline of the call's machines."""
        _disarm(call)
        machines = (call.provisionals, call.timer, call.subscription)
        deadlines = [at for machine in machines if machine is not None if (at := machine.next_deadline()) is not None]
        if deadlines:
            call.alarm = self.alarms.set(min(deadlines), lambda now: self.on_alarm(call, now))

    # Ends

    def hang_up(self, call: Call, now: float, fields: Fields = ()) -> list[Output]:
        """BYE; the dialog stays until it is answered."""
        outputs = self.close(call, now)

        def done(status: int, response: Response | None, now: float) -> list[Output]:
            self.forget(call)
            return []

        return [*outputs, *self.request(call, "BYE", now, done, fields)]

    def end_early(self, call: Call, refused: Response, now: float, why: EndReason, detail: str = "") -> list[Output]:
        """Gives `refused` to the INVITE of a call that was never answered."""
        invite = self.proceeding(call, "refuse")
        call.invite = None
        call.state = CallState.ENDED
        del self.invites[invite]
        outputs = self.reject_offer(call, 487, now)
        if call.provisionals is not None:
            call.provisionals.stop()
        self.stop_timers(call)
        self.forget(call)
        outputs += self.reply(invite, refused, now)
        return [*outputs, CallEnded(call, why is EndReason.CANCELLED, why, detail)]

    def reject_offer(self, call: Call, status: int, now: float, fields: Fields = ()) -> list[Output]:
        """Refuses the pending offer; [] when there is none."""
        if call.offered is None:
            return []
        running, request = call.offered.running, call.offered.request
        call.offered = None
        if self.invites.pop(running, None) is not None:
            call.exchange.invite_closed(success=False)
        else:
            call.exchange.failed(Carrier(request.method))
        return self.respond(running, request, status, now, fields)

    def reject_refer(self, call: Call, status: int, now: float) -> list[Output]:
        """Refuses the REFER that waits for the user's word; [] when there is none."""
        if call.referring is None:
            return []
        running, request = call.referring.running, call.referring.request
        call.referring = None
        return self.respond(running, request, status, now)

    def close(self, call: Call, now: float) -> list[Output]:
        """Stops all that goes on in an answered call (§15.1.2); its dialog stays until `forget`."""
        call.state = CallState.ENDED
        call.referral = None
        for pending in call.acks.values():
            self.stop(pending.repeating)
        call.acks.clear()
        outbound, call.outbound = call.outbound, None
        self.stop_timers(call)
        outputs = [*self.reject_offer(call, 487, now), *self.reject_refer(call, 487, now)]
        if outbound is not None and outbound.outgoing is not None and not outbound.outgoing.over:
            outputs += self.give_up(outbound.outgoing, now)
        return outputs

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

    def stop_timers(self, call: Call) -> None:
        call.timer.stop()
        call.subscription = None
        _disarm(call)


def _disarm(call: Call) -> None:
    if call.alarm is not None:
        call.alarm.cancel()
        call.alarm = None


def _own(flow: Flow) -> bool:
    """This machine (loopback, unspecified) or its own link, where clouds keep their metadata."""
    address = ip_address(flow.address[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_link_local or mapped.is_unspecified)


def _private(flow: Flow) -> bool:
    """An address that is somebody's own, and cannot be reached from a public one."""
    address = ip_address(flow.address[0])
    return any(address in network for network in _PRIVATE)
