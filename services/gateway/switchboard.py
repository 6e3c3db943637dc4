"""Every call of this gateway, from its first message to its last: what happens to it, and what may be asked of it."""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address

from opentelemetry.trace import Span

from services.common.telemetry import names
from services.common.telemetry.log import logger
from services.common.telemetry.trace import traceparent_of
from services.gateway.access import Trunk
from services.gateway.admission import Admission, TrunkLimits
from services.gateway.agent_call import AgentCall
from services.gateway.capture.log import MAX_CALLS
from services.gateway.dtmf import Digit
from services.gateway.echo import Echo
from services.gateway.incoming import IncomingCalls
from services.gateway.live_call import LiveCall, Refer
from services.gateway.media import MediaSession
from services.gateway.originate import OutgoingCalls
from services.gateway.rtp_port import RtpPorts
from services.gateway.settings import GatewaySettings
from services.gateway.signalling import Signalling
from services.gateway.sip.call import Call as SipCall
from services.gateway.sip.events import (
    CallAnswered,
    CallConfirmed,
    CallEnded,
    DtmfReceived,
    EndReason,
    Event,
    IncomingCall,
    MessageReceived,
    Progress,
    ProvisionalAcknowledged,
    ReferAnswered,
    ReferNotified,
    ReferReceived,
    ReofferAnswered,
    ReofferConfirmed,
    Reoffered,
)
from services.gateway.sip.negotiation import MediaNegotiation, Negotiated
from services.gateway.sip.sdp import SdpError
from services.gateway.sip.transport import Flow
from services.gateway.takeover import TakeOvers
from services.gateway.ticker import Ticker, now_us
from services.gateway.toll_fraud import OutboundCaps
from services.gateway.udp import UdpPort
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.call_pb2 import CallFacts

# (facts, traceparent, call clock, hang up) → the agent's side of a call.
MakeAgentCall = Callable[[CallFacts, str, Callable[[], int], Callable[[str], None]], AgentCall]

_NORMAL_CLEARING = 'Q.850;cause=16;text="Normal call clearing"'
_REMOTE_REASONS = {
    EndReason.REMOTE_BYE: "BYE",
    EndReason.NO_ACK: "no ACK",
    EndReason.DIALOG_GONE: "the peer no longer knows the call",
    EndReason.SESSION_EXPIRED: "session expired",
}


