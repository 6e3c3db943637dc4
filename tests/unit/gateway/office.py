"""A switchboard on a clock of its own, and a carrier at the other end of a perfect wire: no sockets, no waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any, TypeVar

from opentelemetry.context import Context

from services.common.media.frame import AudioFrame
from services.gateway.access import Trunks
from services.gateway.caller_stream import CallerStream
from services.gateway.profiles import profile_of
from services.gateway.rtp_port import NoPortFree
from services.gateway.settings import GatewaySettings
from services.gateway.signalling import Signalling
from services.gateway.sip.call import Call
from services.gateway.sip.events import CallEnded, IncomingCall, LookUp, Output
from services.gateway.sip.profile import Profile
from services.gateway.sip.reliable import OneHundredRel
from services.gateway.sip.targets import NoTarget, Target
from services.gateway.sip.transport import Flow, Send, Transport
from services.gateway.sip.useragent import UserAgent
from services.gateway.switchboard import Switchboard
from tandem.v1 import gateway_pb2 as pb

Event = TypeVar("Event")
OURS, THEIRS = ("127.0.0.1", 5060), ("127.0.0.1", 5070)
PROXY = "sip:127.0.0.1:5070"


def sdp(port: int = 4000, host: str = "127.0.0.1") -> bytes:
    version = 6 if ":" in host else 4
    return (
        f"v=0\r\no=- 1 1 IN IP{version} {host}\r\ns=-\r\nc=IN IP{version} {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0 8\r\n"
    ).encode()


@dataclass(eq=False)
class Timer:
    at: float
    action: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """Stands in for the event loop's timers."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []

    def call_later(self, delay_s: float, action: Callable[..., None], *args: Any) -> Timer:
        timer = Timer(self.now + delay_s, lambda: action(*args))
        self.timers.append(timer)
        return timer

    def create_task(self, work: Any, **options: Any) -> Any:
        return asyncio.get_running_loop().create_task(work, **options)

    def create_future(self) -> Any:
        return asyncio.get_running_loop().create_future()

    @property
    def armed(self) -> list[Timer]:
        return [one for one in self.timers if not one.cancelled]

    def due(self, until: float) -> Timer | None:
        """Takes the next one."""
        waiting = [one for one in self.armed if one.at <= until]
        if not waiting:
            return None
        first = min(waiting, key=lambda one: one.at)
        self.timers.remove(first)
        self.now = max(self.now, first.at)
        return first


class Port:
    """An RTP port without a socket."""

    def __init__(self, port: int, version: int) -> None:
        self.port, self.version = port, version
        self.open = True
        self.sent: list[tuple[bytes, tuple[str, int]]] = []

    def listen(self, on_datagram: Any) -> None:
        self.on_datagram = on_datagram

    def send(self, data: bytes, destination: tuple[str, int]) -> bool:
        assert self.open
        self.sent.append((data, destination))
        return True

    def companion(self) -> None:
        return None

    def close(self) -> None:
        self.open = False


class Ports:
    def __init__(self, host: str, first: int, last: int, dscp: int = 0) -> None:
        self.version = 6 if ":" in host else 4
        self.opened: list[Port] = []
        self.full = False

    def open(self) -> Port:
        if self.full:
            raise NoPortFree("no free RTP port")
        self.opened.append(Port(20000 + 2 * len(self.opened), self.version))
        return self.opened[-1]


class Ticks:
    def __init__(self) -> None:
        self.listeners: dict[Any, Callable[[], None]] = {}

    def add(self, listener: Any, on_failure: Callable[[], None]) -> None:
        self.listeners[listener] = on_failure

    def remove(self, listener: Any) -> None:
        self.listeners.pop(listener, None)

    def tick(self) -> None:
        for listener in list(self.listeners):
            listener(1)

    def fail(self) -> None:
        """Every listener raises: as Ticker, it is removed, and told."""
        for listener, on_failure in list(self.listeners.items()):
            self.remove(listener)
            on_failure()


