"""A call from its 200 OK to its end, as signalling and CallControl see it."""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field

from opentelemetry.trace import Span, Status, StatusCode

from services.common.telemetry import names
from services.common.telemetry.trace import call_over, context_from_traceparent, keep, tracer
from services.gateway.access import Trunk
from services.gateway.agent_call import AgentCall
from services.gateway.call_record import bad_quality, media_record
from services.gateway.call_setup import CallSetup
from services.gateway.dtmf import Digit
from services.gateway.media import MediaSession
from services.gateway.person_call import PersonCall
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
        if status >= 300:
            self._failed(status, phrase)
        if not self.answered.done():
            self.answered.set_result((status, phrase))

    def close(self, result: str, status: int = 0) -> None:
        """`status`: what the last NOTIFY told of the call that the peer placed, if it did."""
        if status >= 300:
            self._failed(status, result)
        self.span.set_attribute(names.TRANSFER_RESULT, result)
        self.span.end()

    def _failed(self, status: int, why: str) -> None:
        self.span.set_attribute(names.ERROR_TYPE, str(status))
        self.span.set_status(Status(StatusCode.ERROR, why))


@dataclass(eq=False, slots=True)
class LiveCall:
    """`answered_us` is call time 0 on the monotonic clock."""

    sip: SipCall
    facts: CallFacts
    trunk: Trunk
    negotiation: MediaNegotiation
    media: MediaSession
    answered_us: int
    setup: CallSetup
    """Of the device that it is with now."""
    agent: AgentCall | None = None
    person: PersonCall | None = None
    task: asyncio.Task[None] | None = None
    too_long: asyncio.TimerHandle | None = None
    traceparent: str = ""
    ends_trace: bool = True
    """The call's trace is over with it; not so where it is a part of what another call does."""
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

    @property
    def party(self) -> AgentCall | PersonCall | None:
        """Who can be bridged; None for an echo call."""
        return self.agent or self.person

    def held(self, on_hold: bool) -> None:
        """The call's own side put it on hold, or took it back."""
        if self.agent is not None:
            self.agent.held(on_hold)
        elif self.person is not None:
            self.person.held(on_hold, self.call_time())
        self.tell(pb.WatchResponse(held=pb.Held(on_hold=on_hold, by_peer=True)))

    def pressed(self, key: Digit) -> None:
        """A key that came by signalling (SIP INFO)."""
        if self.party is not None:
            self.party.pressed(key)

    def key_pressed(self, key: Digit) -> None:
        """By a person, whom no agent hears."""
        self.tell(pb.WatchResponse(key_pressed=pb.KeyPressed(digit=key.digit, duration_ms=key.duration_ms)))

    def end(self, by_caller: bool, reason: str, failure: str = "") -> dict[str, int | float]:
        """Stops media and dialogue, and says so to all, once. What is left of the sound is told by attribute name.

        `failure`: of what kind, where nobody wanted this end."""
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
        record = {names.CALL_MS: call_time_us // 1000, **media_record(self.media, self.agent)}
        self._trace_hangup(by_caller, reason, record, failure)
        return record

    def _trace_hangup(self, by_caller: bool, reason: str, record: dict[str, int | float], failure: str) -> None:
        span = tracer().start_span(
            names.CALL_HANGUP,
            context=context_from_traceparent(self.traceparent),
            attributes={
                names.TRUNK: self.trunk.name,
                names.CALL_ID: self.facts.call_id,
                names.SIP_CALL_ID: self.facts.sip_call_id,
                names.HANGUP_REASON: reason,
                names.HANGUP_BY_CALLER: by_caller,
                **({names.CODEC: self.media.encoding} if self.media.encoding else {}),
                **record,
            },
        )
        if failure:
            span.set_attribute(names.ERROR_TYPE, failure)
            span.set_status(Status(StatusCode.ERROR, reason))
        span.end()
        why = f"call failed: {failure}" if failure else bad_quality(record, self.media.encoding)
        if why:
            keep(self.traceparent, why)

    def end_trace(self) -> None:
        """Once, when nothing more comes of the call: its dialogue has a moment to say the last words."""
        if not self.ends_trace:
            return
        if self.task is None or self.task.done():
            call_over(self.traceparent)
        else:
            self.task.add_done_callback(lambda _: call_over(self.traceparent))
