"""A user agent under fire: it gets octets, its calls are answered, refused and ended at random, its clock is ours."""

from __future__ import annotations

import re
from collections import deque
from itertools import count
from random import Random

from services.gateway.sip.call import Call, CallState
from services.gateway.sip.challenge import DigestChallenger
from services.gateway.sip.digest import Algorithm, Credentials
from services.gateway.sip.events import (
    CallAnswered,
    CallEnded,
    IncomingCall,
    LookUp,
    Output,
    ReferReceived,
    Reoffered,
)
from services.gateway.sip.message import Request, Response, SipParseError, parse
from services.gateway.sip.profile import Profile
from services.gateway.sip.reliable import OneHundredRel
from services.gateway.sip.sessiontimer import SessionTimerMode, SessionTimerPolicy
from services.gateway.sip.targets import Target
from services.gateway.sip.transport import Flow, Send, Transport
from services.gateway.sip.useragent import UserAgent
from tests.fuzz.corpus import OFFER

ANSWER = OFFER.replace("\n", "\r\n").replace("198.51.100.7", "192.0.2.1").encode()
FLOWS = (
    Flow(Transport.UDP, ("198.51.100.7", 5060)),
    Flow(Transport.TCP, ("198.51.100.7", 40123), 7),
    Flow(Transport.TLS, ("2001:db8::7", 40124), 8),
)
LOCALS = {
    **{(transport, 4): [("192.0.2.1", transport.default_port)] for transport in Transport},
    **{(transport, 6): [("2001:db8::1", transport.default_port)] for transport in Transport},
}
REPLIES = (100, 180, 183, 200, 200, 200, 202, 302, 401, 407, 408, 422, 423, 481, 486, 491, 500, 503, 603)
REPLY_FIELDS = (
    ("Contact", "<sip:ada@198.51.100.7:5062>"),
    ("Contact", "<sip:ada@peer.example>;q=0.5, <tel:+49>"),
    ("Record-Route", "<sip:198.51.100.8;lr>, <sip:198.51.100.9>"),
    ("Require", "100rel"),
    ("RSeq", "1"),
    ("RSeq", "2"),
    ("Min-SE", "3600"),
    ("Min-Expires", "7200"),
    ("Session-Expires", "90;refresher=uac"),
    ("Session-Expires", "1800;refresher=uas"),
    ("WWW-Authenticate", 'Digest realm="x", nonce="y", qop="auth,auth-int", algorithm=SHA-256'),
    ("Proxy-Authenticate", 'Digest realm="x", nonce="z"'),
    ("Retry-After", "5"),
    ("Allow", "INVITE, ACK, BYE, UPDATE"),
)
_CHALLENGER = DigestChallenger("x", {"user": "secret"}, list(Algorithm)[:1], b"sealed", 300.0)
LARGEST_ADDITION = 2048
"""Octets a response may have more than the request: our own headers and the SDP."""
MOST_SENT = 6
"""Messages at most that one message from the network may cause at once."""
MOST_TIMERS = 20_000
LONGEST_S = 7 * 24 * 3600.0


_CSEQ = re.compile(rb"\r\nCSeq: [0-9]+ ([A-Z]+)\r\n")
_BRANCH = re.compile(rb"branch=z9hG4bK([A-Za-z0-9]+)")
_RSEQ = re.compile(rb"\r\nRSeq: ([0-9]+)\r\n")


class Violation(AssertionError):
    """The user agent did what it must never do."""


