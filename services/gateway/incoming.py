"""Calls that come: admitted, routed, rung, answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import Span

from services.common.telemetry import names
from services.common.telemetry.log import logger
from services.common.telemetry.trace import tracer
from services.gateway.access import Trunk
from services.gateway.facts import inbound_facts
from services.gateway.media import MediaSession
from services.gateway.routes import NOT_FOUND, ToAgent, ToEcho, ToReject
from services.gateway.rtp_port import NoPortFree
from services.gateway.sip.call import Call as SipCall
from services.gateway.sip.events import CallEnded, EndReason, IncomingCall, ProvisionalAcknowledged
from services.gateway.sip.negotiation import MediaNegotiation, Negotiated
from services.gateway.sip.sdp import SdpError
from services.gateway.udp import UdpPort

if TYPE_CHECKING:
    from services.gateway.switchboard import Switchboard

_TEMPORARY_FAILURE = 'Q.850;cause=41;text="Temporary failure"'
_STATUSES = {EndReason.CANCELLED: 487, EndReason.NO_PRACK: 504}
"""What the INVITE of a call got that was never answered."""


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
    span: Span
    early: MediaSession | None = None
    timer: asyncio.TimerHandle | None = None


class IncomingCalls:
    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self._signalling = board.signalling
        self._ringing: dict[SipCall, Ringing] = {}

    def incoming(self, incoming: IncomingCall) -> None:
        call = incoming.call
        span = tracer().start_span(names.CALL_SETUP, context=Context(), attributes={names.SIP_CALL_ID: call.call_id})
        trunk = self._signalling.trunks.named(call.profile.name)
        if trunk is None:
            self._reject(call, span, 403)
            return
        span.set_attribute(names.TRUNK, trunk.name)
        try:
            self._admit(incoming, trunk, span)
        except Exception:
            self._failed(call, span)

    def _admit(self, incoming: IncomingCall, trunk: Trunk, span: Span) -> None:
        call, board = incoming.call, self._board
        if incoming.replaces is not None:
            board.takeovers.replace(incoming, trunk, span)
            return
        # The slot is taken first of all: two INVITEs in one turn of the loop cannot both get the last one.
        refused = board.admission.admit(call, trunk.name, self._signalling.now())
        if refused is not None:
            self._reject(call, span, refused.status, refused.reason, [("Retry-After", str(refused.retry_after_s))])
            return
        self._signalling.carry_out(board.agent.trying(call, self._signalling.now()))
        route = trunk.routes.find(call.called_number) or NOT_FOUND
        if isinstance(route, ToReject):
            self._reject(call, span, route.status, route.reason)
            return
        ringing = self._prepare(call, trunk, route, incoming.sdp_offer, span)
        if ringing is not None:
            self._ring(ringing)

    def close(self) -> None:
        """The callers are told that nobody will answer."""
        for ringing in list(self._ringing.values()):
            self._reject(ringing.call, ringing.span, 503)

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
            self._reject(event.call, ringing.span, error.status)

    def ended(self, ended: CallEnded) -> None:
        """The caller gave up, or we refused."""
        ringing = self._forget(ended.call)
        if ringing is None:
            return
        if ringing.span.is_recording():
            status = _STATUSES.get(ended.reason, 480)
            ringing.span.set_attributes({names.HANGUP_REASON: ended.reason.value, names.SIP_STATUS: status})
            ringing.span.end()
        logger().info("call_unanswered", sip_call_id=ended.call.call_id, why=ended.reason.value)

    def _prepare(
        self, call: SipCall, trunk: Trunk, route: ToAgent | ToEcho, offer: bytes | None, span: Span
    ) -> Ringing | None:
        try:
            port = self._board.media.open_port(call.flow)
        except NoPortFree as error:
            logger().error("no_rtp_port", why=str(error))
            self._reject(call, span, 503, "No media port", [("Retry-After", "5")])
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
            self._reject(call, span, error.status, None, [("Warning", error.warning)] if error.warning else [])
            return None
        except Exception:
            port.close()
            raise
        ringing = Ringing(call, trunk, route, port, negotiation, media, body, span)
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
            if ringing.media is not None:
                self._open(ringing, ringing.media)
        else:
            self._signalling.carry_out(board.agent.ringing(call, now))
        ringing.timer = asyncio.get_running_loop().call_later(route.ring_s, self._answer, call)

    def _open(self, ringing: Ringing, media: Negotiated) -> None:
        """Media before the answer."""
        ringing.early = self._board.media.start_early(
            ringing.port, media, lambda: self._failed(ringing.call, ringing.span)
        )

    def _answer(self, call: SipCall) -> None:
        ringing = self._ringing.get(call)
        if ringing is None:
            return
        try:
            self._signalling.carry_out(self._board.agent.answer(call, ringing.body, self._signalling.now()))
            del self._ringing[call]
            agent = ringing.route.agent if isinstance(ringing.route, ToAgent) else ""
            facts = inbound_facts(call, ringing.trunk, agent, self._board.control_address, time.time_ns() // 1000)
            self._board.begin(
                call,
                facts,
                ringing.trunk,
                ringing.negotiation,
                ringing.media,
                ringing.port,
                ringing.span,
                ringing.early,
            )
        except Exception:
            self._release(ringing)
            self._failed(call, ringing.span)

    def _failed(self, call: SipCall, span: Span) -> None:
        """A defect of ours costs this call only, and leaves no slot taken and no caller in silence."""
        logger().exception("call_setup_failed", sip_call_id=call.call_id)
        self._forget(call)
        if span.is_recording():
            span.set_attributes({names.HANGUP_REASON: "internal error", names.SIP_STATUS: 480})
            span.end()
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
        span: Span,
        status: int,
        reason: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        span.set_attribute(names.SIP_STATUS, status)
        span.end()
        logger().info("call_refused", sip_call_id=call.call_id, called=call.called_number, status=status)
        self._signalling.carry_out(self._board.agent.reject(call, status, self._signalling.now(), reason, headers))