class Agent:
    """The agent's side of a call."""

    def __init__(self, facts: Any, traceparent: str, clock: Any, hang_up: Any) -> None:
        self.facts, self.clock, self.hang_up = facts, clock, hang_up
        self.holds: list[bool] = []
        self.ends: list[tuple[bool, str]] = []
        self.keys: list[str] = []
        self.stream = CallerStream(facts.audio.sample_rate_hz)
        self.leg: Any = None
        self.heeded = True
        self.changes: list[Any] = []
        self.speech: Callable[[], bytes | None] = lambda: None
        self.bus = SimpleNamespace(unsent=0)
        self.line = SimpleNamespace(echo_frames=0)
        self.playout = SimpleNamespace(dropped_frames=0)
        self.dialogue = SimpleNamespace(reopened=0)

    async def run(self) -> None:
        pass

    def ended(self, by_caller: bool, reason: str) -> None:
        self.ends.append((by_caller, reason))

    def held(self, on_hold: bool) -> None:
        self.holds.append(on_hold)

    def pressed(self, key: Any) -> None:
        self.keys.append(key.digit)

    def join(self, leg: Any, heeded: bool = True) -> None:
        self.leg, self.heeded = leg, heeded

    def bridge_changed(self, change: Any) -> None:
        self.changes.append(change)

    def next_speech(self, now_us: int) -> bytes | None:
        return self.speech()

    def negotiated(self, media: Any) -> None:
        self.stream.negotiated(media.formats)

    def heard(self, packet: Any, now_us: int) -> None:
        for one in self.stream.packet(packet, now_us):
            if self.leg is not None and isinstance(one, AudioFrame):
                self.leg.heard(one)

    def slot(self, now_us: int) -> None:
        pass

    def speak(self, now_us: int) -> bytes | None:
        return self.next_speech(now_us) if self.leg is None else self.leg.frame()

    def sent(self) -> None:
        pass


class Names:
    """The resolver: what is not there is not known."""

    def __init__(self) -> None:
        self.hosts: dict[str, Flow] = {}
        self.broken = False

    async def targets(self, uri: str) -> list[Target]:
        if self.broken:
            raise RuntimeError("a defect")
        for host, flow in self.hosts.items():
            if host in uri:
                return [Target(flow, host)]
        raise NoTarget(f"{uri} is not known")

    async def close(self) -> None:
        pass


@dataclass
class Carrier:
    """The other side: a user agent that does what the test says. Read `events`."""

    office: Office
    profile: Profile = field(default_factory=lambda: Profile(one_hundred_rel=OneHundredRel.OFF))
    events: list[Output] = field(default_factory=list)
    deaf: bool = False

    def __post_init__(self) -> None:
        ids = count(1)
        self.agent = UserAgent({(Transport.UDP, 4): [THEIRS]}, ids=lambda: f"c{next(ids)}")

    def do(self, outputs: Iterable[Output]) -> None:
        for one in outputs:
            if isinstance(one, Send):
                self.office.to_gateway.append((one.data, Flow(Transport.UDP, THEIRS)))
            else:
                assert not isinstance(one, LookUp)
                self.events.append(one)
                if isinstance(one, IncomingCall):
                    self.do(self.agent.trying(one.call, self.office.clock.now))
        self.office.settle()

    def invite(self, user: str = "echo", offer: bytes | None = None, headers: Iterable[tuple[str, str]] = ()) -> Call:
        call, outputs = self.agent.invite(
            f"sip:{user}@127.0.0.1:5060",
            sdp() if offer is None else offer,
            self.office.clock.now,
            caller=("+4930555", "Ada"),
            profile=self.profile,
            headers=headers,
        )
        self.do(outputs)
        return call

    def answer(self, call: Call, port: int = 4100) -> None:
        self.do(self.agent.answer(call, sdp(port), self.office.clock.now))

    def bye(self, call: Call) -> None:
        self.do(self.agent.bye(call, self.office.clock.now))

    def of(self, kind: type[Event]) -> list[Event]:
        return [one for one in self.events if isinstance(one, kind)]

    @property
    def called(self) -> list[Call]:
        """The calls that came from the gateway."""
        return [one.call for one in self.of(IncomingCall)]

    def ended(self, call: Call) -> CallEnded | None:
        return next((one for one in self.of(CallEnded) if one.call is call), None)


