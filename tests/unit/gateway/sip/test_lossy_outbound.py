"""Calls of ours over a network that drops, repeats and reorders, to callees that do anything.

Invariant: one CallEnded an INVITE of ours, every 2xx that got here acknowledged, no error, and in the end nothing held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.sip.call import CallState
from services.gateway.sip.events import CallAnswered, LookUp, ReferReceived, Reoffered
from services.gateway.sip.message import Request, Response, parse
from services.gateway.sip.sessiontimer import SessionTimerMode, SessionTimerPolicy
from services.gateway.sip.targets import Target
from services.gateway.sip.transport import Flow, Transport

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Callee, Line

FATES = st.lists(st.sampled_from(["drop", "twice", "late", "pass", "pass"]), min_size=1, max_size=40)
TAGS = ["a", "b"]
PROVISIONALS = [f"{status} {tag}" for status in (100, 180, 183, "180 rel", "183 rel") for tag in TAGS]
FINALS = ["200 a", "200 a", "200 b", "200 both", "486", "503", "302", "422", "401"]
THEIRS = ["bye", "reinvite", "update", "update offer", "refer", "info"]
OURS = ["our bye", "our refer", "tell", "wait", "wait", "wait long", "unreachable"]
MOVES = st.lists(st.sampled_from([*PROVISIONALS, *FINALS, *THEIRS, *OURS]), max_size=16)
HEADERS = {
    401: 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"',
    422: "Min-SE: 700",
    302: "",
    486: "",
    503: "Retry-After: 3",
}


class Network:
    """Between `line` and its callee, both ways. Deals out the fates in turn; what is late comes after the next."""

    def __init__(self, line: Line, callee: Callee, fates: list[str], servers: list[Target]) -> None:
        self.line, self.callee, self.servers = line, callee, servers
        self._fates, self._turn = fates, 0
        self._late: dict[bool, list[bytes]] = {False: [], True: []}
        self._seen = self._looked_up = 0
        self.rseq = dict.fromkeys(TAGS, 1)
        self.final: int | None = None
        """Of the INVITE that is out, where it has one."""
        self.delivered: set[tuple[int, str, str]] = set()
        """CSeq and tag of each 2xx that got here."""

    def to_us(self, data: bytes) -> None:
        for one in self._fate(data, True):
            message = parse(one)
            # One that comes when its transaction is over (timer B) is none of ours any more.
            ours = (message.via.branch, message.cseq.method) in self.line.agent._calls.layer._clients
            if ours and isinstance(message, Response) and str(message.status).startswith("2"):
                self.delivered.add((message.cseq.number, message.cseq.method, message.to.tag or ""))
            self._react(self.line.receive(one))

    def carry(self) -> None:
        """What we sent, to the callee, and its answers back."""
        for _ in range(100):
            for look_up in self.line.of(LookUp)[self._looked_up :]:
                self._looked_up += 1
                self.line.keep(self.line.agent.looked_up(look_up.token, self.servers, self.line.now))
            if self._seen == len(self.line.sent):
                return
            sent = self.line.sent[self._seen]
            self._seen += 1
            for one in self._fate(sent.data, False):
                message = parse(one)
                if isinstance(message, Request):
                    self._asked(message)

    def _asked(self, request: Request) -> None:
        """Answers at once, but for a first INVITE, which is answered by moves."""
        match request.method:
            case "ACK":
                return
            case "INVITE" if request.to.tag is None:
                return
            case "CANCEL":
                self._answer(request, 200)
                if self.final is None:
                    self.final = 487
                    self.to_us(self.callee.response(487))
            case "INVITE":
                self._answer(request, 200, self.line.sdp_answer)
            case "REFER":
                self._answer(request, 202)
            case _:
                self._answer(request, 200)

    def _answer(self, request: Request, status: int, sdp: bytes = b"") -> None:
        self.to_us(self.line.response_to(request, status, sdp=sdp))

    def _fate(self, data: bytes, to_us: bool) -> list[bytes]:
        fate = self._fates[self._turn % len(self._fates)]
        self._turn += 1
        held, self._late[to_us] = self._late[to_us], []
        if fate == "late":
            self._late[to_us] = [data]
            return held
        return [*({"drop": [], "twice": [data, data]}.get(fate, [data])), *held]

    def _react(self, outputs: object) -> None:
        """What a user does at once."""
        line, agent = self.line, self.line.agent
        assert isinstance(outputs, list)
        for output in outputs:
            match output:
                case Reoffered(call, offer):
                    line.keep(agent.answer_offer(call, offer or line.sdp_answer, line.now))
                case ReferReceived(call):
                    line.keep(agent.accept_refer(call, line.now))
                case CallAnswered(call, sdp) if call.state is CallState.ANSWERED:
                    line.keep(agent.acknowledge(call, sdp or b"", line.now))


def move(network: Network, name: str) -> None:
    line, callee, call = network.line, network.callee, network.callee.call
    first, _, rest = name.partition(" ")
    tag = rest[-1:] if rest[-1:] in TAGS else "a"
    if first in ("100", "180", "183") and network.final is None:
        rseq = None
        if "rel" in rest:
            rseq, network.rseq[tag] = network.rseq[tag], network.rseq[tag] + 1
        network.to_us(callee.response(int(first), tag=tag, rseq=rseq, sdp=line.sdp_answer if first == "183" else b""))
    elif first == "200" and network.final in (None, 200):
        network.final = 200
        for one in TAGS if rest == "both" else [tag]:
            network.to_us(callee.response(200, tag=one, sdp=line.sdp_answer, allow="INVITE, UPDATE"))
    elif first.isdigit() and int(first) in HEADERS and network.final is None:
        invites = len({one.cseq.number for one in line.requests if one.method == "INVITE"})
        network.final = int(first)
        network.to_us(callee.response(int(first), extra=HEADERS[int(first)]))
        if len({one.cseq.number for one in line.requests if one.method == "INVITE"}) > invites:
            network.final = None  # tried anew
            network.rseq = dict.fromkeys(TAGS, 1)
    elif first == "bye":
        network.to_us(callee.request("BYE", tag="a"))
    elif first == "reinvite":
        network.to_us(callee.request("INVITE", tag="a", body=line.sdp_answer))
        network.to_us(callee.request("ACK", tag="a", cseq=callee.cseq, branch=f"z9hG4bKack{callee.cseq}"))
    elif first == "update":
        network.to_us(callee.request("UPDATE", tag="a", body=line.sdp_answer if rest else b""))
    elif first == "refer":
        network.to_us(callee.request("REFER", tag="a", extra="Refer-To: <sip:c@pbx.example>"))
    elif first == "info":
        network.to_us(callee.request("INFO", tag="a"))
    elif name == "our bye":
        line.keep(line.agent.bye(call, line.now))
    elif name == "our refer" and call.state is CallState.CONFIRMED and call.referral is None:
        line.keep(line.agent.refer(call, "sip:100@pbx.example", line.now))
    elif name == "tell":
        line.keep(line.agent.tell_refer(call, 200, "OK", line.now))
    elif name == "wait":
        line.run(line.now + 1.7)
    elif name == "wait long":
        line.run(line.now + 33)
    elif name == "unreachable" and line.sent:
        line.keep(line.agent.unreachable(line.sent[-1].flow, line.now))
    network.carry()


@settings(max_examples=300, deadline=None)
@given(
    fates=FATES,
    moves=MOVES,
    offers=st.booleans(),
    by_name=st.sampled_from([0, 1, 2]),
    timer=st.sampled_from(list(SessionTimerMode)),
)
def test_any_network(
    new_line: type[Line],
    sdp_offer: bytes,
    fates: list[str],
    moves: list[str],
    offers: bool,
    by_name: int,
    timer: SessionTimerMode,
) -> None:
    line = new_line()
    line.profile = line.trunk(session_timer=SessionTimerPolicy(timer, 90), refer=True)
    callee = line.dial("sip:bob@carrier.example" if by_name else "sip:bob@198.51.100.7", sdp_offer if offers else b"")
    servers = [Target(Flow(Transport.UDP, (f"198.51.100.{7 + n}", 5060)), "") for n in range(by_name)]
    network = Network(line, callee, fates, servers)
    network.carry()
    for name in moves:
        move(network, name)
    line.keep(line.agent.bye(callee.call, line.now))
    network.carry()
    for _ in range(60):  # retransmissions are carried too
        line.run(line.now + 4)
        network.carry()
    line.over()
    assert len(line.ended) == 1
    accepted = {(number, tag) for number, method, tag in network.delivered if method == "INVITE"}
    assert accepted <= {(one.cseq.number, one.to.tag or "") for one in line.requests if one.method == "ACK"}
