"""A caller behind a network that drops, repeats and reorders: one IncomingCall, at most one CallEnded, no error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.sip.call import CallState
from services.gateway.sip.events import CallEnded, IncomingCall, Reoffered, Send
from services.gateway.sip.message import Request, Response, parse

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line

FATES = st.lists(st.sampled_from(["drop", "twice", "late", "pass"]), min_size=1, max_size=40)
COMMANDS = ["answer", "answer", "reject", "ring", "our bye", "refer", "wait"]
THEIR_MOVES = ["ack", "ack", "cancel", "their bye", "reinvite", "notify", "invite again", "wait"]


class Network:
    """Deals out the fates in turn; what is late comes after the next datagram."""

    def __init__(self, line: Line, fates: list[str]) -> None:
        self._line, self._fates, self._turn = line, fates, 0
        self._late: list[bytes] = []

    def carry(self, data: bytes) -> None:
        fate = self._fates[self._turn % len(self._fates)]
        self._turn += 1
        held, self._late = self._late, []
        if fate == "late":
            self._late = [data]
        elif fate != "drop":
            self._deliver(data)
            if fate == "twice":
                self._deliver(data)
        for datagram in held:
            self._deliver(datagram)

    def _deliver(self, data: bytes) -> None:
        for output in self._line.receive(data):
            if isinstance(output, Send):
                message = parse(output.data)
                if isinstance(message, Response) and message.cseq.method == "INVITE" and message.to.tag:
                    self._line.to_tag = message.to.tag


@settings(max_examples=150, deadline=None)
@given(
    fates=FATES,
    moves=st.lists(st.one_of(st.sampled_from(COMMANDS), st.sampled_from(THEIR_MOVES)), max_size=12),
    delayed=st.booleans(),
)
def test_any_network(new_line: type[Line], sdp_offer: bytes, fates: list[str], moves: list[str], delayed: bool) -> None:
    line = new_line()
    network = Network(line, fates)
    invite = line.request("INVITE", body=b"" if delayed else sdp_offer, branch="z9hG4bKinvite")
    for _ in range(12):  # timer A's seven tries, and enough for any list of fates but a dead line
        network.carry(invite)
    arrived = [event for event in line.events if isinstance(event, IncomingCall)]
    if not arrived:
        assert "pass" not in fates
        assert "twice" not in fates
        return
    call = arrived[0].call
    answered = 0
    for step, move in enumerate(moves):
        if move == "answer" and call.state is CallState.PROCEEDING:
            line.answer()
            line.to_tag = call.dialog.local_tag
        elif move == "reject" and call.state is CallState.PROCEEDING:
            line.keep(line.agent.reject(call, 486, line.now))
        elif move == "ring" and call.state is CallState.PROCEEDING:
            line.keep(line.agent.ringing(call, line.now))
        elif move == "our bye":
            line.keep(line.agent.bye(call, line.now))
        elif move == "refer" and call.state is CallState.CONFIRMED and call.referral is None:
            line.keep(line.agent.refer(call, "sip:100@pbx.example", line.now))
        elif move == "wait":
            line.run(line.now + 1 + step)
        elif move == "ack":
            network.carry(line.request("ACK", cseq=1))
        elif move == "cancel":
            network.carry(line.request("CANCEL", cseq=1, branch="z9hG4bKinvite", to_tag=""))
        elif move == "their bye":
            network.carry(line.request("BYE"))
        elif move == "reinvite":
            network.carry(line.request("INVITE", body=sdp_offer, to_tag=line.to_tag or "none"))
            if any(isinstance(event, Reoffered) for event in line.events):
                line.keep(line.agent.answer_offer(call, sdp_offer, line.now))
        elif move == "notify":
            extra = "Event: refer\r\nSubscription-State: active"
            network.carry(line.request("NOTIFY", body=b"SIP/2.0 200 OK", extra=extra, content_type="message/sipfrag"))
        elif move == "invite again":
            network.carry(invite)
        for message in line.messages[answered:]:
            if isinstance(message, Request):
                network.carry(Response.to_request(message, 200).encode())
        answered = len(line.sent)
    line.keep(line.agent.bye(call, line.now))
    line.run(line.now + 200)
    assert sum(isinstance(event, IncomingCall) for event in line.events) == 1
    assert sum(isinstance(event, CallEnded) for event in line.events) == 1
    assert isinstance(line.events[0], IncomingCall)
    assert isinstance(line.events[-1], CallEnded)
    assert line.agent.held == 0
