"""The caller's SIP telephone: one UAC, one call, over UDP (RFC 3261). Pure: datagrams and times in, datagrams out.

Times are seconds of any one monotonic clock. After each call of a method send what `take()` gives; call `tick` when
`next_at` has come. Read how the call stands from the attributes.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from evals.caller import transferee
from evals.caller.message import Header, Message, MessageError, host_port, parameter, parse, uri
from evals.caller.transferee import REASONS, Refer, TransferPlan

T1, T2 = 0.5, 4.0
TIMEOUT = 64 * T1
ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, REFER, NOTIFY, INFO, UPDATE"
Address = tuple[str, int]


class State(Enum):
    """Where the call stands. ENDING: our BYE or CANCEL is out and not yet answered."""

    IDLE = "idle"
    CALLING = "calling"
    TALKING = "talking"
    ENDING = "ending"
    ENDED = "ended"


@dataclass(slots=True)
class _Sent:
    """A request (or a 2xx to a re-INVITE) that is repeated until it is answered: timers A/E and B/F, figures 5, 6."""

    data: bytes
    to: Address
    method: str
    cap: float
    next_at: float
    give_up_at: float
    interval: float = T1


@dataclass(slots=True)
class Telephone:
    """One call to `target` from `local`.

    `offer`: SDP of the INVITE. `answer`: gives the SDP that answers a re-offer ("" = the far end sent no SDP and wants
    an offer), raises ValueError for 488; it is also told every SDP answer by `described`.
    """

    target: str
    local: Address
    number: str
    offer: str
    answer: Callable[[str], str]
    described: Callable[[str], None]
    plan: TransferPlan
    rng: random.Random
    state: State = State.IDLE
    invited_at: float | None = None
    rang_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    status: int = 0
    reason: str = ""
    ended_by: str = ""
    refers: list[Refer] = field(default_factory=list)
    _out: list[tuple[bytes, Address]] = field(default_factory=list)
    _sent: dict[str, _Sent] = field(default_factory=dict)
    _answered: dict[str, tuple[bytes, Address]] = field(default_factory=dict)
    _next_hop: Address = ("", 0)
    call_id: str = ""
    _from_tag: str = ""
    _invite: Message = field(default_factory=Message)
    _ack: tuple[bytes, Address] | None = None
    _to: str = ""
    _remote_target: str = ""
    _route: list[str] = field(default_factory=list)
    _cseq: int = 1
    _hang_up_wanted: bool = False

    def dial(self, now: float) -> None:
        """Send the INVITE. Raises MessageError for a target that is no SIP URI."""
        self._next_hop = host_port(self.target)
        self.call_id, self._from_tag = self._token(16), self._token(8)
        self._to, self._remote_target = f"<{self.target}>", self.target
        body = [("Allow", ALLOW), ("Content-Type", "application/sdp")]
        self._invite = self._request("INVITE", self._cseq, body, self.offer)
        self.state, self.invited_at = State.CALLING, now
        self._transmit(self._invite, now, cap=TIMEOUT)

    def hang_up(self, now: float) -> None:
        """BYE, or CANCEL while it rings (RFC 3261 §9.1: once a provisional response has come)."""
        if self.state is State.TALKING:
            self.state, self.ended_by = State.ENDING, self.ended_by or "caller"
            self._sent.clear()
            self._in_dialog("BYE", [], "", now)
        elif self.state is State.CALLING and not self._hang_up_wanted:
            self._hang_up_wanted = True
            if self.status >= 100:
                self._cancel(now)
            else:  # a CANCEL must wait for a provisional response; don't wait for ever
                self._sent[self._key(self._invite)].give_up_at = now + 2 * T1

    def take(self) -> list[tuple[bytes, Address]]:
        """The datagrams to send now, and where to; each is given once."""
        out, self._out = self._out, []
        return out

    @property
    def next_at(self) -> float:
        """When `tick` is due next."""
        times = [one.next_at for one in self._sent.values()]
        times += [refer.next_at for refer in self.refers if refer.pending]
        return min(times, default=float("inf"))

    def tick(self, now: float) -> None:
        """Repeat what was not answered, give up where the time is over, report on transfers."""
        for key, sent in list(self._sent.items()):
            if now >= sent.give_up_at:
                del self._sent[key]
                if sent.method in ("INVITE", "BYE", "CANCEL"):
                    self.status = self.status or 408
                    self._end(now, self.ended_by or ("caller" if self._hang_up_wanted else "nobody"))
            elif now >= sent.next_at:
                self._out.append((sent.data, sent.to))
                sent.interval = min(sent.interval * 2, sent.cap)
                sent.next_at = now + sent.interval
        for refer in self.refers:
            if self.state is State.TALKING and (report := transferee.due(refer, self.plan, now)):
                self._in_dialog("NOTIFY", report[0], report[1], now)

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take a datagram. What is not SIP, or not of this call, is dropped or refused."""
        try:
            message = parse(data)
        except MessageError:
            return
        if message.status:
            self._response(message, now)
        else:
            self._incoming(message, source, now)

    # Responses

    def _response(self, message: Message, now: float) -> None:
        method = message.cseq[1]
        if message.get("call-id") != self.call_id:
            return
        if method == "INVITE":
            self._invite_response(message, now)
        elif message.status >= 200 and self._key(message) in self._sent:
            del self._sent[self._key(message)]
            if method == "BYE":
                self._end(now, self.ended_by)

    def _invite_response(self, message: Message, now: float) -> None:
        sent = self._sent.get(self._key(self._invite))
        if message.status < 200:
            if sent:  # figure 5, Proceeding: no more repeats, no timer B
                sent.next_at = sent.give_up_at = float("inf")
            self.status = self.status or message.status
            if message.status > 100 and self.rang_at is None:
                self.rang_at = now
            if self._hang_up_wanted and self.state is State.CALLING:
                self._cancel(now)
            return
        self._sent.pop(self._key(self._invite), None)
        if message.status < 300:
            self._success(message, now)
            return
        # §17.1.1.3: the ACK of a failure belongs to the INVITE's transaction: its branch, its URI.
        headers = [(key, value) for key, value in self._invite.headers if key in ("Via", "Max-Forwards", "From")]
        headers += [("To", message.get("to")), ("Call-ID", self.call_id), ("CSeq", f"{message.cseq[0]} ACK")]
        ack = Message(method="ACK", uri=self.target, headers=headers)
        self._out.append((ack.encode(), self._next_hop))
        if self.state is not State.ENDED:
            self.status, self.reason = message.status, message.reason
            self._end(now, "caller" if self._hang_up_wanted else "agent")

    def _success(self, message: Message, now: float) -> None:
        if self._ack is not None:  # §13.2.2.4: every repeated 2xx is acknowledged again
            self._out.append(self._ack)
            return
        self.answered_at, self.status, self.reason = now, message.status, message.reason
        self.rang_at = self.rang_at or now
        self._to = message.get("to")
        self._remote_target = uri(message.get("contact")) or self.target
        self._route = [one.strip() for value in message.all("record-route") for one in value.split(",")][::-1]
        self.state = State.TALKING
        ack = self._request("ACK", self._cseq, [], "")
        self._ack = (ack.encode(), self._hop())
        self._out.append(self._ack)
        try:
            self.described(message.body)
        except ValueError as problem:
            self.reason = f"the answer's SDP is of no use: {problem}"
            self.hang_up(now)
        if self._hang_up_wanted:  # the 200 crossed our CANCEL
            self.hang_up(now)

    # Requests from the far end

    def _incoming(self, request: Message, source: Address, now: float) -> None:
        key = self._key(request)
        if key in self._answered and request.method != "ACK":
            self._out.append(self._answered[key])
            return
        ours = request.get("call-id") == self.call_id
        if request.method == "ACK":
            if self._sent.pop(f"2xx {request.cseq[0]}", None) and request.body:
                self.described(request.body)
        elif request.method == "OPTIONS":
            self._reply(request, source, 200, [("Allow", ALLOW), ("Accept", "application/sdp")])
        elif not ours or self.state in (State.IDLE, State.ENDED):
            self._reply(request, source, 481)
        elif request.method == "BYE":
            self._reply(request, source, 200)
            self._sent.clear()
            self._end(now, self.ended_by or "agent")
        elif request.method in ("INVITE", "UPDATE"):
            self._offered(request, source, now)
        elif request.method == "REFER":
            refer = transferee.take(request, self.plan, now)
            self.refers.append(refer)
            self._reply(request, source, refer.status, [("Contact", self._contact())])
        elif request.method in ("INFO", "NOTIFY"):
            self._reply(request, source, 200)
        else:
            self._reply(request, source, 405 if request.method in ALLOW else 501, [("Allow", ALLOW)])

    def _offered(self, request: Message, source: Address, now: float) -> None:
        if request.method == "UPDATE" and not request.body:
            self._reply(request, source, 200, [("Contact", self._contact())])
            return
        try:
            body = self.answer(request.body)
        except ValueError:
            self._reply(request, source, 488)
            return
        headers = [("Contact", self._contact()), ("Content-Type", "application/sdp")]
        data = self._reply(request, source, 200, headers, body)
        self._remote_target = uri(request.get("contact")) or self._remote_target
        if request.method == "INVITE":
            repeat = _Sent(data, source, "2xx", T2, now + T1, now + TIMEOUT)
            self._sent[f"2xx {request.cseq[0]}"] = repeat

    def _reply(self, request: Message, to: Address, status: int, extra: list[Header] | None = None,
               body: str = "") -> bytes:  # fmt: skip
        copied = [(name, value) for name in ("Via", "From", "Call-ID", "CSeq") for value in request.all(name.lower())]
        tag = "" if parameter(request.get("to"), "tag") else f";tag={self._from_tag or self._token(8)}"
        headers = [*copied, ("To", request.get("to") + tag), *(extra or [])]
        data = Message(status=status, reason=REASONS.get(status, "OK"), headers=headers, body=body).encode()
        self._answered[self._key(request)] = (data, to)
        self._out.append((data, to))
        return data

    # Requests of our own

    def _in_dialog(self, method: str, extra: list[Header], body: str, now: float) -> None:
        self._cseq += 1
        self._transmit(self._request(method, self._cseq, extra, body), now, cap=T2)

    def _cancel(self, now: float) -> None:
        self.state, self.ended_by = State.ENDING, "caller"
        headers = [(key, value) for key, value in self._invite.headers
                   if key in ("Via", "Max-Forwards", "From", "To", "Call-ID")]  # fmt: skip
        headers.append(("CSeq", f"{self._cseq} CANCEL"))
        cancel = Message(method="CANCEL", uri=self.target, headers=headers)
        self._transmit(cancel, now, cap=T2)

    def _transmit(self, request: Message, now: float, cap: float) -> None:
        data, to = request.encode(), self._hop()
        self._sent[self._key(request)] = _Sent(data, to, request.method, cap, now + T1, now + TIMEOUT)
        self._out.append((data, to))

    def _request(self, method: str, cseq: int, extra: list[Header], body: str) -> Message:
        host, port = self.local
        headers = [
            ("Via", f"SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK{self._token(12)}"),
            ("Max-Forwards", "70"),
            *(("Route", one) for one in self._route),
            ("From", f"<sip:{self.number}@{host}:{port}>;tag={self._from_tag}"),
            ("To", self._to),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
            ("Contact", self._contact()),
            ("User-Agent", "tandem-caller"),
            *extra,
        ]
        return Message(method=method, uri=self._remote_target, headers=headers, body=body)

    def _hop(self) -> Address:
        """Where requests go: the first Route (§12.2.1.1, loose routing) or the remote target."""
        if self.state in (State.IDLE, State.CALLING) or self.answered_at is None:
            return self._next_hop
        return host_port(uri(self._route[0]) if self._route else self._remote_target)

    @staticmethod
    def _key(message: Message) -> str:
        """§17.1.3: a transaction is its branch and method; CANCEL shares the branch of its INVITE."""
        return f"{message.branch} {message.cseq[1]}"

    def _contact(self) -> str:
        return f"<sip:{self.number}@{self.local[0]}:{self.local[1]}>"

    def _token(self, length: int) -> str:
        return f"{self.rng.getrandbits(length * 4):0{length}x}"

    def _end(self, now: float, by: str) -> None:
        if self.state is not State.ENDED:
            self.state, self.ended_at, self.ended_by = State.ENDED, now, by
            self._sent.clear()
