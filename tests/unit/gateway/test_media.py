"""A call's RTP from the 200 on: silence flows, hold stops it, slots that were missed are skipped."""

from collections.abc import Callable

import pytest

from services.gateway.dtmf import DtmfReceiver, DtmfSender
from services.gateway.echo import Echo
from services.gateway.g711 import PCMU, Codec
from services.gateway.media import MediaSession, Spoken, Voice
from services.gateway.rtp import RtpPacket
from services.gateway.sip import sdp
from services.gateway.udp import Address

PHONE, ELSEWHERE, STRANGER = ("192.0.2.1", 4000), ("192.0.2.1", 4002), ("192.0.2.1", 4004)
SECOND = 1_000_000


class Wire:
    """A UdpPort without a network."""

    def __init__(self) -> None:
        self.port = 20000
        self.sent: list[tuple[RtpPacket, Address]] = []
        self.closed = False

    def listen(self, on_datagram: Callable[[bytes, Address], None]) -> None:
        self.receive = on_datagram

    def send(self, data: bytes, destination: Address) -> None:
        self.sent.append((RtpPacket.parse(data), destination))

    def close(self) -> None:
        self.closed = True


class Session:
    """An echo call at a time that the test sets."""

    def __init__(self, voice: Voice | None = None) -> None:
        self.now_us = 0
        self.wire = Wire()
        self.timeouts = 0
        self.media = MediaSession(
            self.wire,  # type: ignore[arg-type]
            voice or Echo(),
            lambda: self.now_us,
            30 * SECOND,
            self._timed_out,
        )
        self.media.start()
        self.negotiate()

    def _timed_out(self) -> None:
        self.timeouts += 1

    def negotiate(self, direction: sdp.Direction = sdp.Direction.SENDRECV, remote: Address | None = PHONE) -> bool:
        codec = sdp.Codec(0, "PCMU", 8000)
        return self.media.negotiated(sdp.Negotiated(codec, None, remote, direction, None), PCMU)

    def tick(self, slots: int = 1) -> None:
        self.now_us += 20_000 * slots
        self.media.tick(slots)

    def receive(self, packet: RtpPacket, source: Address = PHONE) -> None:
        self.wire.receive(packet.pack(), source)


def test_silence_flows_to_the_sdp_address() -> None:
    session = Session()
    for _ in range(3):
        session.tick()
    assert [(packet.payload, to) for packet, to in session.wire.sent] == [(b"\xff" * 160, PHONE)] * 3
    assert [packet.marker for packet, _ in session.wire.sent] == [True, False, False]


def test_missed_slots_are_skipped_in_time_and_not_made_up() -> None:
    session = Session()
    for slots in (1, 3, 1):
        session.tick(slots)
    (first, _), (second, _), (third, _) = session.wire.sent
    assert [(one.sequence - first.sequence) & 0xFFFF for one in (second, third)] == [1, 2]
    assert [(one.timestamp - first.timestamp) & 0xFFFFFFFF for one in (second, third)] == [480, 640]


def test_echo_and_latch() -> None:
    session = Session()
    session.receive(RtpPacket(0, 1, 0, 9, b"\x31" * 160), ELSEWHERE)
    session.receive(RtpPacket(0, 1, 0, 9, b"\x77" * 160), STRANGER)
    session.tick()
    session.tick()
    assert [(packet.payload, to) for packet, to in session.wire.sent] == [
        (b"\x31" * 160, ELSEWHERE),
        (b"\xff" * 160, ELSEWHERE),
    ]
    assert session.media.strangers == 1


def test_echo_does_not_lag_for_ever() -> None:
    session = Session()
    for sequence in range(10):
        session.receive(RtpPacket(0, sequence, 0, 9, bytes([sequence]) * 160))
    for _ in range(4):
        session.tick()
    assert [packet.payload[0] for packet, _ in session.wire.sent] == [7, 8, 9, 0xFF]


def test_malformed_packets_are_counted() -> None:
    session = Session()
    session.wire.receive(b"junk", PHONE)
    assert (session.media.counts.malformed, session.media.counts.received) == (1, 0)


@pytest.mark.parametrize("direction", [sdp.Direction.RECVONLY, sdp.Direction.INACTIVE])
def test_hold_stops_sending_and_the_timeout(direction: sdp.Direction) -> None:
    session = Session()
    assert session.negotiate(direction)
    assert not session.negotiate(direction), "held already"
    for _ in range(60 * 50):
        session.tick()
    assert (session.wire.sent, session.timeouts) == ([], 0)
    assert session.negotiate()
    session.tick()
    assert session.wire.sent[0][0].marker
    assert session.timeouts == 0


def test_media_timeout_comes_once() -> None:
    session = Session()
    for _ in range(20 * 50):
        session.tick()
    session.receive(RtpPacket(0, 1, 0, 9, b"\x31" * 160))
    for _ in range(30 * 50):
        session.tick()
    assert session.timeouts == 0
    for _ in range(100):
        session.tick()
    assert session.timeouts == 1


def test_a_listener_only_call_has_no_timeout() -> None:
    session = Session()
    session.negotiate(sdp.Direction.SENDONLY)
    for _ in range(60 * 50):
        session.tick()
    assert session.timeouts == 0
    assert len(session.wire.sent) == 60 * 50


class Keypad:
    """Presses one key."""

    def __init__(self) -> None:
        self._keys = DtmfSender()
        self._keys.queue("5")

    def negotiated(self, codec: Codec, payload_type: int, event_payload_type: int | None) -> None: ...

    def heard(self, packet: RtpPacket, now_us: int) -> None: ...

    def slot(self, now_us: int) -> None: ...

    def sent(self) -> None: ...

    def speak(self, now_us: int) -> Spoken | None:
        key = self._keys.tick()
        return None if key is None else Spoken(101, key.payload, key.continues, key.marker)


@pytest.mark.parametrize("interruption", ["missed slots", "hold"])
def test_an_event_keeps_its_timestamp(interruption: str) -> None:
    """RFC 4733 §2.2.1: the timestamp is the event's name; another one would be another press of the key."""
    session = Session(Keypad())
    for slots in (1, 1, 3, 1) if interruption == "missed slots" else (1, 1):
        session.tick(slots)
    if interruption == "hold":
        session.negotiate(sdp.Direction.RECVONLY)
        session.tick()
        session.negotiate()
    for _ in range(12):
        session.tick()
    receiver = DtmfReceiver()
    packets = [packet for packet, _ in session.wire.sent]
    digits = [
        digit for at, one in enumerate(packets) if one.payload_type == 101
        for digit in receiver.push(one.timestamp, one.payload, at)
    ]  # fmt: skip
    assert [one.digit for one in digits] == ["5"]
    assert packets[-1].timestamp == (packets[0].timestamp + session.now_us // 125 - 160) & 0xFFFFFFFF
