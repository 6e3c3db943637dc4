"""A scripted caller, a fake clock and a user agent joined by a perfect wire."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any, TypeVar

import pytest

from services.gateway.sip.call import Call
from services.gateway.sip.digest import Credentials
from services.gateway.sip.events import CallEnded, IncomingCall, Output
from services.gateway.sip.message import Request, Response, parse
from services.gateway.sip.profile import ANYONE, Profile
from services.gateway.sip.transport import Flow, Send, Transport
from services.gateway.sip.useragent import UserAgent

Event = TypeVar("Event")
OURS = ("192.0.2.1", 5060)
THEIRS = ("198.51.100.7", 5060)
OFFER = b"v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8\r\n"
ANSWER = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n"


class Line:
    """Say `line.invite()`, `line.answer()`, `line.ack()` …; read `line.statuses`, `line.requests`, `line.events`."""

    def __init__(self) -> None:
        numbers = count(1)
        self.agent = UserAgent(
            {(Transport.UDP, 4): [OURS], (Transport.TCP, 4): [OURS]}, ids=lambda: f"id{next(numbers)}"
        )
        self.now = 0.0
        self.profile = ANYONE
        self.sent: list[Send] = []
        self.sent_at: list[float] = []
        self.events: list[Output] = []
        self._branches = count(1)
        self.to_tag = ""
        self.cseq = 0
        self.invite_request = b""
        self.sdp_answer = ANSWER
        self.calls: list[Call] = []
        """Those that we placed."""

    # the agent's side

    def keep(self, outputs: list[Output]) -> list[Output]:
        for output in outputs:
            if isinstance(output, Send):
                self.sent.append(output)
                self.sent_at.append(self.now)
            else:
                self.events.append(output)
        return outputs

    def receive(self, data: bytes, source: tuple[str, int] = THEIRS, flow: Flow | None = None) -> list[Output]:
        """What came from `source` or on `flow`; the agent tries every new call at once, as its user does."""
        outputs = self.agent.receive(data, flow or Flow(Transport.UDP, source), self.now, self.profile)
        tries = [self.agent.trying(one.call, self.now) for one in outputs if isinstance(one, IncomingCall)]
        return self.keep([*(sent for sends in tries for sent in sends), *outputs])

    def run(self, until: float) -> None:
        """Lets the clock go to `until`, firing each timer at its time."""
        for _ in range(10_000):
            deadline = self.agent.next_deadline()
            if deadline is None or deadline > until:
                break
            self.now = max(self.now, deadline)
            self.keep(self.agent.expire(self.now))
        self.now = max(self.now, until)

    @property
    def call(self) -> Call:
        return next(event.call for event in self.events if isinstance(event, IncomingCall))

    @property
    def ended(self) -> list[CallEnded]:
        return [event for event in self.events if isinstance(event, CallEnded)]

    @property
    def kinds(self) -> list[str]:
        """The events' types, in order."""
        return [type(event).__name__ for event in self.events]

    def answer(self) -> None:
        self.keep(self.agent.answer(self.call, ANSWER, self.now))

    # what the agent sent

    @property
    def messages(self) -> list[Request | Response]:
        return [parse(output.data) for output in self.sent]

    @property
    def statuses(self) -> list[int]:
        return [int(output.data.split()[1]) for output in self.sent if output.data.startswith(b"SIP/2.0 ")]

    @property
    def requests(self) -> list[Request]:
        return [message for message in self.messages if isinstance(message, Request)]

    def clear(self) -> None:
        self.sent.clear()
        self.sent_at.clear()
        self.events.clear()

    # the caller's side

    def request(
        self,
        method: str,
        *,
        cseq: int | None = None,
        branch: str | None = None,
        to_tag: str | None = None,
        body: bytes = b"",
        extra: str = "",
        uri: str = "sip:echo@192.0.2.1",
        content_type: str = "application/sdp",
    ) -> bytes:
        if cseq is None:
            self.cseq += method not in ("ACK", "CANCEL")
            cseq = self.cseq
        tag = self.to_tag if to_tag is None else to_tag
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 198.51.100.7:5060;branch={branch or f'z9hG4bKc{next(self._branches)}'};rport",
            "Max-Forwards: 70",
            'From: "Ada Lovelace" <sip:+4930123@198.51.100.7>;tag=theirs',
            f"To: <sip:echo@192.0.2.1>{';tag=' + tag if tag else ''}",
            "Call-ID: call-1@198.51.100.7",
            f"CSeq: {cseq} {method}",
            "Contact: <sip:ada@198.51.100.7:5062>",
            *([f"Content-Type: {content_type}"] if body else []),
            *([extra] if extra else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def invite(self, body: bytes = OFFER, extra: str = "", branch: str = "z9hG4bKinvite") -> list[Output]:
        self.invite_request = self.request("INVITE", body=body, extra=extra, branch=branch)
        return self.receive(self.invite_request)

    def ack(self, body: bytes = b"", cseq: int | None = None, branch: str | None = None) -> list[Output]:
        final = next(m for m in reversed(self.messages) if isinstance(m, Response) and m.cseq.method == "INVITE")
        self.to_tag = final.to.tag or ""
        return self.receive(self.request("ACK", body=body, cseq=cseq, branch=branch))

    def send(self, method: str, **options: object) -> list[Output]:
        return self.receive(self.request(method, **options))  # type: ignore[arg-type]

    def respond(self, request: Request, status: int) -> list[Output]:
        return self.receive(Response.to_request(request, status).encode())

    def establish(self) -> None:
        """A confirmed call, with nothing left of how it came to be but the timers."""
        self.invite()
        call = self.call
        self.answer()
        self.ack()
        self.clear()
        self.established = call

    # a call of ours

    def dial(self, target: str = "sip:bob@198.51.100.7", offer: bytes = OFFER, **options: Any) -> Callee:
        """INVITE to `target`; the result is who gets it."""
        call, outputs = self.agent.invite(target, offer, self.now, profile=self.profile, **options)
        self.keep(outputs)
        self.calls.append(call)
        return Callee(self, call)

    def connect(self, offer: bytes = OFFER, extra: str = "") -> Callee:
        """A call of ours that was answered, with nothing left of how it came to be but the timers."""
        callee = self.dial(offer=offer)
        callee.respond(200, sdp=ANSWER, extra=extra)
        self.clear()
        return callee

    @staticmethod
    def response_to(
        request: Request, status: int, expires: str = "", sdp: bytes = b"", headers: Iterable[tuple[str, str]] = ()
    ) -> bytes:
        """A response to a request in a standing call; `expires`: Session-Expires."""
        fields = [("Contact", "<sip:ada@198.51.100.7:5062>"), *headers]
        fields += [("Session-Expires", expires)] if expires else []
        fields += [("Content-Type", "application/sdp")] if sdp else []
        return Response.to_request(request, status, None, None, fields, sdp).encode()

    @staticmethod
    def trunk(**options: Any) -> Profile:
        """A trunk that knows our password."""
        return Profile(name="trunk", credentials=Credentials("us", "secret"), **options)

    @property
    def methods(self) -> list[str]:
        """Of the requests that the agent sent, in order."""
        return [request.method for request in self.requests]

    def of(self, kind: type[Event]) -> list[Event]:
        """The events of that type, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def over(self) -> None:
        """Time passes, and nothing is left of any call; each of ours ended once."""
        self.run(self.now + 200)
        assert self.agent.held == 0
        assert self.agent.next_deadline() is None


class Callee:
    """The far end of a call of ours: `callee.respond(180)`, `callee.send("BYE")` …"""

    def __init__(self, line: Line, call: Call) -> None:
        self.line = line
        self.call = call
        self.cseq = 100

    @property
    def invite(self) -> Request:
        """The latest INVITE that the agent sent."""
        return [request for request in self.line.requests if request.method == "INVITE"][-1]

    def response(
        self,
        status: int,
        tag: str | None = "theirs",
        sdp: bytes = b"",
        rseq: int | None = None,
        extra: str = "",
        request: Request | None = None,
        contact: str = "<sip:bob@198.51.100.7:5062>",
        allow: str = "",
    ) -> bytes:
        headers = [("Contact", contact)] if 100 < status < 300 else []
        headers += [("Require", "100rel"), ("RSeq", str(rseq))] if rseq is not None else []
        headers += [("Content-Type", "application/sdp")] if sdp else []
        for line in [extra, *([f"Allow: {allow}"] if allow else [])]:
            headers += [(name, value.strip()) for name, _, value in [line.partition(":")] if name]
        to_tag = None if status == 100 else tag
        return Response.to_request(request or self.invite, status, to_tag, None, headers, sdp).encode()

    def respond(self, status: int, **options: Any) -> list[Output]:
        """To the latest INVITE, or to `request`."""
        return self.line.receive(self.response(status, **options))

    def ok(self, method: str, status: int = 200, **options: Any) -> list[Output]:
        """To the latest request with that method."""
        request = [one for one in self.line.requests if one.method == method][-1]
        return self.respond(status, request=request, **options)

    def request(
        self,
        method: str,
        tag: str = "theirs",
        body: bytes = b"",
        extra: str = "",
        cseq: int | None = None,
        branch: str | None = None,
        contact: str = "<sip:bob@198.51.100.7:5062>",
    ) -> bytes:
        if cseq is None:
            self.cseq += method not in ("ACK", "CANCEL")
            cseq = self.cseq
        dialog = self.call.dialog
        lines = [
            f"{method} sip:192.0.2.1:5060 SIP/2.0",
            f"Via: SIP/2.0/UDP 198.51.100.7:5060;branch={branch or f'z9hG4bKb{method}{cseq}'};rport",
            "Max-Forwards: 70",
            f"From: <sip:bob@198.51.100.7>;tag={tag}",
            f"To: <sip:us@192.0.2.1>;tag={dialog.local_tag}",
            f"Call-ID: {dialog.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: {contact}",
            *(["Content-Type: application/sdp"] if body else []),
            *([extra] if extra else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def send(self, method: str, **options: Any) -> list[Output]:
        return self.line.receive(self.request(method, **options))


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture(scope="session")
def new_line() -> type[Line]:
    """For Hypothesis, which wants a fresh one an example."""
    return Line


@pytest.fixture(scope="session")
def sdp_offer() -> bytes:
    return OFFER


@pytest.fixture(scope="session")
def sdp_answer() -> bytes:
    return ANSWER
