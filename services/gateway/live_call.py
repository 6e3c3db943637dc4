"""A call from its 200 OK to its end, as signalling and CallControl see it."""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field

from opentelemetry.context import Context
from opentelemetry.trace import Span

from services.common.telemetry import names
from services.common.telemetry.trace import context_from_traceparent, tracer
from services.gateway.access import Trunk
from services.gateway.agent_call import AgentCall
from services.gateway.media import MediaSession
from services.gateway.sip.call import Call as SipCall
from services.gateway.sip.negotiation import MediaNegotiation
from services.gateway.ticker import now_us
from tandem.v1 import gateway_pb2 as pb
from tandem.v1.call_pb2 import CallFacts


@dataclass(slots=True)
class Refer:
    """A REFER under way: `answered` gets the final response's status and phrase. What comes later changes nothing."""

    answered: asyncio.Future[tuple[int, str]]
    span: Span
    final: bool = False

    def answer(self, status: int, phrase: str) -> None:
        """The final response; `close` follows, at once when it refuses."""
        if self.final:
            return
        self.final = True
        self.span.set_attribute(names.SIP_STATUS, status)
        if not self.answered.done():
            self.answered.set_result((status, phrase))

    def close(self, result: str) -> None:
        self.span.set_attribute(names.TRANSFER_RESULT, result)
        self.span.end()


@dataclass(eq=False, slots=True)
class LiveCall:
    """`answered_us` is call time 0 on the monotonic clock."""

    sip: SipCall
    facts: CallFacts
    trunk: Trunk
    negotiation: MediaNegotiation
    media: MediaSession
    answered_us: int
    agent: AgentCall | None = None
    task: asyncio.Task[None] | None = None
    too_long: asyncio.TimerHandle | None = None
    traceparent: str = ""
    slot: Hashable = None
    """What its slot was taken for: the SIP call that it began with, or the placing of it. A move changes nothing."""
    outbound: bool = False
    """We called the device that it is with now: its minutes cost."""
    ip_version: int = 4
    """Of its RTP port."""
    hang_up_reason: str | None = None
    refer: Refer | None = None
    watchers: set[asyncio.Queue[pb.WatchResponse]] = field(default_factory=set)

    def call_time(self) -> int:
        return now_us() - self.answered_us

    def tell(self, event: pb.WatchResponse) -> None:
        """To everybody who watches, stamped with call time."""
        event.call_time_us = self.call_time()
        for watcher in self.watchers:
            watcher.put_nowait(event)

    def end(self, by_caller: bool, reason: str) -> None:
        """Stops media and dialogue, and says so to all. Once."""
        call_time_us = self.call_time()
        self.media.close()
        if self.too_long is not None:
            self.too_long.cancel()
        if self.refer is not None:
            self.refer.answer(487, "Call over")
            self.refer.close("call over")
            self.refer = None
        if self.agent is not None:
            self.agent.ended(by_caller, reason)
        self.tell(pb.WatchResponse(ended=pb.CallEnded(by_caller=by_caller, reason=reason)))
        self._trace_hangup(by_caller, reason, call_time_us)

    def _trace_hangup(self, by_caller: bool, reason: str, call_time_us: int) -> None:
        context: Context = context_from_traceparent(self.traceparent)
        counts: dict[str, int] = {
            names.RTP_PACKETS_RECEIVED: self.media.counts.received,
            names.RTP_PACKETS_SENT: self.media.sender.packets,
            names.RTP_PACKETS_MALFORMED: self.media.counts.malformed,
            names.RTP_PACKETS_FOREIGN: self.media.strangers,
            names.SRTP_PACKETS_UNAUTHENTIC: self.media.srtp_counts.unauthentic,
            names.SRTP_PACKETS_REPLAYED: self.media.srtp_counts.replayed,
        }
        if self.agent is not None:
            counts |= {
                names.RTP_PACKETS_LOST: self.agent.stream.lost_packets,
                names.RTP_PACKETS_LATE: self.agent.stream.late_packets,
                names.RTP_FRAMES_CONCEALED: self.agent.stream.concealed_frames,
                names.CALLER_FRAMES: self.agent.stream.frames,
                names.CALLER_FRAMES_UNSENT: self.agent.bus.unsent,
                names.AGENT_FRAMES_DROPPED: self.agent.playout.dropped_frames,
                names.DIALOGUE_REOPENED: self.agent.dialogue.reopened,
            }
        span = tracer().start_span(
            names.CALL_HANGUP,
            context=context,
            attributes={
                names.CALL_ID: self.facts.call_id,
                names.SIP_CALL_ID: self.facts.sip_call_id,
                names.HANGUP_REASON: reason,
                names.HANGUP_BY_CALLER: by_caller,
                names.CALL_MS: call_time_us // 1000,
                **counts,
            },
        )
        span.end()
