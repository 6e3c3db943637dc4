"""Calls that we place: within the trunk's caps, rung, answered or told why not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import Span

from services.common.telemetry import names
from services.common.telemetry.log import logger
from services.common.telemetry.trace import tracer
from services.gateway.access import Trunk
from services.gateway.early_media import Silent
from services.gateway.facts import new_call_id, outbound_facts
from services.gateway.media import MediaSession
from services.gateway.rtp_port import NoPortFree
from services.gateway.sip.call import Call as SipCall
from services.gateway.sip.events import CallAnswered, CallEnded, EndReason, Progress
from services.gateway.sip.negotiation import MediaNegotiation, Negotiated
from services.gateway.sip.sdp import SdpError
from services.gateway.sip.transport import Flow, Transport, numeric_flow
from services.gateway.sip.uri import SipUri, UriError
from services.gateway.sip.usertouser import user_to_user
from services.gateway.takeover import request_uri
from services.gateway.ticker import now_us
from services.gateway.toll_fraud import OutboundRefused
from services.gateway.udp import UdpPort
from tandem.v1 import gateway_pb2 as pb

if TYPE_CHECKING:
    from services.gateway.switchboard import Switchboard

Tell = Callable[[pb.OriginateResponse], None]

_BUSY = (486, 600)
_NO_ANSWER = (408, 480, 487)
_NO_SUCH_NUMBER = (404, 410, 414, 416, 484, 485, 604)
_NOT_ACCEPTABLE = (415, 488, 606)


@dataclass(eq=False, slots=True)
class Placing:
    """A call of ours until it is answered. It is the key of its slot too."""

    request: pb.OriginateRequest
    trunk: Trunk
    call_id: str
    number: str
    caller: str
    tell: Tell
    span: Span
    port: UdpPort
    negotiation: MediaNegotiation
    call: SipCall | None = None
    early: MediaSession | None = None
    media: Negotiated | None = None
    timer: asyncio.TimerHandle | None = None
    redirected: bool = False
    gave_up: pb.OriginateFailure.ValueType = pb.ORIGINATE_FAILURE_UNSPECIFIED


class OutgoingCalls:
    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self._signalling = board.signalling
        self._placing: dict[SipCall, Placing] = {}
        self._caps_timers: dict[str, asyncio.TimerHandle] = {}
        self.trunk_is_down: Callable[[str], str | None] = lambda name: None
        """Why calls can't go out by a trunk at the moment; who watches the trunks puts it in."""

    def place(self, request: pb.OriginateRequest, trunk: Trunk, context: Context, tell: Tell) -> Callable[[], None]:
        """Calls `request.to`; how it goes is given to `tell`, last of all `answered` or `failed`.

        Gives back what cancels the call while it is not answered.
        """
        refused = self._refusal(request, trunk)
        number = refused if isinstance(refused, str) else ""
        if isinstance(refused, pb.OriginateFailed):
            logger().warning("originate_refused", trunk=trunk.name, to=request.to, why=refused.reason)
            tell(pb.OriginateResponse(failed=refused))
            return lambda: None
        target = trunk.settings.target
        outbound = trunk.settings.outbound
        assert target is not None
        assert outbound is not None
        flow = numeric_flow(target) or Flow(Transport.UDP, ("0.0.0.0", 0))
        try:
            port = self._board.open_rtp(flow)
        except NoPortFree as error:
            tell(_failed(pb.ORIGINATE_FAILURE_FULL, 0, str(error)))
            return lambda: None
        call_id = new_call_id()
        span = tracer().start_span(
            names.CALL_SETUP, context=context, attributes={names.CALL_ID: call_id, names.TRUNK: trunk.name}
        )
        caller = request.caller_number or outbound.caller
        negotiation = self._board.negotiation(trunk, flow, port.port)
        placing = Placing(request, trunk, call_id, number, caller, tell, span, port, negotiation)
        full = self._board.admission.admit(placing, trunk.name, self._signalling.now())
        if full is not None:
            self._close(placing)
            tell(_failed(pb.ORIGINATE_FAILURE_FULL, 0, full.reason))
            return lambda: None
        self._invite(placing, target)
        ring_s = request.ring_timeout_s or outbound.ring_timeout_s
        placing.timer = asyncio.get_running_loop().call_later(
            ring_s, self._give_up, placing, pb.ORIGINATE_FAILURE_NO_ANSWER
        )
        return lambda: self._give_up(placing, pb.ORIGINATE_FAILURE_CANCELLED)

    def on_event(self, event: Progress | CallAnswered) -> None:
        if self._board.takeovers.on_event(event):
            return
        placing = self._placing.get(event.call)
        if placing is None:
            return
        if isinstance(event, Progress):
            self._progress(placing, event)
        else:
            self._answered(placing, event)

    def ended(self, ended: CallEnded) -> None:
        if self._board.takeovers.failed(ended):
            return
        placing = self._placing.pop(ended.call, None)
        if placing is None or self._redirected(placing, ended):
            return
        self._close(placing)
        self._board.admission.free(placing)
        failure = placing.gave_up or failure_of(ended)
        reason = ended.detail or pb.OriginateFailure.Name(failure).removeprefix("ORIGINATE_FAILURE_").lower()
        logger().info("originate_failed", call_id=placing.call_id, status=ended.status, why=reason)
        placing.tell(_failed(failure, ended.status, reason))

    def _redirected(self, placing: Placing, ended: CallEnded) -> bool:
        """A 3xx is followed once, and within the trunk: what may not be called may not be redirected to either."""
        if not ended.contact or placing.redirected or placing.gave_up:
            return False
        try:
            contact = SipUri.parse(ended.contact)
        except UriError:
            return False
        target = placing.trunk.settings.target or ""
        here = SipUri.parse(target).host if target else ""
        if contact.host != here and self._signalling.trunks.of(contact.host) is not placing.trunk:
            return False
        admitted = self._board.caps[placing.trunk.name].admit(contact.user, self._signalling.now())
        if isinstance(admitted, OutboundRefused):
            logger().warning("redirect_refused", call_id=placing.call_id, why=admitted.value)
            return False
        if placing.early is not None:
            return False  # its RTP port is in use: not worth another
        placing.redirected, placing.number = True, admitted.number
        self._invite(placing, ended.contact if contact.host != here else target, ended.call)
        return True

    def arm_caps(self, trunk: str) -> None:
        """Running calls end when the day's minutes are used up."""
        timer = self._caps_timers.pop(trunk, None)
        if timer is not None:
            timer.cancel()
        now = self._signalling.now()
        deadline = self._board.caps[trunk].deadline(now)
        if deadline is not None:
            loop = asyncio.get_running_loop()
            self._caps_timers[trunk] = loop.call_later(max(deadline - now, 0), self._used_up, trunk)

    def close(self) -> None:
        for timer in self._caps_timers.values():
            timer.cancel()

    def _refusal(self, request: pb.OriginateRequest, trunk: Trunk) -> pb.OriginateFailed | str:
        """Why the call may not be placed; else the number to dial."""
        down = self.trunk_is_down(trunk.name)
        if down is not None:
            return pb.OriginateFailed(failure=pb.ORIGINATE_FAILURE_UNREACHABLE, reason=f"trunk {trunk.name}: {down}")
        if self._board.admission.draining:
            return pb.OriginateFailed(failure=pb.ORIGINATE_FAILURE_FULL, reason="draining")
        placed = self._board.caps[trunk.name].admit(request.to, self._signalling.now())
        if isinstance(placed, OutboundRefused):
            reason = f"trunk {trunk.name}: {placed.explanation}"
            return pb.OriginateFailed(failure=pb.ORIGINATE_FAILURE_FORBIDDEN, reason=reason)
        return placed.number

    def _invite(self, placing: Placing, target: str, redirected: SipCall | None = None) -> None:
        request = placing.request
        headers: list[tuple[str, str]] = []
        if request.HasField("user_to_user"):
            sent = request.user_to_user
            headers.append(("User-to-User", user_to_user(sent.data, sent.content, sent.purpose)))
        call, outputs = self._board.agent.invite(
            request_uri(target, placing.number),
            placing.negotiation.offer(),
            self._signalling.now(),
            caller=(placing.caller, request.caller_name),
            way=target,
            profile=self._signalling.profile(placing.trunk),
            headers=headers,
            redirected=redirected,
        )
        placing.call = call
        self._placing[call] = placing
        placing.span.set_attribute(names.SIP_CALL_ID, call.dialog.call_id)
        if not placing.redirected:
            placed = pb.OriginatePlaced(call_id=placing.call_id, sip_call_id=call.dialog.call_id)
            placing.tell(pb.OriginateResponse(placed=placed))
        self._signalling.carry_out(outputs)

    def _progress(self, placing: Placing, event: Progress) -> None:
        if event.sdp is None:
            if event.status != 100:
                placing.tell(pb.OriginateResponse(ringing=pb.OriginateRinging()))
            return
        try:
            placing.media = placing.negotiation.accept(event.sdp)
        except SdpError as error:
            logger().warning("early_media_unusable", call_id=placing.call_id, why=str(error))
            return
        if placing.early is None:
            began_us = now_us()
            placing.early = MediaSession(
                placing.port,
                Silent(),
                lambda: now_us() - began_us,
                self._board.settings.media_timeout_s * 1_000_000,
                lambda: None,
                early=True,
            )
            placing.early.negotiated(placing.media)
            self._board.start_early(placing.early, lambda: self._give_up(placing, pb.ORIGINATE_FAILURE_UNSPECIFIED))
        else:
            placing.early.negotiated(placing.media)
        placing.tell(pb.OriginateResponse(early_media=pb.OriginateEarlyMedia()))

    def _answered(self, placing: Placing, event: CallAnswered) -> None:
        board = self._board
        del self._placing[event.call]
        if placing.timer is not None:
            placing.timer.cancel()
        try:
            if event.sdp is not None:
                placing.media = placing.negotiation.accept(event.sdp)
            if placing.media is None:
                raise SdpError("the answer has no SDP")
        except SdpError as error:
            self._close(placing)
            board.admission.free(placing)
            placing.tell(_failed(pb.ORIGINATE_FAILURE_NOT_ACCEPTABLE, 200, str(error)))
            self._signalling.carry_out(board.agent.bye(event.call, self._signalling.now()))
            return
        facts = outbound_facts(
            event.call,
            placing.call_id,
            placing.caller,
            placing.number,
            placing.trunk,
            placing.request.agent,
            board.control_address,
        )
        facts.answered_unix_us = time.time_ns() // 1000
        live = board.begin(
            event.call,
            facts,
            placing.trunk,
            placing.negotiation,
            placing.media,
            placing.port,
            placing.span,
            placing.early,
        )
        live.slot, live.outbound = placing, True
        board.caps[placing.trunk.name].answered(placing, self._signalling.now())
        self.arm_caps(placing.trunk.name)
        placing.tell(pb.OriginateResponse(answered=facts))

    def _give_up(self, placing: Placing, failure: pb.OriginateFailure.ValueType) -> None:
        if placing.call is None or placing.call not in self._placing:
            return
        placing.gave_up = failure
        self._signalling.carry_out(self._board.agent.bye(placing.call, self._signalling.now()))

    def _used_up(self, trunk: str) -> None:
        for live in [one for one in self._board.live.values() if one.outbound and one.trunk.name == trunk]:
            self._board.hang_up(live, "the trunk's minutes of the day are used up")

    def _close(self, placing: Placing) -> None:
        if placing.timer is not None:
            placing.timer.cancel()
        if placing.early is not None:
            self._board.stop_media(placing.early)
        placing.port.close()
        placing.span.end()


def failure_of(ended: CallEnded) -> pb.OriginateFailure.ValueType:
    """What a call that was not answered came to, for who placed it."""
    status = ended.status
    if ended.reason is EndReason.UNREACHABLE or 500 <= status < 600:
        return pb.ORIGINATE_FAILURE_UNREACHABLE
    for statuses, failure in (
        (_BUSY, pb.ORIGINATE_FAILURE_BUSY),
        (_NO_ANSWER, pb.ORIGINATE_FAILURE_NO_ANSWER),
        (_NO_SUCH_NUMBER, pb.ORIGINATE_FAILURE_NO_SUCH_NUMBER),
        (_NOT_ACCEPTABLE, pb.ORIGINATE_FAILURE_NOT_ACCEPTABLE),
    ):
        if status in statuses:
            return failure
    return pb.ORIGINATE_FAILURE_REJECTED


def _failed(failure: pb.OriginateFailure.ValueType, status: int, reason: str) -> pb.OriginateResponse:
    return pb.OriginateResponse(failed=pb.OriginateFailed(failure=failure, sip_status=status, reason=reason))
