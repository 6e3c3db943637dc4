"""Calls that come: admitted, routed, rung, answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.trace import Link, get_current_span

from services.common.telemetry.log import logger
from services.common.telemetry.trace import context_from_traceparent
from services.gateway.access import Trunk
from services.gateway.call_setup import NO_CONTEXT, CallSetup, ids
from services.gateway.facts import inbound_facts
from services.gateway.media import MediaSession
from services.gateway.refusals import NotAdmitted, Why
from services.gateway.routes import NOT_FOUND, ToAgent, ToEcho, ToReject
from services.gateway.rtp_port import NoPortFree
from services.gateway.sip.call import Call as SipCall
from services.gateway.sip.call import CallState
from services.gateway.sip.events import CallEnded, EndReason, IncomingCall, ProvisionalAcknowledged
from services.gateway.sip.negotiation import MediaNegotiation, Negotiated
from services.gateway.sip.sdp import SdpError
from services.gateway.trace_header import telling, told_by
from services.gateway.udp import UdpPort

if TYPE_CHECKING:
    from services.gateway.switchboard import Switchboard

_TEMPORARY_FAILURE = 'Q.850;cause=41;text="Temporary failure"'
_STATUSES = {EndReason.CANCELLED: 487, EndReason.NO_PRACK: 504}
"""What the INVITE of a call got that was never answered."""
_FAILURES = {EndReason.NO_PRACK: EndReason.NO_PRACK.value}


@dataclass(slots=True)
class Ringing:
    """A call that is admitted and not yet answered. `body` is our description for the 200."""

    call: SipCall
    trunk: Trunk
    route: ToAgent | ToEcho
    port: UdpPort
    negotiation: MediaNegotiation
    media: Negotiated | None
    body: bytes
    setup: CallSetup
    early: MediaSession | None = None
    timer: asyncio.TimerHandle | None = None


class IncomingCalls:
    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self._signalling = board.signalling
        self._ringing: dict[SipCall, Ringing] = {}

    def incoming(self, incoming: IncomingCall) -> None:
        call = incoming.call
        trunk = self._signalling.trunks.named(call.profile.name)
        setup = self._setup(incoming, trunk)
        if trunk is None:
            self._reject(call, setup, 403, NotAdmitted.UNKNOWN_TRUNK)
            return
        try:
            self._admit(incoming, trunk, setup)
        except Exception:
            self._failed(call, setup)

    def _setup(self, incoming: IncomingCall, trunk: Trunk | None) -> CallSetup:
        """A trace of its own; or the trace of the call whose place it takes, or the one that its trunk tells."""
        call, now = incoming.call, self._signalling.now()
        name = "" if trunk is None else trunk.name
        told = None if trunk is None else told_by(call.headers, trunk.settings)
        live = None if incoming.replaces is None else self._board.live.get(incoming.replaces)
        if live is None:
            joined, parent = told is not None, told or NO_CONTEXT
            return CallSetup(name, "inbound", now, parent=parent, joined=joined, sip_call_id=call.call_id)
        return CallSetup(
            name,
            "inbound",
            now,
            parent=context_from_traceparent(live.traceparent),
            of_call=True,
            sip_call_id=call.call_id,
            links=[] if told is None else [Link(get_current_span(told).get_span_context())],
        )

    def _admit(self, incoming: IncomingCall, trunk: Trunk, setup: CallSetup) -> None:
        call, board = incoming.call, self._board
        if incoming.replaces is not None:
            board.takeovers.replace(incoming, trunk, setup)
            return
        # The slot is taken first of all: two INVITEs in one turn of the loop cannot both get the last one.
        refused = board.admission.admit(call, trunk.name, self._signalling.now())
        if refused is not None:
            headers = [("Retry-After", str(refused.retry_after_s))]
            self._reject(call, setup, refused.status, refused.cause, refused.reason, headers)
            return
        self._signalling.carry_out(board.agent.trying(call, self._signalling.now()))
        setup.trying(self._signalling.now())
        route = trunk.routes.find(call.called_number) or NOT_FOUND
        if isinstance(route, ToReject):
            why = NotAdmitted.NO_ROUTE if route is NOT_FOUND else NotAdmitted.ROUTE
            self._reject(call, setup, route.status, why, route.reason)
            return
        ringing = self._prepare(call, trunk, route, incoming.sdp_offer, setup)
        if ringing is not None:
            self._ring(ringing)

    def close(self) -> None:
        """The callers are told that nobody will answer."""
        for ringing in list(self._ringing.values()):
            self._reject(ringing.call, ringing.setup, 503, NotAdmitted.SHUTTING_DOWN)

    def negotiation(self, call: SipCall) -> MediaNegotiation | None:
        """Of a call that is not answered yet."""
        ringing = self._ringing.get(call)
        return None if ringing is None else ringing.negotiation

    def renegotiated(self, call: SipCall, media: Negotiated) -> None:
        """An UPDATE or PRACK changed the media before the answer."""
        ringing = self._ringing.get(call)
        if ringing is not None:
            ringing.media = media
            if ringing.early is not None:
                ringing.early.negotiated(media)
            elif ringing.route.early_media:
                self._open(ringing, media)

    def acknowledged(self, event: ProvisionalAcknowledged) -> None:
        """PRACK, with the answer where our 183 carried the offer."""
        ringing = self._ringing.get(event.call)
        if ringing is None or event.sdp_answer is None:
            return
        try:
            self.renegotiated(event.call, ringing.negotiation.accept(event.sdp_answer))
        except SdpError as error:
            self._reject(event.call, ringing.setup, error.status, NotAdmitted.SDP)

    def ended(self, ended: CallEnded) -> None:
        """The caller gave up, or we refused."""
        ringing = self._forget(ended.call)
        if ringing is None:
            return
        status = _STATUSES.get(ended.reason, 480)
        ringing.setup.refused(status, ended.reason.value, _FAILURES.get(ended.reason, ""))
        logger().info(
            "call_unanswered",
            sip_call_id=ended.call.call_id,
            why=ended.reason.value,
            **ids(ringing.setup.traceparent),
        )

    def _prepare(
        self, call: SipCall, trunk: Trunk, route: ToAgent | ToEcho, offer: bytes | None, setup: CallSetup
    ) -> Ringing | None:
        try:
            port = self._board.media.open_port(call.flow)
        except NoPortFree as error:
            logger().error("no_rtp_port", why=str(error))
            self._reject(call, setup, 503, NotAdmitted.NO_PORT, "No media port", [("Retry-After", "5")])
            return None
        try:
            negotiation = self._board.media.negotiation(trunk, port.version, port.port)
            if offer is None:
                body, media = negotiation.offer(), None
            else:
                answer = negotiation.answer(offer)
                body, media = answer.body, answer.negotiated
        except SdpError as error:
            port.close()
            warning = [("Warning", error.warning)] if error.warning else []
            self._reject(call, setup, error.status, NotAdmitted.SDP, None, warning)
            return None
        except Exception:
            port.close()
            raise
        ringing = Ringing(call, trunk, route, port, negotiation, media, body, setup)
        self._ringing[call] = ringing
        return ringing

    def _ring(self, ringing: Ringing) -> None:
        call, route, board = ringing.call, ringing.route, self._board
        if not route.ring_s and not route.early_media:
            self._answer(call)
            return
        now = self._signalling.now()
        # RFC 3261 §13.2.1: an offer of ours goes into a reliable response only.
        if route.early_media and (ringing.media is not None or call.provisionals is not None):
            self._signalling.carry_out(board.agent.progress(call, ringing.body, now))
            ringing.setup.early_media()
            if ringing.media is not None:
                self._open(ringing, ringing.media)
        else:
            self._signalling.carry_out(board.agent.ringing(call, now))
            ringing.setup.ringing(self._signalling.now())
        ringing.timer = asyncio.get_running_loop().call_later(route.ring_s, self._answer, call)

    def _open(self, ringing: Ringing, media: Negotiated) -> None:
        """Media before the answer."""
        ringing.early = self._board.media.start_early(
            ringing.port, media, lambda: self._failed(ringing.call, ringing.setup)
        )

    def _answer(self, call: SipCall) -> None:
        ringing = self._ringing.get(call)
        if ringing is None:
            return
        try:
            headers = telling(ringing.setup.traceparent, ringing.trunk.settings)
            self._signalling.carry_out(self._board.agent.answer(call, ringing.body, self._signalling.now(), headers))
            del self._ringing[call]
            if call.state is not CallState.PROCEEDING:  # else the 200 waits for a PRACK
                self._board.answered(ringing.setup)
            agent = ringing.route.agent if isinstance(ringing.route, ToAgent) else ""
            facts = inbound_facts(call, ringing.trunk, agent, self._board.control_address, time.time_ns() // 1000)
            self._board.begin(
                call,
                facts,
                ringing.trunk,
                ringing.negotiation,
                ringing.media,
                ringing.port,
                ringing.setup,
                ringing.early,
            )
        except Exception:
            self._release(ringing)
            self._failed(call, ringing.setup)

    def _failed(self, call: SipCall, setup: CallSetup) -> None:
        """A defect of ours costs this call only, and leaves no slot taken and no caller in silence."""
        logger().exception("call_setup_failed", sip_call_id=call.call_id, **ids(setup.traceparent))
        self._forget(call)
        self._board.refusals.add(setup.trunk, NotAdmitted.INTERNAL_ERROR)
        setup.refused(480 if call.state is CallState.PROCEEDING else 0, "internal error", "internal_error")
        self._signalling.carry_out(self._board.agent.bye(call, self._signalling.now(), _TEMPORARY_FAILURE))

    def _forget(self, call: SipCall) -> Ringing | None:
        """It rings no more."""
        ringing = self._ringing.pop(call, None)
        if ringing is not None:
            self._release(ringing)
        return ringing

    def _release(self, ringing: Ringing) -> None:
        if ringing.timer is not None:
            ringing.timer.cancel()
        if ringing.early is not None:
            self._board.media.stop(ringing.early)
        ringing.port.close()

    def _reject(
        self,
        call: SipCall,
        setup: CallSetup,
        status: int,
        why: Why,
        reason: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        self._board.refusals.add(setup.trunk, why)
        # A busy or unknown number is no failure of ours.
        setup.refused(status, why.value, why.value if 500 <= status < 600 else "")
        logger().info(
            "call_refused",
            sip_call_id=call.call_id,
            called=call.called_number,
            status=status,
            why=why.value,
            **ids(setup.traceparent),
        )
        self._signalling.carry_out(self._board.agent.reject(call, status, self._signalling.now(), reason, headers))
