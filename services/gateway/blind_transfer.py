"""Calls sent elsewhere by REFER (RFC 3515): what the peer answers, and what it tells of the call that it places."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, get_current_span

from services.common.telemetry import names
from services.common.telemetry.trace import context_from_traceparent, traceparent_of, tracer
from services.gateway.live_call import LiveCall, Refer
from services.gateway.sip.events import ReferAnswered, ReferNotified
from services.gateway.trace_header import telling
from tandem.v1 import gateway_pb2 as pb

if TYPE_CHECKING:
    from services.gateway.switchboard import Switchboard


def refer_span(live: LiveCall, target: str, asked: Context) -> Span:
    """`sip.refer`, below the span of whoever `asked` for it; of nobody's, below the call's."""
    call = context_from_traceparent(live.traceparent)
    below, link = get_current_span(asked).get_span_context(), get_current_span(call).get_span_context()
    return tracer().start_span(
        names.SIP_REFER,
        context=asked if below.is_valid else call,
        kind=SpanKind.CLIENT,
        links=[Link(link)] if below.is_valid and link.is_valid else [],
        attributes={
            names.SIP_METHOD: "REFER",
            names.CALL_ID: live.facts.call_id,
            names.SIP_CALL_ID: live.facts.sip_call_id,
            names.TRUNK: live.trunk.name,
            names.TRANSFER_DESTINATION: target,
        },
    )


def refuse(span: Span, why: str) -> None:
    """Ends the span of a REFER that was never sent."""
    span.set_status(Status(StatusCode.ERROR, why))
    span.end()


class BlindTransfers:
    def __init__(self, board: Switchboard) -> None:
        self._board = board

    def refer(self, live: LiveCall, target: str, span: Span) -> asyncio.Future[tuple[int, str]]:
        """Sends REFER; the future has the final response. Raises CallStateError, and ValueError for a bad target."""
        board = self._board
        headers = telling(traceparent_of(span), live.trunk.settings)
        outputs = board.agent.refer(live.sip, target, board.signalling.now(), headers)
        answered: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        if outputs:
            live.refer = Refer(answered, span)
        else:
            answered.set_result((487, "Call over"))
            refuse(span, "call over")
        board.signalling.carry_out(outputs)
        return answered

    def answered(self, event: ReferAnswered) -> None:
        live = self._board.live.get(event.call)
        if live is None or live.refer is None:
            return
        live.refer.answer(event.status, event.reason)
        if event.status >= 300:
            live.refer.close(f"{event.status} {event.reason}".strip())
            live.refer = None

    def notified(self, event: ReferNotified) -> None:
        live = self._board.live.get(event.call)
        if live is None:
            return
        # A peer that ends the subscription without a word leaves us with nothing but "it is over" (RFC 3515 §2.4.7).
        status = event.status or 0
        progress = pb.ReferProgress(sip_status=status, reason_phrase=event.reason, final=event.final)
        live.tell(pb.WatchResponse(refer_progress=progress))
        if event.final and live.refer is not None:
            live.refer.answer(202, "Accepted")  # a NOTIFY may overtake the 202
            live.refer.close(f"{status} {event.reason}".strip(), status)
            live.refer = None
