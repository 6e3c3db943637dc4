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

from services.gateway.sip.call import Call, CallState, CallStateError
from services.gateway.sip.calls import Calls
from services.gateway.sip.events import CallEnded, EndReason, Output, ReferAnswered
from services.gateway.sip.refer import Referral, referred
from services.gateway.sip.transaction import Timers
from services.gateway.sip.transactionlayer import (
    Acknowledged,
    Arrived,
    Expired,
    Indication,
    Responded,
    Running,
)
from services.gateway.sip.transport import Address, Send
from services.gateway.sip.uri import readable
from services.gateway.sip.useragentserver import UserAgentServer

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
        self._calls = Calls(local, timers, ids)
        self._server = UserAgentServer(self._calls)

    @property
    def held(self) -> int:
        """How many transactions, timers and calls are held: 0 when all is over."""
        return self._calls.held

    @property
    def waiting(self) -> bool:
        """Whether a 200 still waits for its ACK, or a request of ours for its final response."""
        return bool(self._calls.repeating or self._calls.requests)

    # What the network and the clock bring

    def receive(self, data: bytes, source: Address, now: float) -> list[Output]:
        """One UDP datagram from `source`."""
        return self._carry(self._calls.layer.receive(data, source, now), now)

    def next_deadline(self) -> float | None:
        """When `expire` is due next, or None. May be early (a timer that no longer matters), never late."""
        return self._calls.layer.next_deadline()

    def expire(self, now: float) -> list[Output]:
        """Runs every timer due at or before `now`."""
        return self._carry(self._calls.layer.expire(now), now)

    # Commands

    def ringing(self, call: Call, now: float) -> list[Output]:
        """180 Ringing."""
        if call.state is CallState.ENDED:
            return []
        invite = self._calls.proceeding(call, "ringing")
        response = self._calls.identity.dialog_response(call.request, 180, call.dialog.local_tag)
        return self._calls.reply(invite, response, now)

    def answer(self, call: Call, sdp: bytes, now: float) -> list[Output]:
        """200 OK with `sdp` (answer, or our offer when the INVITE had none), repeated until the ACK."""
        if call.state is CallState.ENDED:
            return []
        invite = self._calls.proceeding(call, "answer")
        call.invite = None
        call.state = CallState.ANSWERED
        return self._calls.accept(call, invite, call.request, sdp, now, initial=True)

    def reject(
        self, call: Call, status: int, now: float, reason: str | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> list[Output]:
        """Final response 300–699, e.g. 503 with ("Retry-After", "5"); `reason` replaces the standard phrase."""
        if call.state is CallState.ENDED:
            return []
        if not 300 <= status <= 699:
            raise ValueError(f"a call is rejected with 300 to 699, not {status}")
        self._calls.proceeding(call, "reject")
        return self._calls.end_early(
            call, self._calls.final(call, status, list(headers), reason), now, EndReason.REJECTED
        )

    def answer_reinvite(self, call: Call, sdp: bytes, now: float) -> list[Output]:
        """200 OK to the pending re-INVITE; [] when it was cancelled meanwhile."""
        if call.reinvite is None:
            return []
        running, request = call.reinvite
        call.reinvite = None
        return self._calls.accept(call, running, request, sdp, now, initial=False)

    def reject_reinvite(
        self, call: Call, status: int, now: float, headers: Iterable[tuple[str, str]] = ()
    ) -> list[Output]:
        """Refuses the pending re-INVITE, e.g. 488; the call goes on as it was."""
        return self._calls.reject_reinvite(call, status, now, list(headers))

    def bye(self, call: Call, now: float, reason: str | None = None) -> list[Output]:
        """Ends the call however it stands: BYE, or 480 before an answer. `CallEnded` comes at once.

        Before the ACK the BYE itself waits for it (RFC 3261 §15). `reason` is a Reason header value (RFC 3326),
        e.g. 'Q.850;cause=16;text="Normal call clearing"'.
        """
        if call.state is CallState.ENDED:
            return []
        fields = () if reason is None else (("Reason", reason),)
        if call.state is CallState.PROCEEDING:
            return self._calls.end_early(call, self._calls.final(call, 480, fields), now, EndReason.REJECTED)
        ended = CallEnded(call, False, EndReason.LOCAL_BYE)
        if call.state is CallState.ANSWERED:
            call.bye_waits = fields
            call.state = CallState.ENDED
            return [*self._calls.reject_reinvite(call, 487, now), ended]
        return [*self._calls.hang_up(call, now, fields), ended]

    def refer(self, call: Call, target: str, now: float) -> list[Output]:
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
        us = self._calls.identity.uri
        fields = [("Refer-To", refer_to), ("Referred-By", us), ("Contact", us)]
        call.referral = Referral(call.dialog.local_cseq + 1, call.referral)
        return self._calls.request(call, "REFER", now, fields)

    # From the transaction layer

    def _carry(self, items: Iterable[Send | Indication], now: float) -> list[Output]:
        outputs: list[Output] = []
        for item in items:
            match item:
                case Send():
                    outputs.append(item)
                case Arrived():
                    outputs += self._server.on_request(item, now)
                case Acknowledged(request):
                    outputs += self._server.on_ack(request, now)
                case Responded(running, response):
                    if response.status >= 200:
                        outputs += self._on_final(running, response.status, readable(response.reason), now)
                case Expired(running):
                    outputs += self._on_expired(running, now)
        return outputs

    def _on_final(self, running: Running, status: int, reason: str, now: float) -> list[Output]:
        """The outcome of a BYE or REFER of ours; a timeout counts as 408 (§8.1.3.1)."""
        call, method = self._calls.requests.pop(running, (None, ""))
        if call is None:
            return []
        if method == "BYE":
            self._calls.forget(call)
        if call.state is CallState.ENDED:
            return []
        outputs: list[Output] = [ReferAnswered(call, status, reason)]
        if status >= 300:
            call.referral = None
        if status != 481:
            return outputs
        # §12.2.1.2: the peer has forgotten the dialog. A 408 does not end it: many peers just ignore REFER.
        outputs += self._calls.close(call, now)
        self._calls.forget(call)
        return [*outputs, CallEnded(call, True, EndReason.DIALOG_GONE)]

    def _on_expired(self, running: Running, now: float) -> list[Output]:
        call = self._calls.repeating.get(running)
        if call is None:
            return self._on_final(running, 408, "Request Timeout", now)
        if call.state is CallState.ENDED:
            return self._calls.hang_up(call, now, call.bye_waits or ())
        return [*self._calls.hang_up(call, now), CallEnded(call, False, EndReason.NO_ACK)]
