"""The SIP edge: datagrams between the socket and the user agent, and calls between the user agent and their media."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable

from opentelemetry.context import Context
from opentelemetry.trace import Span

from services.common.telemetry import names
from services.common.telemetry.log import logger
from services.common.telemetry.trace import traceparent_of, tracer
from services.gateway.admission import Admission
from services.gateway.agent_call import AgentCall
from services.gateway.echo import Echo
from services.gateway.g711 import CODECS, SAMPLE_RATE_HZ
from services.gateway.live_call import LiveCall, Refer
from services.gateway.media import MediaSession
from services.gateway.routes import Route, Routes, ToAgent
from services.gateway.rtp_port import NoPortFree, RtpPorts
from services.gateway.settings import AccessList, GatewaySettings
from services.gateway.sip import sdp
from services.gateway.sip.call import Call as SipCall
from services.gateway.sip.events import (
    CallConfirmed,
    CallEnded,
    EndReason,
    IncomingCall,
    Output,
    ReferAnswered,
    ReferNotified,
    ReofferConfirmed,
    Reoffered,
)
from services.gateway.sip.transport import Send
from services.gateway.sip.useragent import UserAgent
from services.gateway.ticker import Ticker, now_us
from services.gateway.udp import Address, UdpPort
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.audio_pb2 import AudioFormat
from tandem.v1.call_pb2 import CallFacts

# (facts, traceparent, call clock, hang up) → the agent's side of a call.
MakeAgentCall = Callable[[CallFacts, str, Callable[[], int], Callable[[str], None]], AgentCall]

_NORMAL_CLEARING = 'Q.850;cause=16;text="Normal call clearing"'
_TEMPORARY_FAILURE = 'Q.850;cause=41;text="Temporary failure"'
_REMOTE_REASONS = {
    EndReason.REMOTE_BYE: "BYE",
    EndReason.NO_ACK: "no ACK",
    EndReason.DIALOG_GONE: "the peer no longer knows the call",
}


class Signalling:
    """Owns every call that was answered. All methods run on the event loop's thread."""

    def __init__(self, settings: GatewaySettings, port: UdpPort, ticker: Ticker, make_agent: MakeAgentCall) -> None:
        self.control_address = settings.control_address
        """What CallFacts tell; the edge puts in the port that it got."""
        self.admission = Admission(settings.max_calls)
        self.calls: dict[str, LiveCall] = {}
        self._settings = settings
        self._port = port
        self._ticker = ticker
        self._make_agent = make_agent
        self._routes = Routes(settings.routes)
        self._access = AccessList(settings.trunks)
        self._rtp_ports = RtpPorts(settings.media_host, *settings.rtp_ports)
        self._agent = UserAgent((settings.contact_host, port.port))
        self._live: dict[SipCall, LiveCall] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")

    def start(self) -> None:
        self._port.listen(self._datagram)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._port.close()

    @property
    def quiet(self) -> bool:
        """No call is left, and nothing that the other side has yet to answer."""
        return not self._live and not self._agent.waiting

    # Commands

    def hang_up(self, live: LiveCall, reason: str) -> None:
        """BYE; nothing when the call is over already."""
        if live.hang_up_reason is None:
            live.hang_up_reason = reason
        self._carry_out(self._agent.bye(live.sip, time.monotonic(), _NORMAL_CLEARING))

    def refer(self, live: LiveCall, target: str, span: Span) -> asyncio.Future[tuple[int, str]]:
        """Sends REFER; the future has the final response. Raises CallStateError, and ValueError for a bad target."""
        outputs = self._agent.refer(live.sip, target, time.monotonic())
        answered: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        if outputs:
            live.refer = Refer(answered, span)
        else:
            answered.set_result((487, "Call over"))
            span.end()
        self._carry_out(outputs)
        return answered

    # From the network

    def _datagram(self, data: bytes, source: Address) -> None:
        if not self._access.allows(source[0]):
            return
        self._carry_out(self._agent.receive(data, source, time.monotonic()))

    def _expire(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        self._carry_out(self._agent.expire(time.monotonic()))

    def _carry_out(self, outputs: Iterable[Output]) -> None:
        try:
            for output in outputs:
                self._carry_out_one(output)
        finally:
            self._arm()  # the other calls' retransmissions

    def _carry_out_one(self, output: Output) -> None:
        match output:
            case Send(data, destination):
                self._port.send(data, destination)
            case IncomingCall():
                self._incoming(output)
            case CallConfirmed(call, answer) | ReofferConfirmed(call, answer):
                self._confirmed(call, answer)
            case Reoffered():
                self._reoffered(output)
            case CallEnded():
                self._ended(output)
            case ReferAnswered():
                self._refer_answered(output)
            case ReferNotified():
                self._refer_notified(output)

    def _arm(self) -> None:
        deadline = self._agent.next_deadline()
        if deadline is None or deadline >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        delay_s = max(deadline - time.monotonic(), 0)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._expire)

    # Calls

    def _incoming(self, incoming: IncomingCall) -> None:
        call = incoming.call
        span = tracer().start_span(names.CALL_SETUP, context=Context(), attributes={names.SIP_CALL_ID: call.call_id})
        # The slot is taken first of all: two INVITEs in one turn of the loop cannot both get the last one.
        refused = self.admission.admit(call)
        if refused is not None:
            retry = [("Retry-After", str(refused.retry_after_s))]
            self._reject(call, span, 503, refused.reason, retry)
            return
        route = self._routes.find(call.called_number)
        if route is None:
            self._reject(call, span, 404, None)
            return
        try:
            port = self._rtp_ports.open()
        except NoPortFree as error:
            logger().error("no_rtp_port", why=str(error))
            self._reject(call, span, 503, "No media port", [("Retry-After", "5")])
            return
        try:
            body, media = self._describe(incoming.sdp_offer, port.port, 1)
        except sdp.SdpError as error:
            port.close()
            self._reject(call, span, error.status, None, [("Warning", error.warning)] if error.warning else [])
            return
        try:
            self._answer(call, route, port, body, media, span)
        except Exception:
            # A defect of ours costs this call only, and leaves no slot taken and no caller in silence.
            logger().exception("call_setup_failed", sip_call_id=call.call_id)
            port.close()
            if span.is_recording():
                span.end()
            self._carry_out(self._agent.bye(call, time.monotonic(), _TEMPORARY_FAILURE))

    def _describe(self, offer: bytes | None, port: int, version: int) -> tuple[bytes, sdp.Negotiated | None]:
        """Our SDP: the answer and what it settles, or our offer when there was none."""
        host, codecs = self._settings.media_contact_host, self._settings.codec_names
        if offer is None:
            return sdp.offer(host, port, codecs=codecs, version=version), None
        answer = sdp.negotiate(offer, host, port, codecs=codecs, version=version)
        return answer.body, answer.negotiated

    def _answer(
        self, call: SipCall, route: Route, port: UdpPort, body: bytes, media: sdp.Negotiated | None, span: Span
    ) -> None:
        self._carry_out(self._agent.answer(call, body, time.monotonic()))
        answered_us, answered_unix_us = now_us(), time.time_ns() // 1000
        codec = CODECS[media.codec.encoding if media else self._settings.codec_names[0]]
        facts = self._facts(call, route, answered_unix_us)
        span.set_attributes(
            {
                names.CALL_ID: facts.call_id,
                names.CODEC: codec.name,
                names.AGENT: facts.agent,
                names.SIP_STATUS: 200,
            }
        )
        span.end()

        def clock() -> int:
            return now_us() - answered_us

        def hang_up(reason: str) -> None:
            live = self.calls.get(facts.call_id)
            if live is not None:
                self.hang_up(live, reason)

        agent: AgentCall | None = None
        if isinstance(route, ToAgent):
            agent = self._make_agent(facts, traceparent_of(span), clock, hang_up)
        session = MediaSession(
            port, agent or Echo(), clock, self._settings.media_timeout_s * 1_000_000, lambda: hang_up("media timeout")
        )
        live = LiveCall(call, facts, session, answered_us, codec, agent, traceparent=traceparent_of(span))
        self._live[call] = self.calls[facts.call_id] = live
        on_hold = session.negotiated(media, codec)
        session.start()
        self._ticker.add(session.tick, lambda: hang_up("internal error"))
        loop = asyncio.get_running_loop()
        live.too_long = loop.call_later(self._settings.max_call_s, hang_up, "call too long")
        if agent is not None:
            live.task = loop.create_task(agent.run(), name=f"call {facts.call_id}")
            if on_hold:
                agent.held(True)
        logger().info(
            "call_answered", call_id=facts.call_id, called=facts.called_number, codec=codec.name, agent=facts.agent
        )

    def _facts(self, call: SipCall, route: Route, answered_unix_us: int) -> CallFacts:
        # RFC 3325 §5: an asserted identity is as good as the trunk that it comes from.
        asserted = self._access.trusted and call.asserted is not None
        return CallFacts(
            call_id=secrets.token_hex(8),
            caller_number=call.asserted_number if asserted else call.caller_number,
            caller_name=(call.asserted_name if asserted else "") or call.caller_name,
            called_number=call.called_number,
            agent=route.agent if isinstance(route, ToAgent) else "",
            audio=AudioFormat(sample_rate_hz=SAMPLE_RATE_HZ),
            answered_unix_us=answered_unix_us,
            control_address=self.control_address,
            sip_call_id=call.call_id,
        )

    def _reject(
        self, call: SipCall, span: Span, status: int, reason: str | None, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        span.set_attribute(names.SIP_STATUS, status)
        span.end()
        logger().info("call_refused", sip_call_id=call.call_id, called=call.called_number, status=status)
        self._carry_out(self._agent.reject(call, status, time.monotonic(), reason, headers))

    def _confirmed(self, call: SipCall, answer: bytes | None) -> None:
        """ACK; with the answer to our offer when the INVITE had none (RFC 3264 §4)."""
        live = self._live.get(call)
        if live is None or answer is None:
            return
        try:
            self._settle(live, sdp.accept(answer, codecs=self._settings.codec_names))
        except sdp.SdpError as error:
            logger().warning("sdp_answer_unusable", call_id=live.facts.call_id, why=str(error))
            self.hang_up(live, "unusable SDP answer")

    def _reoffered(self, reoffer: Reoffered) -> None:
        live = self._live.get(reoffer.call)
        if live is None:
            return
        live.sdp_version += 1
        now = time.monotonic()
        try:
            body, media = self._describe(reoffer.sdp_offer, live.media.port, live.sdp_version)
        except sdp.SdpError as error:
            self._carry_out(self._agent.reject_reinvite(reoffer.call, error.status, now))
            return
        self._carry_out(self._agent.answer_reinvite(reoffer.call, body, now))
        if media is not None:
            self._settle(live, media)

    def _settle(self, live: LiveCall, media: sdp.Negotiated) -> None:
        live.codec = CODECS[media.codec.encoding]
        if live.media.negotiated(media, live.codec) and live.agent is not None:
            live.agent.held(live.media.held)

    def _ended(self, ended: CallEnded) -> None:
        self.admission.free(ended.call)
        live = self._live.pop(ended.call, None)
        if live is None:
            return
        del self.calls[live.facts.call_id]
        self._ticker.remove(live.media.tick)
        reason = live.hang_up_reason if ended.reason is EndReason.LOCAL_BYE else None
        reason = reason or _REMOTE_REASONS.get(ended.reason, ended.reason.value)
        live.end(ended.by_remote, reason)
        logger().info(
            "call_ended", call_id=live.facts.call_id, reason=reason, by_caller=ended.by_remote, detail=ended.detail
        )

    def _refer_answered(self, answered: ReferAnswered) -> None:
        live = self._live.get(answered.call)
        if live is None or live.refer is None:
            return
        live.refer.answer(answered.status, answered.reason)
        if answered.status >= 300:
            live.refer.close(f"{answered.status} {answered.reason}".strip())
            live.refer = None

    def _refer_notified(self, notified: ReferNotified) -> None:
        live = self._live.get(notified.call)
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