class Office:
    """A gateway and its carrier."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.ticks = Ticks()
        self.names = Names()
        self.agents: list[Agent] = []
        self.to_gateway: deque[tuple[bytes, Flow]] = deque()
        self.to_carrier: deque[tuple[bytes, Flow]] = deque()
        self.wire: list[tuple[bytes, Flow]] = []
        """All that the gateway sent."""
        self.local = {(Transport.UDP, 4): [OURS]}
        given = {
            "sip_address": "127.0.0.1:5060",
            "trunks": [trunk()],
            "routes": [{"called": "front_desk", "agent": "front_desk"}],
            **settings,
        }
        self.settings = GatewaySettings.model_validate(given)
        trunks = Trunks(self.settings)
        profiles = {one.name: profile_of(one.settings, b"secret") for one in trunks}
        self.signalling = Signalling(self.settings, self, trunks, profiles, self.names)  # type: ignore[arg-type]
        self.signalling.now = lambda: self.clock.now  # type: ignore[method-assign]
        self.board = Switchboard(self.settings, self.signalling, self.ticks, self._agent)  # type: ignore[arg-type]
        self.board.bridges.clock = lambda: round(self.clock.now * 1e6)
        self.board.start()
        self.carrier = Carrier(self)

    def _agent(self, *args: Any) -> Any:
        self.agents.append(Agent(*args))
        return self.agents[-1]

    # SipTransport

    def start(self, on_message: Any, on_unsent: Any) -> None:
        self.on_message = on_message

    def locals(self) -> Any:
        return self.local

    def send(self, data: bytes, flow: Flow, server_name: str | None = None) -> None:
        self.wire.append((data, flow))
        self.to_carrier.append((data, flow))

    async def close(self) -> None:
        pass

    # The wire and the clock

    def settle(self) -> None:
        for _ in range(1000):
            if self.to_gateway:
                self.on_message(*self.to_gateway.popleft())
            elif self.to_carrier:
                data, _flow = self.to_carrier.popleft()
                if not self.carrier.deaf:
                    flow = Flow(Transport.UDP, OURS)
                    self.carrier.do(self.carrier.agent.receive(data, flow, self.clock.now, self.carrier.profile))
            else:
                return
        raise AssertionError("the two talk without end")

    def run(self, seconds: float) -> None:
        until = self.clock.now + seconds
        for _ in range(10_000):
            theirs = self.carrier.agent.next_deadline()
            due = self.clock.due(min(until, theirs) if theirs is not None else until)
            if due is not None:
                due.action()
            elif theirs is not None and theirs <= until:
                self.clock.now = max(self.clock.now, theirs)
                self.carrier.do(self.carrier.agent.expire(self.clock.now))
            else:
                break
            self.settle()
        self.clock.now = until

    # What is left

    @property
    def ports(self) -> list[Port]:
        return [port for ports in self.board.media.ports.values() for port in ports.opened]  # type: ignore[attr-defined]

    def assert_clean(self) -> None:
        """Nothing of any call is held any more."""
        board = self.board
        self.run(70)  # the transactions' own timers
        assert board.admission.taken == 0
        assert [port.port for port in self.ports if port.open] == []
        assert self.ticks.listeners == {}
        assert (board.calls, board.live) == ({}, {})
        assert (board.incoming._ringing, board.outgoing._placing, board.takeovers._following) == ({}, {}, {})
        assert board.agent.held == 0
        assert [caps.running for caps in board.caps.values()] == [0] * len(board.caps)
        assert self.clock.armed == []
        assert board.quiet

    def place(self, **request: Any) -> Placed:
        placed = Placed()
        asked = pb.OriginateRequest(**{"trunk": "carrier", "to": "+4930111", "agent": "front_desk", **request})
        one = self.signalling.trunks.named("carrier")
        assert one is not None
        placed.cancel = self.board.outgoing.place(asked, one, Context(), placed.told.append)
        self.settle()
        return placed


@dataclass
class Placed:
    told: list[Any] = field(default_factory=list)
    cancel: Callable[[], None] = lambda: None

    @property
    def steps(self) -> list[str]:
        return [one.WhichOneof("progress") for one in self.told]


def trunk(**more: Any) -> dict[str, Any]:
    return {
        "name": "carrier",
        "allow": ["127.0.0.0/8"],
        "proxy": PROXY,
        "refer": "follow",
        "outbound": {
            "caller": "+4930999",
            "destinations": ["+49*"],
            "max_calls_per_minute": 60,
            "max_minutes_per_day": 10,
            "ring_timeout_s": 20,
        },
        **more,
    }
