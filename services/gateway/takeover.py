"""A live call goes on with another device: INVITE with Replaces (RFC 3891), and REFER that we follow (RFC 3515)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.common.telemetry import names
from services.common.telemetry.log import logger
from services.common.telemetry.trace import context_from_traceparent
from services.gateway.access import Trunk
from services.gateway.call_setup import CallSetup
from services.gateway.facts import showable
from services.gateway.live_call import LiveCall
from services.gateway.originate_failures import error_of, failure_of
from services.gateway.refusals import NotAdmitted
from services.gateway.sip.call import Call as SipCall
from services.gateway.sip.events import CallAnswered, CallEnded, EndReason, IncomingCall, Progress, ReferReceived
from services.gateway.sip.negotiation import MediaNegotiation
from services.gateway.sip.sdp import SdpError
from services.gateway.sip.uri import SipUri, UriError, user_of
from services.gateway.toll_fraud import OutboundRefused
from services.gateway.trace_header import telling
from tandem.v1 import call_pb2 as pb

if TYPE_CHECKING:
    from services.gateway.switchboard import Switchboard

_REPLACED = 'SIP;cause=200;text="Call completed elsewhere"'


@dataclass(slots=True)
class Following:
    """A REFER under way: `live` is the call that is to move."""

    live: LiveCall
    negotiation: MediaNegotiation
    number: str
    timer: asyncio.TimerHandle
    setup: CallSetup
    told: bytes | None = None
    """The answer that an early response brought."""
    left: CallEnded | None = None
    """Whoever referred us has hung up: the live call has no SIP call until the target answers."""


class TakeOvers:
    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self._signalling = board.signalling
        self._following: dict[SipCall, Following] = {}

    # INVITE with Replaces

    def replace(self, incoming: IncomingCall, trunk: Trunk, setup: CallSetup) -> None:
        """The new call takes over media and agent of the old one, which ends with BYE. It needs no slot of its own."""
        call, board = incoming.call, self._board
        live = None if incoming.replaces is None else board.live.get(incoming.replaces)
        now = self._signalling.now()
        if live is None or incoming.sdp_offer is None:
            why = NotAdmitted.SDP if live else NotAdmitted.NOTHING_TO_REPLACE
            board.refusals.add(trunk.name, why)
            setup.refused(488 if live else 481, why.value)
            self._signalling.carry_out(board.agent.reject(call, 488 if live else 481, now))
            return
        negotiation = board.media.negotiation(trunk, live.ip_version, live.media.transport.port)
        try:
            answer = negotiation.answer(incoming.sdp_offer)
        except SdpError as error:
            board.refusals.add(trunk.name, NotAdmitted.SDP)
            setup.refused(error.status, NotAdmitted.SDP.value)
            self._signalling.carry_out(board.agent.reject(call, error.status, now))
            return
        self._signalling.carry_out(board.agent.trying(call, now))
        setup.trying(self._signalling.now())
        headers = telling(setup.traceparent, trunk.settings)
        self._signalling.carry_out(board.agent.answer(call, answer.body, now, headers))
        setup.span.set_attributes({names.CALL_ID: live.facts.call_id, names.CODEC: answer.negotiated.codec.encoding})
        board.answered(setup)
        self._move(live, call, negotiation, setup)
        board.settle(live, answer.negotiated, moved=True)

    # REFER

    def referred(self, event: ReferReceived) -> None:
        """Calls the target, within what the trunk may call, and moves the call there once it answers."""
        board, call = self._board, event.call
        live = board.live.get(call)
        now = self._signalling.now()
        target = None if live is None else live.trunk.settings.target
        outbound = None if live is None else live.trunk.settings.outbound
        if live is None or target is None or outbound is None or self._followed(live):
            self._signalling.carry_out(board.agent.reject_refer(call, 603, now))
            return
        try:
            number = user_of(event.target)
        except UriError:
            number = ""
        placed = board.caps[live.trunk.name].admit(number, now)
        if isinstance(placed, OutboundRefused):
            logger().warning("refer_refused", call_id=live.facts.call_id, why=placed.value)
            self._signalling.carry_out(board.agent.reject_refer(call, 603, now))
            return
        self._signalling.carry_out(board.agent.accept_refer(call, now))
        negotiation = board.media.negotiation(live.trunk, live.ip_version, live.media.transport.port)
        headers = [("Referred-By", event.referred_by)] if event.referred_by else []
        if event.replaces is not None:
            headers.append(("Replaces", event.replaces))
        came = live.facts.direction == pb.CALL_DIRECTION_INBOUND
        ours = live.facts.called_number if came else live.facts.caller_number
        setup = CallSetup(
            live.trunk.name,
            "outbound",
            now,
            parent=context_from_traceparent(live.traceparent),
            of_call=True,
            call_id=live.facts.call_id,
        )
        headers += telling(setup.traceparent, live.trunk.settings)
        new, outputs = board.agent.invite(
            request_uri(target, placed.number),
            negotiation.offer(),
            now,
            caller=(ours if showable(ours) else outbound.caller, ""),
            way=target,
            profile=self._signalling.profile(live.trunk),
            headers=headers,
        )
        setup.span.set_attribute(names.SIP_CALL_ID, new.dialog.call_id)
        timer = asyncio.get_running_loop().call_later(outbound.ring_timeout_s, self._give_up, new, 408)
        self._following[new] = Following(live, negotiation, placed.number, timer, setup)
        logger().info("refer_followed", call_id=live.facts.call_id, target=placed.number)
        self._signalling.carry_out(outputs)

    def on_event(self, event: Progress | CallAnswered) -> bool:
        """Whether the event was for a call placed because of a REFER."""
        following = self._following.get(event.call)
        if following is None:
            return False
        if isinstance(event, Progress):
            following.setup.progressed(event.status, event.sdp is not None, self._signalling.now())
            following.told = event.sdp or following.told
            if event.status > 100:  # that it is being tried was told with the 202
                self._tell(following, event.status, event.reason)
        else:
            del self._following[event.call]
            following.timer.cancel()
            self._answered(following, event)
        return True

    def goes_on(self, live: LiveCall, ended: CallEnded) -> bool:
        """The SIP call of a live one is over. True when it waits for whom it is referred to (RFC 5589 §6: who refers
        may hang up at once); nobody is called for it any more when not."""
        following = self._followed(live)
        if following is not None and ended.reason is EndReason.REMOTE_BYE:
            following.left = ended
            if not live.media.held:
                live.media.held = True
                live.held(True)
                self._board.bridges.held_by_peer(live)
            return True
        self._abandon(live)
        return False

    def hung_up(self, live: LiveCall) -> None:
        """We are to end a live call; it may have nobody to send a BYE to."""
        following = self._followed(live)
        if following is not None and following.left is not None:
            following.left = CallEnded(live.sip, False, EndReason.LOCAL_BYE)
            self._abandon(live)

    def failed(self, ended: CallEnded) -> bool:
        """The target did not answer: the call goes on as it was. Whether this was about a REFER."""
        following = self._following.pop(ended.call, None)
        if following is None:
            return False
        following.timer.cancel()
        following.setup.refused(ended.status, ended.detail or ended.reason.value, error_of(failure_of(ended)))
        self._tell(following, ended.status or 503, ended.detail)
        self._over(following)
        return True

    def _answered(self, following: Following, event: CallAnswered) -> None:
        board, live = self._board, following.live
        answer = event.sdp or following.told
        board.answered(following.setup)
        try:
            if answer is None:
                raise SdpError("the answer to a call of ours has no SDP")
            media = following.negotiation.accept(answer)
        except SdpError as error:
            logger().warning("refer_failed", call_id=live.facts.call_id, why=str(error))
            following.setup.refused(0, str(error), NotAdmitted.SDP.value)
            self._signalling.carry_out(board.agent.bye(event.call, self._signalling.now()))
            self._tell(following, 488, "Not Acceptable Here")
            self._over(following)
            return
        self._tell(following, 200, "OK")
        following.setup.span.set_attribute(names.CODEC, media.codec.encoding)
        following.setup.acknowledged(self._signalling.now())
        self._move(live, event.call, following.negotiation, following.setup)
        board.settle(live, media, moved=True)

    def _followed(self, live: LiveCall) -> Following | None:
        return next((one for one in self._following.values() if one.live is live), None)

    def _abandon(self, live: LiveCall) -> None:
        """Who is being called for it is called no more."""
        for call in [call for call, one in self._following.items() if one.live is live]:
            self._give_up(call, 487)

    def _give_up(self, call: SipCall, status: int) -> None:
        following = self._following.pop(call, None)
        if following is None:
            return
        following.timer.cancel()
        self._signalling.carry_out(self._board.agent.bye(call, self._signalling.now()))
        following.setup.refused(0, "no answer" if status == 408 else "cancelled")
        self._tell(following, status, "")
        self._over(following)

    def _over(self, following: Following) -> None:
        """The target is not to be had."""
        if following.left is not None:
            self._board.finish(following.live, following.left)

    def _tell(self, following: Following, status: int, reason: str) -> None:
        now = self._signalling.now()
        self._signalling.carry_out(self._board.agent.tell_refer(following.live.sip, status, reason, now))

    def _move(self, live: LiveCall, call: SipCall, negotiation: MediaNegotiation, setup: CallSetup) -> None:
        """The live call belongs to another dialog from now on; the one before ends."""
        self._abandon(live)
        board, old = self._board, live.sip
        board.live[call] = live
        live.setup.closed("call moved")
        live.sip, live.negotiation, live.setup = call, negotiation, setup
        live.facts.sip_call_id = call.call_id
        board.known_as(live.facts.call_id, call.call_id)
        board.costs(live, not call.inbound)
        if live.refer is not None:
            live.refer.answer(487, "Call moved")
            live.refer.close("call moved")
            live.refer = None
        logger().info("call_moved", call_id=live.facts.call_id, sip_call_id=call.call_id)
        self._signalling.carry_out(board.agent.bye(old, self._signalling.now(), _REPLACED))


def request_uri(target: str, number: str) -> str:
    """The Request-URI for a number at a trunk: its host, and no parameter that is for the way there alone."""
    uri = SipUri.parse(target)
    return str(SipUri(uri.host, uri.port, user=number, scheme=uri.scheme))
