"""Every call of this gateway, from its first message to its last: what happens to it, and what may be asked of it."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping

from services.common.telemetry import names
from services.common.telemetry.log import logger
from services.gateway.access import Trunk
from services.gateway.admission import Admission, TrunkLimits
from services.gateway.agent_call import AgentCall
from services.gateway.blind_transfer import BlindTransfers
from services.gateway.bridges import Bridges
from services.gateway.call_media import CallMedia
from services.gateway.call_record import for_log
from services.gateway.call_setup import CallSetup, ids
from services.gateway.capture.log import MAX_CALLS
from services.gateway.codecs.catalogue import NARROW_HZ
from services.gateway.dtmf import Digit
from services.gateway.echo import Echo
from services.gateway.end_reasons import FAILURES, reason_of
from services.gateway.incoming import IncomingCalls
from services.gateway.live_call import LiveCall
from services.gateway.media import MediaSession
from services.gateway.originate import OutgoingCalls
from services.gateway.person_call import PersonCall
from services.gateway.refusals import Refusals
from services.gateway.settings import GatewaySettings
from services.gateway.signalling import Signalling
from services.gateway.sip.call import Call as SipCall
from services.gateway.sip.call import CallState
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
from services.gateway.takeover import TakeOvers
from services.gateway.ticker import Ticker, now_us
from services.gateway.toll_fraud import OutboundCaps
from services.gateway.udp import UdpPort
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
        self.call_finished: Callable[[LiveCall, CallEnded, Mapping[str, int | float]], None] = lambda *_: None
        """Told of the end of every call that was answered, with its record (call_record)."""
        self.call_answered: Callable[[CallSetup, float], None] = lambda *_: None
        """Told of every 200 to an INVITE, with the seconds that it took."""
        self.refusals = Refusals()
        self.media = CallMedia(settings, ticker)
        self._make_agent = make_agent
        unix_offset_s = time.time() - time.monotonic()
        self.caps = {
            trunk.name: OutboundCaps(trunk.settings.outbound, trunk.numbers, unix_offset_s)
            for trunk in signalling.trunks
        }
        self.incoming = IncomingCalls(self)
        self.outgoing = OutgoingCalls(self)
        self.takeovers = TakeOvers(self)
        self.transfers = BlindTransfers(self)
        self.bridges = Bridges(self)

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

    # What calls are made of

    def begin(
        self,
        call: SipCall,
        facts: CallFacts,
        trunk: Trunk,
        negotiation: MediaNegotiation,
        media: Negotiated | None,
        port: UdpPort,
        setup: CallSetup,
        early: MediaSession | None = None,
        slot: Hashable = None,
        person: bool = False,
    ) -> LiveCall:
        """The call is answered: voice, media and dialogue. `setup` ends with the ACK. `media` None: the answer to our
        offer is still to come. `early`: the session that ran before the answer. `slot`: what its slot was taken for;
        the call by default. `person`: without an agent it is no echo call but waits for a bridge."""
        answered_us = now_us()
        agent_name, traceparent = facts.agent, setup.traceparent
        setup.span.set_attributes({names.CALL_ID: facts.call_id, names.AGENT: agent_name})
        if media is not None:
            setup.span.set_attribute(names.CODEC, media.codec.encoding)

        def clock() -> int:
            return now_us() - answered_us

        def hang_up(reason: str) -> None:
            live = self.calls.get(facts.call_id)
            if live is not None:
                self.hang_up(live, reason)

        provisional = media or negotiation.provisional
        # Who makes us offer tells us late what it has; it is a carrier's switch, and narrow-band, nearly always.
        rate_hz = facts.audio.sample_rate_hz = NARROW_HZ if media is None else media.sample_rate_hz
        waits = PersonCall(rate_hz, lambda key: live.key_pressed(key)) if person else None
        agent = self._make_agent(facts, traceparent, clock, hang_up) if agent_name else None
        voice = agent or waits or Echo(rate_hz)
        try:
            if early is None:
                session = self.media.session(port, voice, answered_us, hang_up)
            else:
                session = early
                session.answered(voice, answered_us, hang_up)
            session.stream.speaks_at(rate_hz)
        except BaseException:
            # Nobody knows the call yet who would end it, and its recording with it.
            if agent is not None:
                agent.ended(False, "internal error")
            raise
        live = LiveCall(call, facts, trunk, negotiation, session, answered_us, setup, agent, waits)
        live.traceparent, live.ends_trace = traceparent, setup.ends_trace
        live.slot, live.ip_version = slot or call, port.version
        self.live[call] = self.calls[facts.call_id] = live
        self.known_as(facts.call_id, facts.sip_call_id)
        self.costs(live, not call.inbound)
        if provisional is not None:
            session.negotiated(provisional)
        if waits is not None:
            self.bridges.wait(live)
        if early is None:
            session.start()
        self.media.run(session, lambda: hang_up("internal error"))
        loop = asyncio.get_running_loop()
        live.too_long = loop.call_later(self.settings.max_call_s, hang_up, "call too long")
        if agent is not None:
            live.task = loop.create_task(agent.run(), name=f"call {facts.call_id}")
        # The caller waits to hear that somebody is there: the first packet does not wait for its turn. It may also be
        # the call's end, where a handshake failed before the answer.
        session.tick(1)
        if session.held:
            live.held(True)
        logger().info(
            "call_answered",
            call_id=facts.call_id,
            called=facts.called_number,
            trunk=trunk.name,
            agent=agent_name,
            srtp=session.transport.encrypted,
            **ids(traceparent),
        )
        return live

    def answered(self, setup: CallSetup) -> None:
        """The 200 to an INVITE has gone out, or come."""
        took_s = setup.answered(self.signalling.now())
        if took_s is not None:
            try:
                self.call_answered(setup, took_s)
            except Exception:  # whoever counts is not to keep a call from being answered
                logger().exception("call_not_counted")

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

    def settle(self, live: LiveCall, media: Negotiated, moved: bool = False) -> None:
        """A new answer holds in the call."""
        if live.media.negotiated(media, moved):
            live.held(live.media.held)
            self.bridges.held_by_peer(live)

    # Events

    def on_event(self, event: Event) -> None:
        match event:
            case IncomingCall():
                self.incoming.incoming(event)
            case ProvisionalAcknowledged(call, answer):
                self.incoming.acknowledged(event)
                if call in self.live and call.state is not CallState.PROCEEDING:
                    self.answered(self.live[call].setup)  # our 200 may have waited for it
                self._confirmed(call, answer)
            case CallConfirmed(call, answer, missing):
                live = self.live.get(call)
                if live is not None and live.sip is call:
                    live.setup.acknowledged(self.signalling.now())
                self._confirmed(call, answer)
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
                self.transfers.answered(event)
            case ReferNotified():
                self.transfers.notified(event)
            case ReferReceived():
                self.takeovers.referred(event)
            case DtmfReceived(call, digit, duration_ms):
                live = self.live.get(call)
                if live is not None:
                    live.pressed(Digit(digit, duration_ms))
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
        self.media.rest(live.media)
        self.admission.free(live.slot)
        self.costs(live, False)
        # A 200 that still waited for a PRACK is a call of ours all the same: then our BYE is a refusal.
        ours = ended.reason in (EndReason.LOCAL_BYE, EndReason.REJECTED)
        reason = live.hang_up_reason if ours else None
        reason = reason or _REMOTE_REASONS.get(ended.reason, ended.reason.value)
        kind = reason_of(ended.reason, live.hang_up_reason, live.media.transport.failed is not None)
        # Who hangs up before the ACK need not send one any more.
        live.setup.closed(reason, kind if ended.reason in (EndReason.NO_ACK, EndReason.NO_PRACK) else "")
        try:
            record = live.end(ended.by_remote, reason, kind if kind in FAILURES else "")
        finally:
            # Whatever is wrong with us, the others are not to be left with a call that is no more.
            self.bridges.ended(live)
        try:
            self.call_finished(live, ended, record)
        except Exception:  # whoever counts is not to stop the end of a call
            logger().exception("call_not_counted", call_id=live.facts.call_id)
        live.end_trace()
        logger().info(
            "call_ended",
            call_id=live.facts.call_id,
            reason=reason,
            by_caller=ended.by_remote,
            detail=ended.detail,
            **for_log(record),
            **ids(live.traceparent),
        )
