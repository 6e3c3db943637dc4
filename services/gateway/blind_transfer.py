"""Calls sent elsewhere by REFER (RFC 3515): what the peer answers, and what it tells of the call that it places."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from opentelemetry.trace import Span

from services.gateway.live_call import LiveCall, Refer
from services.gateway.sip.events import ReferAnswered, ReferNotified
from tandem.v1 import gateway_pb2 as pb

if TYPE_CHECKING:
    from services.gateway.switchboard import Switchboard


class BlindTransfers:
    def __init__(self, board: Switchboard) -> None:
        self._board = board

    def refer(self, live: LiveCall, target: str, span: Span) -> asyncio.Future[tuple[int, str]]:
        """Sends REFER; the future has the final response. Raises CallStateError, and ValueError for a bad target."""
        board = self._board
        outputs = board.agent.refer(live.sip, target, board.signalling.now())
        answered: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        if outputs:
            live.refer = Refer(answered, span)
        else:
            answered.set_result((487, "Call over"))
            span.end()
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
            live.refer.close(f"{status} {event.reason}".strip())
            live.refer = None