class Switchboard:
    """Owns every call that was answered, and hands the others to who sets them up. On the event loop's thread."""

    def __init__(
        self,
        settings: GatewaySettings,
        signalling: Signalling,
        ticker: Ticker,
        make_agent: MakeAgentCall,
        admission: Admission | None = None,
    ) -> None:
        self.settings = settings
        self.signalling = signalling
        self.agent = signalling.agent
        self.control_address = settings.control_address
        """What CallFacts tell; the edge puts in the port that it got."""
        self.admission = admission or Admission(settings.max_calls, TrunkLimits.of(settings.trunks))
        self.calls: dict[str, LiveCall] = {}
        self.live: dict[SipCall, LiveCall] = {}
        self.sip_call_ids: OrderedDict[str, str] = OrderedDict()
        """Of the latest calls by our id, for who looks for their messages later."""
        self.call_over: Callable[[CallEnded], None] = lambda ended: None
        """Told of every call's end, while `live` still has it; who watches the trunks puts it in."""
        self._ticker = ticker
        self._make_agent = make_agent
        self._rtp_ports: dict[int, RtpPorts] = {}
        for host, _ in settings.sip_listeners:
            media_host = settings.media_host_beside(host)
            self._rtp_ports.setdefault(ip_address(media_host).version, RtpPorts(media_host, *settings.rtp_ports))
        self._media_hosts: dict[int, str] = {
            ip_address(host).version: host
            for host in (settings.media_host_beside(host) for host, _ in reversed(settings.sip_listeners))
        }
        unix_offset_s = time.time() - time.monotonic()
        self.caps = {
            trunk.name: OutboundCaps(trunk.settings.outbound, trunk.numbers, unix_offset_s)
            for trunk in signalling.trunks
        }
        self.incoming = IncomingCalls(self)
        self.outgoing = OutgoingCalls(self)
        self.takeovers = TakeOvers(self)

    def start(self) -> None:
        self.signalling.start(self.on_event)

    @property
    def quiet(self) -> bool:
        """No call is left, and nothing that the other side has yet to answer."""
        return not self.live and not self.agent.waiting

    def drain(self) -> None:
        """No new calls from now on; OPTIONS says so too."""
        self.admission.drain()
        self.agent.accept_calls(False)

    # Commands

    def hang_up(self, live: LiveCall, reason: str) -> None:
        """BYE; nothing when the call is over already."""
        if live.hang_up_reason is None:
            live.hang_up_reason = reason
        self.signalling.carry_out(self.agent.bye(live.sip, self.signalling.now(), _NORMAL_CLEARING))

    def refer(self, live: LiveCall, target: str, span: Span) -> asyncio.Future[tuple[int, str]]:
        """Sends REFER; the future has the final response. Raises CallStateError, and ValueError for a bad target."""
        outputs = self.agent.refer(live.sip, target, self.signalling.now())
        answered: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        if outputs:
            live.refer = Refer(answered, span)
        else:
            answered.set_result((487, "Call over"))
            span.end()
        self.signalling.carry_out(outputs)
        return answered

    # What calls are made of

    def open_rtp(self, flow: Flow) -> UdpPort:
        """A media port of the IP version that a peer signals by. Raises NoPortFree."""
        version = 6 if ":" in flow.address[0] else 4
        ports = self._rtp_ports.get(version) or next(iter(self._rtp_ports.values()))
        return ports.open()

    def negotiation(self, trunk: Trunk, flow: Flow, rtp_port: int) -> MediaNegotiation:
        version = 6 if ":" in flow.address[0] else 4
        host = self._media_hosts.get(version) or next(iter(self._media_hosts.values()))
        return MediaNegotiation(
            self.settings.advertised(host),
            rtp_port,
            session_id=secrets.randbits(62),
            keys=secrets.token_bytes,
            codecs=trunk.codec_names,
            srtp=trunk.settings.srtp,
        )

    def begin(
        self,
        call: SipCall,
        facts: CallFacts,
        trunk: Trunk,
        negotiation: MediaNegotiation,
        media: Negotiated | None,
        port: UdpPort,
        span: Span,
        early: MediaSession | None = None,
    ) -> LiveCall:
        """The call is answered: voice, media and dialogue. `span` is ended. `media` None: the answer to our offer is
        still to come. `early`: the session that ran before the answer."""
        answered_us = now_us()
        traceparent = traceparent_of(span)
        agent_name = facts.agent
        span.set_attributes({names.CALL_ID: facts.call_id, names.AGENT: agent_name, names.SIP_STATUS: 200})
        if media is not None:
            span.set_attribute(names.CODEC, media.codec.encoding)
        span.end()

        def clock() -> int:
            return now_us() - answered_us

        def hang_up(reason: str) -> None:
            live = self.calls.get(facts.call_id)
            if live is not None:
                self.hang_up(live, reason)

        agent = self._make_agent(facts, traceparent, clock, hang_up) if agent_name else None
        voice = agent or Echo()
        if early is None:
            timeout_us = self.settings.media_timeout_s * 1_000_000
            session = MediaSession(port, voice, clock, timeout_us, lambda: hang_up("media timeout"))
        else:
            session = early
            session.answered(voice, clock, lambda: hang_up("media timeout"))
        live = LiveCall(call, facts, trunk, negotiation, session, answered_us, agent, traceparent=traceparent)
        self.live[call] = self.calls[facts.call_id] = live
        self.sip_call_ids[facts.call_id] = facts.sip_call_id
        while len(self.sip_call_ids) > MAX_CALLS:
            self.sip_call_ids.popitem(last=False)
        provisional = media or negotiation.provisional
        on_hold = session.negotiated(provisional) if provisional is not None else False
        if early is None:
            session.start()
            self._ticker.add(session.tick, lambda: hang_up("internal error"))
        loop = asyncio.get_running_loop()
        live.too_long = loop.call_later(self.settings.max_call_s, hang_up, "call too long")
        if agent is not None:
            live.task = loop.create_task(agent.run(), name=f"call {facts.call_id}")
            if on_hold:
                agent.held(True)
        logger().info(
            "call_answered",
            call_id=facts.call_id,
            called=facts.called_number,
            trunk=trunk.name,
            agent=agent_name,
            srtp=session.encrypted,
        )
        return live

    def start_early(self, session: MediaSession, on_failure: Callable[[], None]) -> None:
        """Media before the answer."""
        session.start()
        self._ticker.add(session.tick, on_failure)

    def stop_media(self, session: MediaSession) -> None:
        self._ticker.remove(session.tick)
        session.close()

    def settle(self, live: LiveCall, media: Negotiated, moved: bool = False) -> None:
        """A new answer holds in the call."""
        if live.media.negotiated(media, moved) and live.agent is not None:
            live.agent.held(live.media.held)

    # Events

    def on_event(self, event: Event) -> None:
        match event:
            case IncomingCall():
                self.incoming.incoming(event)
            case ProvisionalAcknowledged():
                self.incoming.acknowledged(event)
            case CallConfirmed(call, answer, missing):
                self._confirmed(call, answer)
                live = self.live.get(call)
                if missing and live is not None:
                    self.hang_up(live, "no SDP answer")
            case ReofferConfirmed(call, answer, missing):
                self._confirmed(call, answer)
                if missing and call in self.live:
                    self.live[call].negotiation.rejected()
            case ReofferAnswered(call, answer):
                self._confirmed(call, answer)
            case Reoffered():
                self._reoffered(event)
            case Progress() | CallAnswered():
                self.outgoing.on_event(event)
            case CallEnded():
                self._ended(event)
            case ReferAnswered():
                self._refer_answered(event)
            case ReferNotified():
                self._refer_notified(event)
            case ReferReceived():
                self.takeovers.referred(event)
            case DtmfReceived(call, digit, duration_ms):
                live = self.live.get(call)
                if live is not None and live.agent is not None:
                    live.agent.pressed(Digit(digit, duration_ms))
            case MessageReceived(call):
                logger().info("sip_message_ignored", sip_call_id=call.call_id)

    def _confirmed(self, call: SipCall, answer: bytes | None) -> None:
        """ACK; with the answer to our offer when the INVITE had none (RFC 3264 §4)."""
        live = self.live.get(call)
        if live is None or answer is None:
            return
        try:
            self.settle(live, live.negotiation.accept(answer))
        except SdpError as error:
            logger().warning("sdp_answer_unusable", call_id=live.facts.call_id, why=str(error))
            self.hang_up(live, "unusable SDP answer")

    def _reoffered(self, reoffer: Reoffered) -> None:
        live = self.live.get(reoffer.call)
        negotiation = live.negotiation if live is not None else self.incoming.negotiation(reoffer.call)
        now = self.signalling.now()
        if negotiation is None:
            self.signalling.carry_out(self.agent.reject_offer(reoffer.call, 488, now))
            return
        try:
            if reoffer.sdp_offer is None:
                body, media = negotiation.offer(anew=True), None
            else:
                answer = negotiation.answer(reoffer.sdp_offer)
                body, media = answer.body, answer.negotiated
        except SdpError as error:
            warning = [("Warning", error.warning)] if error.warning else []
            self.signalling.carry_out(self.agent.reject_offer(reoffer.call, error.status, now, warning))
            return
        self.signalling.carry_out(self.agent.answer_offer(reoffer.call, body, now))
        if media is None:
            return
        if live is not None:
            self.settle(live, media)
        else:
            self.incoming.renegotiated(reoffer.call, media)

    def _ended(self, ended: CallEnded) -> None:
        self.call_over(ended)
        self.admission.free(ended.call)
        self.incoming.ended(ended)
        self.outgoing.ended(ended)
        live = self.live.pop(ended.call, None)
        if live is None:
            return
        self.takeovers.ended(live)
        del self.calls[live.facts.call_id]
        self._ticker.remove(live.media.tick)
        self.admission.free(live.slot)
        if live.outbound:
            self.caps[live.trunk.name].ended(live.slot, self.signalling.now())
            self.outgoing.arm_caps(live.trunk.name)
        reason = live.hang_up_reason if ended.reason is EndReason.LOCAL_BYE else None
        reason = reason or _REMOTE_REASONS.get(ended.reason, ended.reason.value)
        live.end(ended.by_remote, reason)
        logger().info(
            "call_ended", call_id=live.facts.call_id, reason=reason, by_caller=ended.by_remote, detail=ended.detail
        )

    def _refer_answered(self, answered: ReferAnswered) -> None:
        live = self.live.get(answered.call)
        if live is None or live.refer is None:
            return
        live.refer.answer(answered.status, answered.reason)
        if answered.status >= 300:
            live.refer.close(f"{answered.status} {answered.reason}".strip())
            live.refer = None

    def _refer_notified(self, notified: ReferNotified) -> None:
        live = self.live.get(notified.call)
        if live is None:
            return
        # A peer that ends the subscription without a word leaves us with nothing but "it is over" (RFC 3515 §2.4.7).
        status = notified.status or 0
        progress = pb.ReferProgress(sip_status=status, reason_phrase=notified.reason, final=notified.final)
        live.tell(pb.WatchResponse(refer_progress=progress))
        if notified.final and live.refer is not None:
            live.refer.answer(202, "Accepted")  # a NOTIFY may overtake the 202
            live.refer.close(f"{status} {notified.reason}".strip())
            live.refer = None
