"""A caller on a bad line: a whole media session in virtual time, behind the impairments of the bench."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from bench.mediaload.keypad import Keypad
from evals.caller.impairment import Impairment, Network
from services.common.media.frame import CONCEALED, DISCONTINUITY, AudioFrame
from services.gateway.codecs.g711 import PCMU as MU_LAW
from services.gateway.dtmf import Digit
from services.gateway.media import MediaSession
from services.gateway.person_call import PersonCall
from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated
from services.gateway.sip.sdp import Codec, Direction
from services.gateway.udp import Address

PCMU, PCMA, KEYS = Codec(0, "PCMU", 8000), Codec(8, "PCMA", 8000), Codec(101, "TELEPHONE-EVENT", 8000)
NOISE = Codec(13, "CN", 8000)
PHONE = ("192.0.2.1", 4000)
SLOT_US = 20_000
FIRST_US = 5_000
"""When the first packet is sent: between two ticks, as nearly all are."""


class Wire:
    """A UdpPort without a network."""

    port = 20000

    def listen(self, on_datagram: object) -> None:
        self.receive = on_datagram

    def send(self, data: bytes, destination: Address) -> bool:
        return True

    def companion(self) -> None:
        return None

    def close(self) -> None: ...


@dataclass(slots=True)
class Ear:
    """What a recogniser would get: the bus frames, each with the time at which it was handed out."""

    clock: object
    frames: list[AudioFrame] = field(default_factory=list)
    handed_us: list[int] = field(default_factory=list)
    digits: list[Digit] = field(default_factory=list)

    def heard(self, frame: AudioFrame) -> None:
        self.frames.append(frame)
        self.handed_us.append(self.clock())  # type: ignore[operator]

    def frame(self) -> bytes:
        return bytes(320)


def payload(number: int) -> bytes:
    """20 ms that no other packet has: its number is at the end, for behind a concealed frame the beginning is faded."""
    return b"\x31" * 157 + bytes((1 + number % 100, 1 + number // 100 % 100, 1 + number // 10_000))


def mark(number: int) -> bytes:
    """The end of its sound."""
    return MU_LAW.decode(payload(number))[-6:]


@dataclass(slots=True)
class Said:
    """One packet of the caller's: when it is sent, and what it is."""

    at_us: int
    packet: RtpPacket
    number: int | None = None
    """Of its sound; None for keys and noise."""


def speech(packets: int, *, slot_us: float = SLOT_US, first: int = 0, ssrc: int = 9) -> list[Said]:
    """Audio, a packet each `slot_us` of our clock: 20,004 is a caller whose clock is 200 ppm slow."""
    return [
        Said(
            FIRST_US + round(number * slot_us),
            RtpPacket(0, number & 0xFFFF, 160 * number & 0xFFFFFFFF, ssrc, payload(number)),
            number,
        )
        for number in range(first, first + packets)
    ]


def with_keys(keys: str, said: list[Said], from_packet: int = 50) -> list[Said]:
    """Keys in place of the audio from there on, as the bench presses them; `said` must be long enough."""
    keypad = Keypad(keys)
    for one in said[from_packet:]:
        event = keypad.step()
        if event is not None:
            packet = one.packet
            timestamp = (packet.timestamp - 160 * event.began_frames_ago) & 0xFFFFFFFF
            one.packet = RtpPacket(101, packet.sequence, timestamp, packet.ssrc, event.payload, event.marker)
            one.number = None
        elif keypad.done:
            break
    assert keypad.done, "the call is too short for the keys"
    return said


@dataclass(slots=True)
class Arrivals:
    """What the network made of it: (arrival, datagram, number of the packet among those said)."""

    came: list[tuple[int, bytes, int]]
    sent: int

    @property
    def lost(self) -> set[int]:
        return set(range(self.sent)) - {number for _, _, number in self.came}

    @property
    def steps_ms(self) -> list[float]:
        """RFC 3550 A.8: by how much each packet's transit differs from that of the packet that came before it."""
        transits = [(at_us - RtpPacket.parse(data).timestamp * 125) / 1000 for at_us, data, _ in self.came]
        return [abs(after - before) for before, after in pairwise(transits)]


def over(network: Network, said: Sequence[Said], seed: int, calm: int = 50) -> Arrivals:
    """The packets on such a network. The first and the last `calm` ones come through: what is lost before the first
    that comes, or behind the last, nobody can know of."""
    impairment = Impairment(network, seed)
    came: list[tuple[int, bytes, int]] = []
    for number, one in enumerate(said):
        data = one.packet.pack()
        copies = impairment.packet(data)
        if number < calm or number >= len(said) - calm:
            copies = [(data, network.delay)]
        came += [(one.at_us + round(delay_ms * 1000), copy, number) for copy, delay_ms in copies]
    return Arrivals(sorted(came), len(said))


class ImpairedCall:
    """A MediaSession whose caller is on that line; `play` runs it to the end and half a second beyond."""

    def __init__(self, formats: tuple[Codec, ...] = (PCMU, KEYS, NOISE, PCMA)) -> None:
        self.now_us = 0
        self.ear = Ear(lambda: self.now_us)
        self.voice = PersonCall(8000, self.ear.digits.append)
        self.voice.join(self.ear)
        self.wire = Wire()
        self.timeouts: list[str] = []
        self.media = MediaSession(
            self.wire,  # type: ignore[arg-type]
            self.voice,
            0,
            30_000_000,
            self.timeouts.append,
            clock=lambda: self.now_us,
        )
        self.media.start()
        self.media.negotiated(Negotiated(PCMU, KEYS, formats, PHONE, Direction.SENDRECV))

    def play(self, came: Iterable[tuple[int, bytes, int]], until_us: int | None = None) -> None:
        waiting = list(came)
        heapq.heapify(waiting)
        tick_us = self.now_us + SLOT_US
        end_us = until_us or (max((at_us for at_us, _, _ in waiting), default=0) + 500_000)
        while waiting or tick_us <= end_us:
            if waiting and waiting[0][0] < tick_us:
                at_us, data, _ = heapq.heappop(waiting)
                self.now_us = max(self.now_us, at_us)
                self.wire.receive(data, PHONE)  # type: ignore[operator]
            else:
                self.now_us = tick_us
                self.media.tick(1)
                tick_us += SLOT_US

    def heard(self, said: Sequence[Said]) -> list[int]:
        """Which of the packets the recogniser got as they were, in the order of its frames."""
        numbers = {mark(one.number): at for at, one in enumerate(said) if one.number is not None}
        found = (numbers.get(one.samples[-6:]) for one in self.ear.frames if not one.flags & CONCEALED)
        return [number for number in found if number is not None]

    @property
    def keys(self) -> str:
        return "".join(one.digit for one in self.ear.digits)

    @property
    def holes(self) -> int:
        return sum(bool(one.flags & DISCONTINUITY) for one in self.ear.frames)


def loss_and_burst_ratio(lost: set[int], of: int) -> tuple[float, float]:
    """In per cent, and BurstR (ITU-T G.107 §3.5): the mean run of losses over 1 / (1 - p), that of random loss."""
    if not lost:
        return 0.0, 1.0
    share = len(lost) / of
    runs = sum(1 for gone, _ in groupby(range(of), key=lambda at: at in lost) if gone)
    return 100 * share, len(lost) / runs * (1 - share)
