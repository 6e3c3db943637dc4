"""A live call goes on with another device: INVITE with Replaces (RFC 3891), and REFER that we follow (RFC 3515)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.trace import Span

from services.common.telemetry import names
from services.common.telemetry.log import logger
from services.gateway.access import Trunk
from services.gateway.live_call import LiveCall
from services.gateway.sip.call import Call as SipCall
from services.gateway.sip.events import CallAnswered, CallEnded, IncomingCall, Progress, ReferReceived
from services.gateway.sip.negotiation import MediaNegotiation
from services.gateway.sip.sdp import SdpError
from services.gateway.sip.uri import SipUri, UriError, user_of
from services.gateway.toll_fraud import OutboundRefused

if TYPE_CHECKING:
    from services.gateway.switchboard import Switchboard

_REPLACED = 'SIP;cause=200;text="Call completed elsewhere"'


@dataclass(slots=True)
class Following:
    """A REFER under way: `live` is the call that is to move."""

    live: LiveCall
    negotiation: MediaNegotiation
    number: str
    told: bytes | None = None
    """The answer that an early response brought."""


class TakeOvers:
    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self._signalling = board.signalling
        self._following: dict[SipCall, Following] = {}

    # INVITE with Replaces

    def replace(self, incoming: IncomingCall, trunk: Trunk, span: Span) -> None:
        """The new call takes over media and agent of the old one, which ends with BYE. It needs no slot of its own."""
        call, board = incoming.call, self._board
        live = None if incoming.replaces is None else board.live.get(incoming.replaces)
        now = self._signalling.now()
        if live is None or incoming.sdp_offer is None:
            span.set_attribute(names.SIP_STATUS, 488 if live else 481)
            span.end()
            self._signalling.carry_out(board.agent.reject(call, 488 if live else 481, now))
            return
        negotiation = board.negotiation(trunk, call.flow, live.media.port)
        try:
            answer = negotiation.answer(incoming.sdp_offer)
        except SdpError as error:
            span.set_attribute(names.SIP_STATUS, error.status)
            span.end()
            self._signalling.carry_out(board.agent.reject(call, error.status, now))
            return
        self._signalling.carry_out(board.agent.trying(call, now))
        self._signalling.carry_out(board.agent.answer(call, answer.body, now))
        span.set_attributes({names.CALL_ID: live.facts.call_id, names.SIP_STATUS: 200})
        span.end()
        old = self._move(live, call, negotiation)
        board.settle(live, answer.negotiated, moved=True)
        self._signalling.carry_out(board.agent.bye(old, self._signalling.now(), _REPLACED))

    # REFER

    def referred(self, event: ReferReceived) -> None:
        """Calls the target, within what the trunk may call, and moves the call there once it answers."""
        board, call = self._board, event.call
        live = board.live.get(call)
        now = self._signalling.now()
        target = None if live is None else live.trunk.settings.target
        if live is None or target is None or any(one.live is live for one in self._following.values()):
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
        negotiation = board.negotiation(live.trunk, call.flow, live.media.port)
        headers = [("Referred-By", event.referred_by)] if event.referred_by else []
        if event.replaces is not None:
            headers.append(("Replaces", event.replaces))
        new, outputs = board.agent.invite(
            request_uri(target, placed.number),
            negotiation.offer(),
            now,
            caller=(live.facts.called_number if call.inbound else live.facts.caller_number, ""),
            way=target,
            profile=self._signalling.profile(live.trunk),
            headers=headers,
        )
        self._following[new] = Following(live, negotiation, placed.number)
        logger().info("refer_followed", call_id=live.facts.call_id, target=placed.number)
        self._signalling.carry_out(outputs)

    def on_event(self, event: Progress | CallAnswered) -> bool:
        """Whether the event was for a call placed because of a REFER."""
        following = self._following.get(event.call)
        if following is None:
            return False
        if isinstance(event, Progress):
            following.told = event.sdp or following.told
            self._tell(following, event.status, event.reason)
        else:
            del self._following[event.call]
            self._answered(following, event)
        return True

    def ended(self, live: LiveCall) -> None:
        """A live call is over: who is still being called for it is called no more."""
        for call in [call for call, one in self._following.items() if one.live is live]:
            del self._following[call]
            self._signalling.carry_out(self._board.agent.bye(call, self._signalling.now()))

    def failed(self, ended: CallEnded) -> bool:
        """The target did not answer: the call goes on as it was. Whether this was about a REFER."""
        following = self._following.pop(ended.call, None)
        if following is None:
            return False
        self._tell(following, ended.status or 503, ended.detail)
        return True

    def _answered(self, following: Following, event: CallAnswered) -> None:
        board, live = self._board, following.live
        answer = event.sdp or following.told
        try:
            if answer is None:
                raise SdpError("the answer to a call of ours has no SDP")
            media = following.negotiation.accept(answer)
        except SdpError as error:
            logger().warning("refer_failed", call_id=live.facts.call_id, why=str(error))
            self._signalling.carry_out(board.agent.bye(event.call, self._signalling.now()))
            self._tell(following, 488, "Not Acceptable Here")
            return
        self._tell(following, 200, "OK")
        old = self._move(live, event.call, following.negotiation)
        board.settle(live, media, moved=True)
        self._signalling.carry_out(board.agent.bye(old, self._signalling.now(), _REPLACED))

    def _tell(self, following: Following, status: int, reason: str) -> None:
        now = self._signalling.now()
        self._signalling.carry_out(self._board.agent.tell_refer(following.live.sip, status, reason, now))

    def _move(self, live: LiveCall, call: SipCall, negotiation: MediaNegotiation) -> SipCall:
        """The live call belongs to another dialog from now on; gives the one before."""
        old = live.sip
        self._board.live.pop(old, None)
        self._board.live[call] = live
        live.sip, live.negotiation = call, negotiation
        if live.refer is not None:
            live.refer.answer(487, "Call moved")
            live.refer.close("call moved")
            live.refer = None
        logger().info("call_moved", call_id=live.facts.call_id, sip_call_id=call.dialog.call_id)
        return old


def request_uri(target: str, number: str) -> str:
    """The Request-URI for a number at a trunk: its host, and no parameter that is for the way there alone."""
    uri = SipUri.parse(target)
    return str(SipUri(uri.host, uri.port, user=number, scheme=uri.scheme))
