"""Every call of this gateway, from its first message to its last: what happens to it, and what may be asked of it."""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
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
# Of one call: the latest places that it moved to.
_MOST_CALL_IDS = 8
_REMOTE_REASONS = {
    EndReason.REMOTE_BYE: "BYE",
    EndReason.NO_ACK: "no ACK",
    EndReason.NO_PRACK: "no PRACK",
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
        self.media_timeout_us = settings.media_timeout_s * 1_000_000
        self.signalling = signalling
        self.agent = signalling.agent
        self.control_address = settings.control_address
        """What CallFacts tell; the edge puts in the port that it got."""
        self.admission = admission or Admission(settings.max_calls, TrunkLimits.of(settings.trunks))
        self.calls: dict[str, LiveCall] = {}
        self.live: dict[SipCall, LiveCall] = {}
        """By each of its SIP calls that has not ended."""
        self.sip_call_ids: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        """Of the latest calls by our id, for who looks for their messages later: more than one where a call moved."""
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

    def close(self) -> None:
        """Calls that are not answered yet end too, both ways: at the gateway's own end."""
        self.incoming.close()
        self.outgoing.close()

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
        self.takeovers.hung_up(live)

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
        ports = self._rtp_ports.get(flow.ip_version) or next(iter(self._rtp_ports.values()))
        return ports.open()

    def negotiation(self, trunk: Trunk, ip_version: int, rtp_port: int) -> MediaNegotiation:
        """For a call whose RTP port is of this IP version."""
        host = self._media_hosts.get(ip_version) or next(iter(self._media_hosts.values()))
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
        slot: Hashable = None,
    ) -> LiveCall:
        """The call is answered: voice, media and dialogue. `span` is ended. `media` None: the answer to our offer is
        still to come. `early`: the session that ran before the answer. `slot`: what its slot was taken for; the call by
        default."""
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
            session = MediaSession(port, voice, clock, self.media_timeout_us, lambda: hang_up("media timeout"))
        else:
            session = early
            session.answered(voice, clock, lambda: hang_up("media timeout"))
        live = LiveCall(call, facts, trunk, negotiation, session, answered_us, agent, traceparent=traceparent)
        live.slot, live.ip_version = slot or call, port.version
        self.live[call] = self.calls[facts.call_id] = live
        self.known_as(facts.call_id, facts.sip_call_id)
        self.costs(live, not call.inbound)
        provisional = media or negotiation.provisional
        if provisional is not None:
            session.negotiated(provisional)
        if early is None:
            session.start()
        self._ticker.add(session.tick, lambda: hang_up("internal error"))
        loop = asyncio.get_running_loop()
        live.too_long = loop.call_later(self.settings.max_call_s, hang_up, "call too long")
        if agent is not None:
            live.task = loop.create_task(agent.run(), name=f"call {facts.call_id}")
            if session.held:
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

    def known_as(self, call_id: str, sip_call_id: str) -> None:
        """A call's messages are to be found under this Call-ID too."""
        before = self.sip_call_ids.get(call_id, ())
        if sip_call_id not in before:
            self.sip_call_ids[call_id] = (*before, sip_call_id)[-_MOST_CALL_IDS:]
        while len(self.sip_call_ids) > MAX_CALLS:
            self.sip_call_ids.popitem(last=False)

    def costs(self, live: LiveCall, outbound: bool) -> None:
        """Whether the call's minutes cost from now on."""
        if live.outbound == outbound:
            return
        live.outbound = outbound
        caps, now = self.caps[live.trunk.name], self.signalling.now()
        (caps.answered if outbound else caps.ended)(live.slot, now)
        self.outgoing.arm_caps(live.trunk.name)

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
            case ProvisionalAcknowledged(call, answer):
                self.incoming.acknowledged(event)
                self._confirmed(call, answer)  # our 200 may have waited for it
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
        """ACK or PRACK; with the answer to our offer when the INVITE had none (RFC 3264 §4)."""
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
        call = reoffer.call
        early = self.incoming.negotiation(call) or self.outgoing.negotiation(call)
        negotiation = early if live is None else live.negotiation
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
            self.outgoing.renegotiated(reoffer.call, media)

    def _ended(self, ended: CallEnded) -> None:
        try:
            self.call_over(ended)
        except Exception:  # whoever watches is not to keep the slot taken
            logger().exception("call_over_untold", sip_call_id=ended.call.call_id)
        self.incoming.ended(ended)
        self.outgoing.ended(ended)
        live = self.live.pop(ended.call, None)
        if live is None:
            self.admission.free(ended.call)
        elif live.sip is ended.call and not self.takeovers.goes_on(live, ended):
            self.finish(live, ended)

    def finish(self, live: LiveCall, ended: CallEnded) -> None:
        """Nothing is left of the call. `ended`: of its last SIP call."""
        del self.calls[live.facts.call_id]
        self._ticker.remove(live.media.tick)
        self.admission.free(live.slot)
        self.costs(live, False)
        # A 200 that still waited for a PRACK is a call of ours all the same: then our BYE is a refusal.
        ours = ended.reason in (EndReason.LOCAL_BYE, EndReason.REJECTED)
        reason = live.hang_up_reason if ours else None
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
