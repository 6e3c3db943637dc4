"""CANCEL, also one that crosses our final response (RFC 3261 §9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.gateway.sip.events import CallEnded, EndReason

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line


def test_cancel(line: Line) -> None:
    line.invite()
    call = line.call
    line.send("CANCEL", branch="z9hG4bKinvite", extra='Reason: SIP;cause=200;text="Call completed elsewhere"')
    assert line.statuses == [100, 200, 487]
    assert line.messages[1].cseq.method == "CANCEL"
    assert line.ended == [CallEnded(call, True, EndReason.CANCELLED, 'SIP;cause=200;text="Call completed elsewhere"')]
    assert line.agent.answer(call, b"", line.now) == []
    line.ack(branch="z9hG4bKinvite")
    line.run(100)
    assert line.statuses == [100, 200, 487]
    assert line.agent.held == 0


def test_a_cancel_that_crosses_our_200_changes_nothing(line: Line) -> None:
    line.invite()
    line.answer()
    line.send("CANCEL", branch="z9hG4bKinvite")
    assert line.statuses == [100, 200, 200]
    line.ack(cseq=1)
    assert line.kinds == ["IncomingCall", "CallConfirmed"]


def test_a_cancel_for_nothing(line: Line) -> None:
    line.send("CANCEL")
    assert line.statuses == [481]
