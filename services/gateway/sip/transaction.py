"""The four transaction machines of RFC 3261 §17, with the Accepted state of RFC 6026.

Each class reads beside its figure: one method an input, one `if` a transition. A machine gets messages and timer
expiries with their time (seconds) and gives actions back. A timer is never cancelled: one that expires in a
state that no longer knows it does nothing. Over a reliable transport nothing is sent twice (timers A, E, G), and what
waits for repetitions from the network (D, I, J, K) is over at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from services.gateway.sip.header import Headers
from services.gateway.sip.message import Request, Response


@dataclass(frozen=True, slots=True)
class Timers:
    """RFC 3261 table 4, in seconds."""

    t1: float = 0.5
    """Round-trip time estimate."""
    t2: float = 4.0
    """Longest interval between retransmissions."""
    t4: float = 5.0
    """How long a message stays in the network."""

    @property
    def timeout(self) -> float:
        """64*T1: timers B, D, F, H, J, L, M."""
        return 64 * self.t1


class State(Enum):
    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Encoded:
    """What is left of a response that was sent: a transaction that only waits for repetitions need not hold more."""

    data: bytes

    def encode(self) -> bytes:
        return self.data


@dataclass(frozen=True, slots=True)
class Transmit:
    """Give the message to the transport."""

    message: Request | Response | Encoded


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give the message to the transaction user."""

    message: Request | Response


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Call `expire(name, now)` at `at`. `name` is the letter in the RFC."""

    name: str
    at: float


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Tell the transaction user that the peer did not answer (timer B, F) or acknowledge (H)."""


@dataclass(frozen=True, slots=True)
class Terminated:
    """Forget the transaction."""


Action = Transmit | Deliver | SetTimer | TimedOut | Terminated


_CHALLENGES = (401, 407)


class InviteServerTransaction:
    """Figure 7, with RFC 6026 figure 5 for 2xx."""

    __slots__ = ("_interval_g", "_last", "_timers", "reliable", "state")

    def __init__(self, timers: Timers, reliable: bool = False) -> None:
        self.reliable = reliable
        self.state = State.PROCEEDING
        self._timers = timers
        self._last: Response | Encoded | None = None
        self._interval_g = timers.t1

    def receive(self, request: Request, now: float) -> list[Action]:
        """INVITE (again) or ACK."""
        if request.method == "INVITE":
            # In Accepted it is absorbed: the transaction user repeats the 2xx (RFC 6026 §7.1).
            if self.state in (State.PROCEEDING, State.COMPLETED) and self._last is not None:
                return [Transmit(self._last)]
        elif request.method == "ACK":
            if self.state is State.COMPLETED:
                if self.reliable:
                    return self._terminate()
                self.state = State.CONFIRMED
                return [SetTimer("I", now + self._timers.t4)]
            if self.state is State.ACCEPTED:
                return [Deliver(request)]
        return []

    def respond(self, response: Response, now: float) -> list[Action]:
        """A response from the transaction user; in Accepted, the repeated 2xx.

        A challenge is not repeated by itself (RFC 3261 §26.3.2.4): whoever forges his address would have eleven sent
        for one. One that was lost goes out again when the INVITE comes again.
        """
        if self.state is State.ACCEPTED and 200 <= response.status < 300:
            return [Transmit(response)]
        if self.state is not State.PROCEEDING:
            return []
        self._last = response
        if response.status < 200:
            return [Transmit(response)]
        if response.status < 300:
            self.state = State.ACCEPTED
            self._last = None
            return [Transmit(response), SetTimer("L", now + self._timers.timeout)]
        self.state = State.COMPLETED
        self._last = Encoded(response.encode())
        once = self.reliable or response.status in _CHALLENGES
        timers: list[Action] = [] if once else [SetTimer("G", now + self._interval_g)]
        return [Transmit(response), *timers, SetTimer("H", now + self._timers.timeout)]

    def expire(self, timer: str, now: float) -> list[Action]:
        if timer == "G" and self.state is State.COMPLETED and self._last is not None:
            self._interval_g = min(2 * self._interval_g, self._timers.t2)
            return [Transmit(self._last), SetTimer("G", now + self._interval_g)]
        if timer == "H" and self.state is State.COMPLETED:
            self.state = State.TERMINATED
            return [TimedOut(), Terminated()]
        if (timer == "I" and self.state is State.CONFIRMED) or (timer == "L" and self.state is State.ACCEPTED):
            return self._terminate()
        return []

    def _terminate(self) -> list[Action]:
        self.state = State.TERMINATED
        return [Terminated()]


class NonInviteServerTransaction:
    """Figure 8."""

    __slots__ = ("_last", "_timers", "reliable", "state")

    def __init__(self, timers: Timers, reliable: bool = False) -> None:
        self.reliable = reliable
        self.state = State.TRYING
        self._timers = timers
        self._last: Response | Encoded | None = None

    def receive(self, request: Request, now: float) -> list[Action]:
        """The request again."""
        if self.state in (State.PROCEEDING, State.COMPLETED) and self._last is not None:
            return [Transmit(self._last)]
        return []

    def respond(self, response: Response, now: float) -> list[Action]:
        if self.state not in (State.TRYING, State.PROCEEDING):
            return []
        self._last = response
        if response.status < 200:
            self.state = State.PROCEEDING
            return [Transmit(response)]
        if self.reliable:
            self.state = State.TERMINATED
            return [Transmit(response), Terminated()]
        self.state = State.COMPLETED
        self._last = Encoded(response.encode())
        return [Transmit(self._last), SetTimer("J", now + self._timers.timeout)]

    def expire(self, timer: str, now: float) -> list[Action]:
        if timer == "J" and self.state is State.COMPLETED:
            self.state = State.TERMINATED
            return [Terminated()]
        return []


