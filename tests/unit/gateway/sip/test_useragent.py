"""Commands that do not fit, and that nothing is left behind.

Invariant of all these tests: one IncomingCall and one CallEnded a call, whatever happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.gateway.sip.call import CallStateError
from services.gateway.sip.events import CallEnded, IncomingCall
from services.gateway.sip.transport import Flow, Transport

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line


def test_commands_out_of_place(line: Line) -> None:
    line.invite()
    with pytest.raises(CallStateError):
        line.agent.refer(line.call, "sip:a@b", line.now)
    with pytest.raises(ValueError, match="300 to 699"):
        line.agent.reject(line.call, 200, line.now)
    line.answer()
    for command in (
        lambda: line.agent.answer(line.call, b"", line.now),
        lambda: line.agent.reject(line.call, 486, line.now),
        lambda: line.agent.ringing(line.call, line.now),
    ):
        with pytest.raises(CallStateError):
            command()
    line.ack()
    with pytest.raises(ValueError, match="URI"):
        line.agent.refer(line.call, "sip:a@b>\r\nX: y", line.now)
    line.keep(line.agent.refer(line.call, "sip:a@b", line.now))
    with pytest.raises(CallStateError):
        line.agent.refer(line.call, "sip:a@b", line.now)


FLOW = Flow(Transport.UDP, ("198.51.100.7", 5060))


def test_ten_thousand_calls_leave_nothing(line: Line, sdp_offer: bytes, sdp_answer: bytes) -> None:
    template = line.request("INVITE", body=sdp_offer, branch="z9hG4bK-0-i", cseq=1)
    agent, ended, most = line.agent, 0, 0
    for number in range(10_000):
        now = number * 0.1
        data = template.replace(b"call-1@", b"call-%d@" % number).replace(b"-0-", b"-%d-" % number)
        incoming = next(o for o in agent.receive(data, FLOW, now) if isinstance(o, IncomingCall))
        call = incoming.call
        agent.answer(call, sdp_answer, now)
        tail = b"theirs\r\nTo: <sip:echo@192.0.2.1>;tag=" + call.dialog.local_tag.encode()
        ack = data.partition(b"\r\n\r\n")[0].replace(b"theirs\r\nTo: <sip:echo@192.0.2.1>", tail)
        ack = ack.replace(b"Content-Length: %d" % len(sdp_offer), b"Content-Length: 0") + b"\r\n\r\n"
        agent.receive(ack.replace(b"INVITE", b"ACK").replace(b"-i", b"-a"), FLOW, now)
        bye = ack.replace(b"1 INVITE", b"2 BYE").replace(b"INVITE", b"BYE").replace(b"-i", b"-b")
        ended += sum(isinstance(o, CallEnded) for o in agent.receive(bye, FLOW, now))
        agent.expire(now)
        most = max(most, agent.held)
    assert ended == 10_000
    assert most < 3_000  # what 32 s of calls hold, and no more
    agent.expire(10_000.0)
    assert (agent.held, agent.next_deadline()) == (0, None)