class FuzzedAgent:
    """One user agent and one peer on one flow."""

    def __init__(self, random: Random) -> None:
        ids = count(1)
        self._random = random
        self._flow = random.choice(FLOWS)
        self._profile = Profile(
            one_hundred_rel=random.choice(list(OneHundredRel)),
            refer=random.random() < 0.5,
            credentials=random.choice((None, Credentials("user", "secret"))),
            session_timer=SessionTimerPolicy(
                random.choice(list(SessionTimerMode)), expires_s=random.choice((90, 1800))
            ),
            challenger=_CHALLENGER if random.random() < 0.1 else None,
        )
        self._calls: dict[int, Call] = {}
        self._asked: deque[Request] = deque(maxlen=6)
        self._cseq = 1
        self._invite_cseq = 1
        self._rseq = b"1"
        self.now = 0.0
        self.agent = UserAgent(LOCALS, ids=lambda: f"id{next(ids)}")

    def addressed(self, data: bytes) -> bytes:
        """A seed made to belong to the oldest call that still stands: our tag in it, and the next number."""
        tag = next((call.dialog.local_tag for call in self._calls.values()), "none")
        data = data.replace(b"@TAG@", tag.encode()).replace(b"@RSEQ@", self._rseq)
        match = _CSEQ.search(data)
        if match is None or match[1] == b"CANCEL" or self._random.random() < 0.2:
            return data
        if match[1] != b"ACK":
            self._cseq += 1
        if match[1] == b"INVITE":
            self._invite_cseq = self._cseq
        number = self._invite_cseq if match[1] == b"ACK" else self._cseq
        data = data.replace(match[0], b"\r\nCSeq: %d %s\r\n" % (number, match[1]))
        return _BRANCH.sub(rb"branch=z9hG4bK\g<1>.%d" % self._cseq, data, count=1)

    def receive(self, data: bytes) -> None:
        outputs = self.agent.receive(data, self._flow, self.now, self._profile)
        sent = [output for output in outputs if isinstance(output, Send)]
        if len(sent) > MOST_SENT:
            raise Violation(f"{len(sent)} messages sent for one received")
        for send in sent:
            is_response = send.data.startswith(b"SIP/2.0 ")
            if is_response and send.flow.address[0] != self._flow.address[0]:
                raise Violation(f"response sent to {send.flow}, not to where the request came from")
            if (
                is_response
                and b"\r\nContent-Length: 0\r\n" in send.data
                and len(send.data) > len(data) + LARGEST_ADDITION
            ):
                raise Violation(f"response of {len(send.data)} octets to {len(data)}")
        self._carry(outputs)

    def act(self) -> None:
        """One command, as the gateway above might give it."""
        kind = self._random.random()
        if kind < 0.05:
            self._carry(self.agent.unreachable(self._flow, self.now))
        elif kind < 0.1:
            fields = [("From", "<sip:us@x>;tag=1"), ("To", "<sip:us@x>"), ("Call-ID", "r1"), ("CSeq", "1 REGISTER")]
            _, outputs = self.agent.send_request(
                "REGISTER", "sip:198.51.100.7", self.now, fields, profile=self._profile
            )
            self._carry(outputs)
        elif kind < 0.3:
            target = self._random.choice(("sip:+4930@198.51.100.7", "sip:a@peer.example;transport=tcp"))
            offer = self._random.choice((ANSWER, ANSWER, b""))
            call, outputs = self.agent.invite(target, offer, self.now, profile=self._profile)
            self._calls[id(call)] = call
            self._carry(outputs)
        elif self._calls:
            self._command(self._random.choice([*self._calls.values()]))

    def reply(self) -> bytes | None:
        """A response of the peer to something it was asked lately; None when it was asked nothing."""
        if not self._asked:
            return None
        request = self._random.choice(self._asked)
        fields = [field for field in REPLY_FIELDS if self._random.random() < 0.3]
        body = b""
        if self._random.random() < 0.5:
            fields.append(("Content-Type", "application/sdp"))
            body = ANSWER
        tag = self._random.choice(("fork1", "fork2"))
        return Response.to_request(request, self._random.choice(REPLIES), tag, None, fields, body).encode()

    def run(self, until: float) -> None:
        for _ in range(MOST_TIMERS):
            deadline = self.agent.next_deadline()
            if deadline is None or deadline > until:
                self.now = max(self.now, until)
                return
            self.now = max(self.now, deadline)
            self._carry(self.agent.expire(self.now))
        raise Violation(f"more than {MOST_TIMERS} timers until {until}")

    def finish(self) -> None:
        """Ends what still stands; then all must be forgotten, and every call that was offered have ended once."""
        for call in [*self._calls.values()]:
            self._carry(self.agent.bye(call, self.now))
        self.run(self.now + LONGEST_S)
        if self._calls:
            raise Violation(f"calls that never ended: {[*self._calls.values()]}")
        if self.agent.held:
            raise Violation(f"{self.agent.held} transactions, timers or calls held when all is over")

    def _carry(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Send(data):
                    self._check_sent(data)
                case IncomingCall(call):
                    self._calls[id(call)] = call
                    self._carry(self.agent.trying(call, self.now))
                    if self._random.random() < 0.8:
                        self._command(call)
                case CallEnded(call):
                    if self._calls.pop(id(call), None) is None:
                        raise Violation(f"{call} ended twice, or was never offered")
                case Reoffered(call):
                    if self._random.random() < 0.8:
                        self._carry(self.agent.answer_offer(call, ANSWER, self.now))
                    else:
                        self._carry(self.agent.reject_offer(call, 488, self.now))
                case ReferReceived(call):
                    if self._random.random() < 0.5:
                        self._carry(self.agent.accept_refer(call, self.now))
                        self._carry(self.agent.tell_refer(call, 180, "Ringing", self.now))
                    else:
                        self._carry(self.agent.reject_refer(call, 603, self.now))
                case LookUp(token):
                    targets = [Target(self._flow, "peer.example")] * self._random.randrange(3)
                    self._carry(self.agent.looked_up(token, targets, self.now))
                case CallAnswered(call, sdp):
                    if sdp is not None and call.state is CallState.ANSWERED:
                        self._carry(self.agent.acknowledge(call, ANSWER, self.now))
                case _:
                    pass

    def _check_sent(self, data: bytes) -> None:
        """What we ask must be good SIP; what we answer has the faults of what was asked."""
        if data.startswith(b"SIP/2.0 "):
            match = _RSEQ.search(data)
            self._rseq = self._rseq if match is None else match[1]
            return
        try:
            request = parse(data)
        except SipParseError as error:
            raise Violation(f"we send what we would refuse: {error}: {data!r}") from error
        if isinstance(request, Request) and request.method != "ACK":
            self._asked.append(request)

    def _command(self, call: Call) -> None:
        kind = self._random.random()
        if call.state is CallState.PROCEEDING and call.inbound:
            if kind < 0.1:
                self._carry(self.agent.ringing(call, self.now))
            elif kind < 0.2:
                self._carry(self.agent.progress(call, ANSWER, self.now))
            elif kind < 0.3:
                self._carry(self.agent.reject(call, 486, self.now))
            elif kind < 0.4:
                self._carry(self.agent.bye(call, self.now))
            else:
                self._carry(self.agent.answer(call, ANSWER, self.now))
        elif kind < 0.1:
            self._carry(self.agent.bye(call, self.now))
        elif kind < 0.4 and call.state is CallState.CONFIRMED and call.referral is None:
            self._carry(self.agent.refer(call, "sip:a@198.51.100.9", self.now))
