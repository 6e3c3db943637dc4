"""A call's RTP: silence flows, hold stops it, missed slots are skipped; early media, SRTP, calls that move."""

from collections.abc import Callable

import pytest

from services.gateway import stun
from services.gateway.dtmf import DtmfReceiver, DtmfSender
from services.gateway.echo import Echo
from services.gateway.media import MediaSession, Voice
from services.gateway.rtp import RtpPacket
from services.gateway.sip.crypto import SUITES, SrtpKey, SrtpKeys
from services.gateway.sip.ice import IceCredentials, IceParameters
from services.gateway.sip.negotiation import Negotiated
from services.gateway.sip.sdp import Codec, Direction
from services.gateway.spoken_stream import Spoken
from services.gateway.srtp import SrtpCounts, SrtpSession
from services.gateway.stun import Attribute, MessageClass, StunMessage
from services.gateway.udp import Address

PCMU = Codec(0, "PCMU", 8000)
KEYS = Codec(101, "TELEPHONE-EVENT", 8000)
PHONE, ELSEWHERE, STRANGER = ("192.0.2.1", 4000), ("192.0.2.1", 4002), ("192.0.2.1", 4004)
SECOND = 1_000_000


class Wire:
    """A UdpPort without a network."""

    def __init__(self) -> None:
        self.port = 20000
        self.raw: list[bytes] = []
        self.to: list[Address] = []
        self.closed = False

    @property
    def sent(self) -> list[tuple[RtpPacket, Address]]:
        return [(RtpPacket.parse(data), to) for data, to in zip(self.raw, self.to, strict=True)]

    def listen(self, on_datagram: Callable[[bytes, Address], None]) -> None:
        self.receive = on_datagram

    def send(self, data: bytes, destination: Address) -> None:
        self.raw.append(data)
        self.to.append(destination)

    def companion(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True


class Session:
    """An echo call at a time that the test sets."""

    def __init__(self, voice: Voice | None = None, early: bool = False, negotiate: bool = True) -> None:
        self.now_us = 0
        self.wire = Wire()
        self.timeouts = 0
        self.media = MediaSession(
            self.wire,  # type: ignore[arg-type]
            voice or Echo(8000),
            0,
            30 * SECOND,
            self._timed_out,
            clock=lambda: self.now_us,
        )
        self.media.early = early
        self.media.start()
        if negotiate:
            self.negotiate()

    def _timed_out(self, why: str) -> None:
        self.timeouts += 1

    def negotiate(
        self,
        direction: Direction = Direction.SENDRECV,
        remote: Address | None = PHONE,
        packet_ms: int = 20,
        srtp: SrtpKeys | None = None,
        moved: bool = False,
    ) -> bool:
        media = Negotiated(PCMU, KEYS, (PCMU, KEYS), remote, direction, packet_ms=packet_ms, srtp=srtp)
        return self.media.negotiated(media, moved)

    def answer(self, voice: Voice) -> None:
        self.media.answered(voice, 0, self._timed_out)
        self.negotiate()

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
    assert session.media.transport.strangers == 1


def quiet(session: Session) -> None:
    for _ in range(101):
        session.tick()
    session.wire.raw, session.wire.to = [], []


def test_a_caller_whose_address_changes_goes_on_after_a_silence() -> None:
    session = Session()
    session.receive(RtpPacket(0, 1, 0, 9, b"\x31" * 160), ELSEWHERE)
    session.receive(RtpPacket(0, 2, 160, 9, b"\x32" * 160), STRANGER)
    session.tick()
    session.tick()
    assert session.wire.to == [ELSEWHERE, ELSEWHERE], "nothing is wrong with the old place"
    quiet(session)
    session.receive(RtpPacket(0, 105, 0, 8, b"\x33" * 160), STRANGER)  # another stream
    session.receive(RtpPacket(0, 60000, 0, 9, b"\x33" * 160), STRANGER)  # not its place in the stream
    session.tick()
    assert session.wire.to == [ELSEWHERE]
    session.receive(RtpPacket(0, 105, 0, 9, b"\x34" * 160), STRANGER)
    session.tick()
    assert [(packet.payload, to) for packet, to in session.wire.sent][1:] == [(b"\x34" * 160, STRANGER)]


def test_with_a_key_it_may_even_begin_another_stream() -> None:
    session, peer = secured()
    peer.send(0x31, ELSEWHERE)
    quiet(session)
    session.receive(RtpPacket(0, 105, 0, 9, b"\x77" * 160), STRANGER)
    session.tick()
    assert session.wire.to == [ELSEWHERE]
    peer.send(0x32, STRANGER)
    session.tick()
    assert session.wire.to[-1] == STRANGER


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
    assert (session.media.transport.malformed, session.media.received) == (1, 0)


@pytest.mark.parametrize("direction", [Direction.RECVONLY, Direction.INACTIVE])
def test_hold_stops_sending_and_the_timeout(direction: Direction) -> None:
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


@pytest.mark.parametrize("data", [RtpPacket(0, 1, 0, 9, b"\x31" * 160).pack(), bytes.fromhex("80c90001 00000007")])
def test_a_listener_only_call_has_no_timeout(data: bytes) -> None:
    """Once it was heard of, by RTP or by a report."""
    session = Session()
    session.negotiate(Direction.SENDONLY)
    session.wire.receive(data, PHONE)
    for _ in range(60 * 50):
        session.tick()
    assert session.timeouts == 0
    assert len(session.wire.sent) == 60 * 50


@pytest.mark.parametrize("moved", [False, True])
def test_nobody_is_sent_to_for_ever_who_was_never_heard_of(moved: bool) -> None:
    """An offer that only listens may name anybody's address."""
    session = Session()
    session.receive(RtpPacket(0, 1, 0, 9, b"\x31" * 160))
    session.negotiate(Direction.SENDONLY, PHONE if moved else ELSEWHERE, moved=moved)
    for _ in range(31 * 50):
        session.tick()
    assert session.timeouts == 1


def test_a_reoffer_to_listen_only_is_no_move() -> None:
    session = Session()
    session.receive(RtpPacket(0, 1, 0, 9, b"\x31" * 160), STRANGER)
    session.negotiate(Direction.SENDONLY)
    session.negotiate(Direction.SENDONLY, remote=None)
    for _ in range(60 * 50):
        session.tick()
    assert session.timeouts == 0


class Keypad:
    """Presses one key."""

    def __init__(self) -> None:
        self._keys = DtmfSender()
        self._keys.queue("5")

    def negotiated(self, media: Negotiated) -> None: ...

    def heard(self, packet: RtpPacket, now_us: int) -> None: ...

    def slot(self, now_us: int) -> None: ...

    def sent(self) -> None: ...

    def speak(self, now_us: int) -> Spoken:
        return self._keys.tick()


@pytest.mark.parametrize("interruption", ["missed slots", "hold"])
def test_an_event_keeps_its_timestamp(interruption: str) -> None:
    """RFC 4733 §2.2.1: the timestamp is the event's name; another one would be another press of the key."""
    session = Session(Keypad())
    for slots in (1, 1, 3, 1) if interruption == "missed slots" else (1, 1):
        session.tick(slots)
    if interruption == "hold":
        session.negotiate(Direction.RECVONLY)
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


def test_packets_no_longer_than_the_peer_can_take() -> None:
    session = Session()
    session.negotiate(packet_ms=10)
    session.receive(RtpPacket(0, 1, 0, 9, b"\x31" * 80 + b"\x32" * 80))
    session.tick()
    session.tick()
    packets = [packet for packet, _ in session.wire.sent]
    assert [packet.payload for packet in packets] == [one * 80 for one in (b"\x31", b"\x32", b"\xff", b"\xff")]
    first = packets[0]
    assert [(one.sequence - first.sequence) & 0xFFFF for one in packets] == [0, 1, 2, 3]
    assert [(one.timestamp - first.timestamp) & 0xFFFFFFFF for one in packets] == [0, 80, 160, 240]
    assert [packet.marker for packet in packets] == [True, False, False, False]


def test_a_flood_of_reports_is_not_read() -> None:
    """Reading one takes as long as ten packets of sound."""
    session = Session()
    session.receive(RtpPacket(0, 1, 0, 9, b"\x31" * 160))
    junk = b"\x80\xc9\x00\x09" + bytes(4)
    rtcp = session.media._rtcp
    assert rtcp is not None
    for _ in range(50):
        session.wire.receive(junk, PHONE)
    assert 0 < rtcp.invalid <= 5
    before = rtcp.invalid
    for _ in range(6):
        session.tick()
    session.wire.receive(junk, PHONE)
    assert rtcp.invalid == before + 1


def test_comfort_noise_is_not_echoed() -> None:
    session = Session()
    session.receive(RtpPacket(13, 1, 0, 9, b"\x31" * 160))
    session.tick()
    assert session.wire.sent[0][0].payload == b"\xff" * 160


def test_nothing_is_heard_before_sdp() -> None:
    session = Session(negotiate=False)
    session.receive(RtpPacket(0, 1, 0, 9, b"\x31" * 160))
    session.tick()
    assert (session.wire.sent, session.media.received) == ([], 0)


def test_early_media_is_heard_and_not_spoken_over() -> None:
    echo = Echo(8000)
    session = Session(echo, early=True)
    session.receive(RtpPacket(0, 1, 0, 9, b"\x31" * 160))
    for _ in range(60 * 50):
        session.tick()
    assert session.media.received == 1
    assert {packet.payload for packet, _ in session.wire.sent} == {b"\xff" * 160}
    assert session.timeouts == 0, "nobody need speak while it rings"
    session.answer(echo)
    session.receive(RtpPacket(0, 2, 160, 9, b"\x31" * 160))
    session.tick()
    last = session.wire.sent[-1][0]
    assert (last.payload, last.marker) == (b"\x31" * 160, True)
    for _ in range(31 * 50):
        session.tick()
    assert session.timeouts == 1


def test_a_call_that_moves_to_another_device() -> None:
    session = Session()
    session.receive(RtpPacket(0, 1, 0, 9, b"\x31" * 160))
    session.negotiate(remote=ELSEWHERE, moved=True)
    session.receive(RtpPacket(0, 2, 160, 9, b"\x32" * 160))
    session.receive(RtpPacket(0, 900, 7, 10, b"\x33" * 160), STRANGER)  # the new device, behind NAT
    session.tick()
    assert [(packet.payload, to) for packet, to in session.wire.sent] == [(b"\x33" * 160, STRANGER)]


SUITE = SUITES["AES_CM_128_HMAC_SHA1_80"]


def keys(ours: int, theirs: int) -> SrtpKeys:
    return SrtpKeys(
        SrtpKey(SUITE, bytes([ours]) * SUITE.keying_bytes), SrtpKey(SUITE, bytes([theirs]) * SUITE.keying_bytes)
    )


class Peer:
    """The other end of an SRTP call."""

    def __init__(self, session: Session, ours: int, theirs: int) -> None:
        self.session = session
        self.srtp = SrtpSession(keys(theirs, ours), SrtpCounts())
        self.sequence = 0

    def send(self, octet: int, source: Address = PHONE) -> bytes:
        self.sequence += 1
        data = self.srtp.protect(RtpPacket(0, self.sequence, 160 * self.sequence, 9, bytes([octet]) * 160).pack())
        assert data is not None
        self.session.wire.receive(data, source)
        return data

    def heard(self) -> list[int]:
        """First octets of what we sent since the last time."""
        raw, self.session.wire.raw = self.session.wire.raw, []
        self.session.wire.to = []
        plain = [self.srtp.unprotect(data) for data in raw]
        return [RtpPacket.parse(data).payload[0] for data in plain if data is not None]


def secured(ours: int = 1, theirs: int = 2) -> tuple[Session, Peer]:
    session = Session(negotiate=False)
    session.negotiate(srtp=keys(ours, theirs))
    return session, Peer(session, ours, theirs)


def test_srtp_both_ways() -> None:
    session, peer = secured()
    assert session.media.transport.encrypted
    peer.send(0x31)
    session.tick()
    assert len(session.wire.raw[0]) == 12 + 160 + 10
    assert peer.heard() == [0x31]


def test_only_an_authentic_packet_latches() -> None:
    session, peer = secured()
    session.receive(RtpPacket(0, 1, 0, 9, b"\x77" * 160), STRANGER)
    session.tick()
    assert session.wire.to == [PHONE]
    assert session.media.transport.srtp_counts.unauthentic == 1
    peer.send(0x31, ELSEWHERE)
    session.tick()
    assert session.wire.to == [PHONE, ELSEWHERE]
    assert session.media.transport.strangers == 0


def test_a_stranger_can_not_spend_the_callers_packet() -> None:
    """What comes from elsewhere is not even authenticated: its sequence number would count as seen."""
    session, peer = secured()
    peer.send(0x31)
    captured = peer.send(0x32)
    session.wire.receive(captured, STRANGER)
    session.wire.receive(captured, PHONE)
    assert (session.media.transport.strangers, session.media.transport.srtp_counts.replayed) == (1, 1)
    assert session.media.received == 2


def test_rtcp_on_the_same_port_is_no_forgery() -> None:
    session, _ = secured()
    session.wire.receive(b"\x80\xc8" + bytes(30), PHONE)
    assert (session.media.transport.malformed, session.media.transport.srtp_counts.unauthentic) == (1, 0)


def test_new_keys_in_the_call() -> None:
    session, peer = secured()
    session.negotiate(srtp=keys(3, 4))
    peer.send(0x31)  # was on its way
    peer.send(0x32)
    again = Peer(session, 3, 4)
    again.send(0x33)
    for _ in range(3):
        session.tick()
    assert again.heard() == [0x31, 0x32, 0x33]
    assert session.media.transport.srtp_counts == SrtpCounts()


def test_plain_for_a_time() -> None:
    session, peer = secured()
    session.tick()
    session.negotiate()
    assert not session.media.transport.encrypted
    session.receive(RtpPacket(0, 1, 0, 9, b"\x31" * 160))
    session.tick()
    assert [len(data) for data in session.wire.raw] == [182, 172]
    session.negotiate(srtp=keys(1, 2))
    session.tick()
    assert len(session.wire.raw[2]) == 182
    assert len(peer.heard()) == 2


def test_what_waited_for_a_full_packet_goes_before_the_change() -> None:
    session = Session()
    session.negotiate(packet_ms=60)
    session.tick()
    assert session.wire.sent == []
    session.negotiate(remote=ELSEWHERE)
    session.tick()
    assert [(len(packet.payload), to) for packet, to in session.wire.sent] == [(160, PHONE), (160, ELSEWHERE)]


ICE = IceParameters(IceCredentials("evtj", "VOkJxbRl1RmTxUk/WvJxBt"), IceCredentials("h6vY", "asd88fgpdd777uzjYhagZg"))


def check(number: int) -> bytes:
    attributes = ((int(Attribute.USERNAME), b"evtj:h6vY"), (int(Attribute.USE_CANDIDATE), b""))
    message = StunMessage(MessageClass.REQUEST, number.to_bytes(12, "big"), attributes)
    return stun.compose(message, ICE.local.password)


def test_nothing_is_sent_without_consent() -> None:
    """RFC 7675 §5.1. Then it is a call without media, whatever its peer sends."""
    session = Session(negotiate=False)
    session.media.negotiated(Negotiated(PCMU, None, (PCMU,), PHONE, Direction.SENDRECV, rtcp_mux=True, ice=ICE))
    session.wire.receive(check(1), ELSEWHERE)

    def goes_on(seconds: int) -> int:
        before = session.media.stream.sender.packets
        for _ in range(50 * seconds):
            session.tick()
            session.receive(RtpPacket(0, session.now_us // 20_000 & 0xFFFF, 0, 7, bytes(160)), ELSEWHERE)
        return session.media.stream.sender.packets - before

    assert goes_on(29) == 50 * 29
    assert goes_on(2) <= 55
    assert goes_on(20) == 0
    session.wire.receive(check(2), ELSEWHERE)
    assert goes_on(29) == 50 * 29
    assert session.timeouts == 0
    goes_on(30)
    assert session.timeouts == 0
    goes_on(3)
    assert session.timeouts == 1