class InviteClientTransaction:
    """Figure 5, with RFC 6026 figure 6 for 2xx. The ACK to a 2xx belongs to the transaction user."""

    def __init__(self, request: Request, timers: Timers, reliable: bool = False) -> None:
        self.request = request
        self.reliable = reliable
        self.state = State.CALLING
        self._timers = timers
        self._interval_a = timers.t1
        self._ack: Request | None = None

    def start(self, now: float) -> list[Action]:
        timers: list[Action] = [] if self.reliable else [SetTimer("A", now + self._interval_a)]
        return [Transmit(self.request), *timers, SetTimer("B", now + self._timers.timeout)]

    def receive(self, response: Response, now: float) -> list[Action]:
        if self.state in (State.CALLING, State.PROCEEDING):
            if response.status < 200:
                self.state = State.PROCEEDING
                return [Deliver(response)]
            if response.status < 300:
                self.state = State.ACCEPTED
                return [Deliver(response), SetTimer("M", now + self._timers.timeout)]
            self._ack = self._build_ack(response)
            if self.reliable:
                self.state = State.TERMINATED
                return [Transmit(self._ack), Deliver(response), Terminated()]
            self.state = State.COMPLETED
            return [Transmit(self._ack), Deliver(response), SetTimer("D", now + self._timers.timeout)]
        if self.state is State.COMPLETED and response.status >= 300 and self._ack is not None:
            return [Transmit(self._ack)]
        if self.state is State.ACCEPTED and 200 <= response.status < 300:
            # Another branch of a fork, or the same 2xx again: both want an ACK.
            return [Deliver(response)]
        return []

    def expire(self, timer: str, now: float) -> list[Action]:
        if timer == "A" and self.state is State.CALLING:
            self._interval_a *= 2
            return [Transmit(self.request), SetTimer("A", now + self._interval_a)]
        if timer == "B" and self.state is State.CALLING:
            self.state = State.TERMINATED
            return [TimedOut(), Terminated()]
        if (timer == "D" and self.state is State.COMPLETED) or (timer == "M" and self.state is State.ACCEPTED):
            self.state = State.TERMINATED
            return [Terminated()]
        return []

    def unreachable(self) -> list[Action]:
        """The transport could not send (§17.1.4)."""
        if self.state not in (State.CALLING, State.PROCEEDING):
            return []
        self.state = State.TERMINATED
        return [TimedOut(), Terminated()]

    def _build_ack(self, response: Response) -> Request:
        """§17.1.1.3: the INVITE's Request-URI, top Via, Route, From, Call-ID and CSeq number; the response's To."""
        invite = self.request
        headers = Headers([("Via", invite.vias[0]), ("Max-Forwards", "70")])
        for name in ("Route", "From"):
            for value in invite.headers.all(name):
                headers.add(name, value)
        headers.add("To", response.headers.get("To") or "")
        headers.add("Call-ID", invite.call_id)
        headers.add("CSeq", f"{invite.cseq.number} ACK")
        return Request("ACK", invite.uri, headers)


class NonInviteClientTransaction:
    """Figure 6."""

    def __init__(self, request: Request, timers: Timers, reliable: bool = False) -> None:
        self.request = request
        self.reliable = reliable
        self.state = State.TRYING
        self._timers = timers
        self._interval_e = timers.t1

    def start(self, now: float) -> list[Action]:
        timers: list[Action] = [] if self.reliable else [SetTimer("E", now + self._interval_e)]
        return [Transmit(self.request), *timers, SetTimer("F", now + self._timers.timeout)]

    def receive(self, response: Response, now: float) -> list[Action]:
        if self.state not in (State.TRYING, State.PROCEEDING):
            return []
        if response.status < 200:
            self.state = State.PROCEEDING
            return [Deliver(response)]
        if self.reliable:
            self.state = State.TERMINATED
            return [Deliver(response), Terminated()]
        self.state = State.COMPLETED
        return [Deliver(response), SetTimer("K", now + self._timers.t4)]

    def expire(self, timer: str, now: float) -> list[Action]:
        if timer == "E" and self.state in (State.TRYING, State.PROCEEDING):
            in_trying = self.state is State.TRYING
            self._interval_e = min(2 * self._interval_e, self._timers.t2) if in_trying else self._timers.t2
            return [Transmit(self.request), SetTimer("E", now + self._interval_e)]
        if timer == "F" and self.state in (State.TRYING, State.PROCEEDING):
            self.state = State.TERMINATED
            return [TimedOut(), Terminated()]
        if timer == "K" and self.state is State.COMPLETED:
            self.state = State.TERMINATED
            return [Terminated()]
        return []

    def unreachable(self) -> list[Action]:
        """The transport could not send (§17.1.4)."""
        if self.state not in (State.TRYING, State.PROCEEDING):
            return []
        self.state = State.TERMINATED
        return [TimedOut(), Terminated()]


ServerTransaction = InviteServerTransaction | NonInviteServerTransaction
ClientTransaction = InviteClientTransaction | NonInviteClientTransaction
