"""Calls that we place: within the trunk's caps, rung, answered or told why not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.context import Context

from services.common.telemetry import names
from services.common.telemetry.log import logger
from services.gateway.access import Trunk
from services.gateway.admission import NoSlot
from services.gateway.call_setup import CallSetup, ids
from services.gateway.facts import new_call_id, outbound_facts, showable
from services.gateway.media import MediaSession
from services.gateway.originate_failures import Failure, NotPlaced, error_of, failed, failure_of, name_of
from services.gateway.refusals import NotAdmitted
from services.gateway.rtp_port import NoPortFree
from services.gateway.sip.call import Call as SipCall
from services.gateway.sip.events import CallAnswered, CallEnded, Progress
from services.gateway.sip.negotiation import MediaNegotiation, Negotiated
from services.gateway.sip.sdp import SdpError
from services.gateway.sip.transport import Flow, Transport, numeric_flow
from services.gateway.sip.uri import SipUri, UriError
from services.gateway.sip.usertouser import user_to_user
from services.gateway.takeover import request_uri
from services.gateway.toll_fraud import OutboundRefused
from services.gateway.trace_header import telling
from services.gateway.udp import UdpPort
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.call_pb2 import CallFacts

if TYPE_CHECKING:
    from services.gateway.switchboard import Switchboard

Tell = Callable[[pb.OriginateResponse], None]

# As in the settings; proxies give up after three minutes (RFC 3261 §16.6, timer C).
_LONGEST_RING_S = 300


@dataclass(eq=False, slots=True)
class Placing:
    """A call of ours until it is answered. It is the key of its slot too."""

    request: pb.OriginateRequest
    trunk: Trunk
    call_id: str
    number: str
    caller: str
    tell: Tell
    setup: CallSetup
    port: UdpPort
    negotiation: MediaNegotiation
    call: SipCall | None = None
    early: MediaSession | None = None
    media: Negotiated | None = None
    timer: asyncio.TimerHandle | None = None
    redirected: bool = False
    gave_up: pb.OriginateFailure.ValueType | None = None


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
        try:
            number = self._number(request, trunk)
        except NotPlaced as refused:
            self._board.refusals.add(trunk.name, refused.cause)
            logger().warning("originate_refused", trunk=trunk.name, to=request.to, why=str(refused))
            tell(failed(refused.failure, 0, str(refused)))
            return lambda: None
        target = trunk.settings.target
        outbound = trunk.settings.outbound
        assert target is not None
        assert outbound is not None
        flow = numeric_flow(target) or Flow(Transport.UDP, ("0.0.0.0", 0))
        try:
            port = self._board.media.open_port(flow)
        except NoPortFree as error:
            self._board.refusals.add(trunk.name, NotAdmitted.NO_PORT)
            tell(failed(pb.ORIGINATE_FAILURE_FULL, 0, str(error)))
            return lambda: None
        call_id = new_call_id()
        setup = CallSetup(trunk.name, "outbound", self._signalling.now(), parent=context, call_id=call_id)
        caller = request.caller_number or outbound.caller
        negotiation = self._board.media.negotiation(trunk, port.version, port.port)
        placing = Placing(request, trunk, call_id, number, caller, tell, setup, port, negotiation)
        full = self._board.admission.admit(placing, trunk.name, self._signalling.now())
        if full is not None:
            self._board.refusals.add(trunk.name, full.cause)
            self._close(placing, pb.ORIGINATE_FAILURE_FULL, 0, full.reason)
            tell(failed(pb.ORIGINATE_FAILURE_FULL, 0, full.reason))
            return lambda: None
        try:
            self._invite(placing, target)
        except ValueError as error:
            # What was asked for cannot be written into an INVITE.
            self._board.refusals.add(trunk.name, NotAdmitted.BAD_REQUEST)
            self._fail(placing, pb.ORIGINATE_FAILURE_FORBIDDEN, 0, str(error))
            return lambda: None
        except Exception:
            logger().exception("originate_broken", call_id=call_id)
            self._board.refusals.add(trunk.name, NotAdmitted.INTERNAL_ERROR)
            self._fail(placing, pb.ORIGINATE_FAILURE_UNSPECIFIED, 0, "internal error")
            return lambda: None
        if placing.call not in self._placing:
            return lambda: None  # it is over already
        ring_s = min(request.ring_timeout_s or outbound.ring_timeout_s, _LONGEST_RING_S)
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
        failure = failure_of(ended) if placing.gave_up is None else placing.gave_up
        self._fail(placing, failure, ended.status, ended.detail or name_of(failure))

    def negotiation(self, call: SipCall) -> MediaNegotiation | None:
        """Of a call that is not answered yet."""
        placing = self._placing.get(call)
        return None if placing is None else placing.negotiation

    def renegotiated(self, call: SipCall, media: Negotiated) -> None:
        """An UPDATE changed the media before the answer."""
        placing = self._placing.get(call)
        if placing is not None:
            placing.media = media
            if placing.early is not None:
                placing.early.negotiated(media)

    def _redirected(self, placing: Placing, ended: CallEnded) -> bool:
        """A 3xx is followed once, and within the trunk: what may not be called may not be redirected to either."""
        if not ended.contact or placing.redirected or placing.gave_up is not None:
            return False
        if placing.early is not None:
            return False  # its RTP port is in use: not worth another
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
        placing.redirected, placing.number = True, admitted.number
        try:
            # A trunk by TLS is not left for what is none: the SRTP keys would go out in the clear.
            direct = contact.host != here and (_by_tls(contact) or not placing.trunk.settings.tls)
            self._invite(placing, _way(contact) if direct else target, ended.call)
        except Exception:
            logger().exception("originate_broken", call_id=placing.call_id)
            return False
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
        """Whoever is being called is called no more."""
        for placing in list(self._placing.values()):
            self._give_up(placing, pb.ORIGINATE_FAILURE_CANCELLED)
        for timer in self._caps_timers.values():
            timer.cancel()

    def _number(self, request: pb.OriginateRequest, trunk: Trunk) -> str:
        """What to dial. Raises NotPlaced."""
        down = self.trunk_is_down(trunk.name)
        if down is not None:
            raise NotPlaced.trunk_down(trunk.name, down)
        if self._board.admission.draining:
            raise NotPlaced(NoSlot.DRAINING, pb.ORIGINATE_FAILURE_FULL, "draining")
        if request.caller_number and not showable(request.caller_number):
            why = f"caller_number {request.caller_number!r} is no number or user name that can be shown"
            raise NotPlaced.unusable(why)
        if not request.caller_name.isprintable():
            raise NotPlaced.unusable(f"caller_name {request.caller_name!r} has characters that cannot be shown")
        placed = self._board.caps[trunk.name].admit(request.to, self._signalling.now())
        if isinstance(placed, OutboundRefused):
            raise NotPlaced.capped(trunk.name, placed)
        return placed.number

    def _invite(self, placing: Placing, target: str, redirected: SipCall | None = None) -> None:
        request = placing.request
        headers: list[tuple[str, str]] = []
        if request.HasField("user_to_user"):
            sent = request.user_to_user
            headers.append(("User-to-User", user_to_user(sent.data, sent.content, sent.purpose)))
        headers += telling(placing.setup.traceparent, placing.trunk.settings)
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
        placing.setup.span.set_attribute(names.SIP_CALL_ID, call.dialog.call_id)
        self._board.known_as(placing.call_id, call.dialog.call_id)
        if not placing.redirected:
            placed = pb.OriginatePlaced(call_id=placing.call_id, sip_call_id=call.dialog.call_id)
            placing.tell(pb.OriginateResponse(placed=placed))
        self._signalling.carry_out(outputs)

    def _progress(self, placing: Placing, event: Progress) -> None:
        placing.setup.progressed(event.status, event.sdp is not None, self._signalling.now())
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
            placing.early = self._board.media.start_early(
                placing.port, placing.media, lambda: self._give_up(placing, pb.ORIGINATE_FAILURE_UNSPECIFIED)
            )
        else:
            placing.early.negotiated(placing.media)
        placing.tell(pb.OriginateResponse(early_media=pb.OriginateEarlyMedia()))

    def _answered(self, placing: Placing, event: CallAnswered) -> None:
        board = self._board
        del self._placing[event.call]
        if placing.timer is not None:
            placing.timer.cancel()
        board.answered(placing.setup)
        try:
            if event.sdp is not None:
                placing.media = placing.negotiation.accept(event.sdp)
            if placing.media is None:
                raise SdpError("the answer has no SDP")
        except SdpError as error:
            self._fail(placing, pb.ORIGINATE_FAILURE_NOT_ACCEPTABLE, 200, str(error))
            self._signalling.carry_out(board.agent.bye(event.call, self._signalling.now()))
            return
        try:
            facts = self._begin(placing, event.call)
        except Exception:
            logger().exception("originate_broken", call_id=placing.call_id)
            board.refusals.add(placing.trunk.name, NotAdmitted.INTERNAL_ERROR)
            self._signalling.carry_out(board.agent.bye(event.call, self._signalling.now()))
            self._fail(placing, pb.ORIGINATE_FAILURE_UNSPECIFIED, 200, "internal error")
        else:
            placing.setup.acknowledged(self._signalling.now())
            placing.tell(pb.OriginateResponse(answered=facts))

    def _begin(self, placing: Placing, call: SipCall) -> CallFacts:
        board = self._board
        facts = outbound_facts(
            call,
            placing.call_id,
            placing.caller,
            placing.number,
            placing.trunk,
            placing.request.agent,
            board.control_address,
        )
        facts.answered_unix_us = time.time_ns() // 1000
        board.begin(
            call,
            facts,
            placing.trunk,
            placing.negotiation,
            placing.media,
            placing.port,
            placing.setup,
            placing.early,
            slot=placing,
            person=placing.request.hold_for_bridge,
        )
        return facts

    def _give_up(self, placing: Placing, failure: pb.OriginateFailure.ValueType) -> None:
        if placing.call is None or placing.call not in self._placing:
            return
        placing.gave_up = failure
        self._signalling.carry_out(self._board.agent.bye(placing.call, self._signalling.now()))

    def _used_up(self, trunk: str) -> None:
        for live in [one for one in self._board.live.values() if one.outbound and one.trunk.name == trunk]:
            self._board.hang_up(live, "the trunk's minutes of the day are used up")

    def _fail(self, placing: Placing, failure: Failure, status: int, reason: str) -> None:
        self._close(placing, failure, status, reason)
        self._board.admission.free(placing)
        trace = ids(placing.setup.traceparent)
        logger().info("originate_failed", call_id=placing.call_id, status=status, why=reason, **trace)
        placing.tell(failed(failure, status, reason))

    def _close(self, placing: Placing, failure: Failure, status: int, reason: str) -> None:
        if placing.timer is not None:
            placing.timer.cancel()
        if placing.early is not None:
            self._board.media.stop(placing.early)
        placing.port.close()
        placing.setup.refused(status, reason, error_of(failure))


def _way(contact: SipUri) -> str:
    """To the host that was looked at, and not to another that the URI names beside it (maddr)."""
    parameters = {name: value for name, value in contact.parameters.items() if name == "transport"}
    return str(SipUri(contact.host, contact.port, scheme=contact.scheme, parameters=parameters))


def _by_tls(contact: SipUri) -> bool:
    return contact.scheme == "sips" or (contact.parameters.get("transport") or "").lower() == "tls"
