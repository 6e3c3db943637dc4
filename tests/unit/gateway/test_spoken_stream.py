"""What is said, as RTP: every packet its length, and every timestamp where its first sample belongs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.codecs.catalogue import decoder_for, offered
from services.gateway.dtmf import DtmfReceiver, DtmfSender
from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated
from services.gateway.sip.sdp import Codec, Direction
from services.gateway.spoken_stream import Encoded, SpokenStream

PCMU = Codec(0, "PCMU", 8000)
KEYS = Codec(101, "TELEPHONE-EVENT", 8000)
CODECS = {
    "PCMU": PCMU,
    "PCMA": Codec(8, "PCMA", 8000),
    "G722": Codec(9, "G722", 8000),
    "OPUS": Codec(111, "OPUS", 48000),
}


def stream(codec: Codec = PCMU, packet_ms: int = 20, rate_hz: int = 8000) -> SpokenStream:
    one = SpokenStream(9, 100, 1000, rate_hz)
    agree(one, codec, packet_ms)
    return one


def agree(one: SpokenStream, codec: Codec, packet_ms: int = 20) -> None:
    remote = ("192.0.2.1", 4000)
    one.negotiated(Negotiated(codec, KEYS, (codec, KEYS), remote, Direction.SENDRECV, packet_ms=packet_ms))


def packets(datagrams: list[bytes]) -> list[RtpPacket]:
    return [RtpPacket.parse(one) for one in datagrams]


def test_nothing_before_it_is_known_what_to_send() -> None:
    assert SpokenStream(9, 0, 0, 8000).slot(bytes(320)) == []


@pytest.mark.parametrize("encoding", CODECS)
@pytest.mark.parametrize("packet_ms", [10, 20, 30, 40, 60])
@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_every_packet_time(encoding: str, packet_ms: int, rate_hz: int) -> None:
    if encoding not in offered():
        pytest.skip("no libopus here")
    if (encoding, packet_ms) == ("OPUS", 30):
        pytest.skip("Opus has no such packets, so none are negotiated")
    codec = CODECS[encoding]
    one = stream(codec, packet_ms, rate_hz)
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(rate_hz * 12 // 10) / rate_hz)).astype("<i2").tobytes()
    size = rate_hz // 25
    sent = [
        (slot, packet)
        for slot in range(60)
        for packet in packets(one.slot(tone[size * slot : size * slot + size]))
    ]  # fmt: skip
    assert len(sent) == 60 * 20 // packet_ms
    ticks = codec.clock_rate * packet_ms // 1000
    assert [packet.timestamp for _, packet in sent] == [1000 + ticks * at for at in range(len(sent))]
    assert [packet.sequence for _, packet in sent] == [100 + at for at in range(len(sent))]
    decoder = decoder_for(codec, rate_hz)
    pcm = b"".join(decoder.decode(packet.payload) for _, packet in sent)
    assert len(pcm) == 60 * size
    heard = np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2")[rate_hz // 5 :].astype(float)))
    assert heard.argmax() * rate_hz / (len(pcm) / 2 - rate_hz // 5) == pytest.approx(440, abs=3)
    # A packet leaves as soon as it is full.
    assert all(packet_ms * (at + 1) <= 20 * (slot + 1) for at, (slot, _) in enumerate(sent))


@given(st.lists(st.sampled_from(["pcm", "encoded", "silence", "miss"]), max_size=60), st.sampled_from([10, 20, 30, 60]))
def test_timestamps_follow_the_clock(slots: list[str], packet_ms: int) -> None:
    one = stream(PCMU, packet_ms)
    now, last = 0, 1000 - 8 * packet_ms
    for slot in slots:
        if slot == "miss":
            one.skip(1)
        else:
            for packet in packets(one.slot({"pcm": bytes(320), "encoded": Encoded(bytes(160))}.get(slot))):
                assert last + 8 * packet_ms <= packet.timestamp <= 1000 + 160 * now + 160 - 8 * min(packet_ms, 20)
                last = packet.timestamp
        now += 1
    assert one.sender.timestamp == 1000 + 160 * now


def test_a_key_breaks_the_packet_that_waited() -> None:
    """RFC 4733 §2.1: events in place of audio, and no sound from before the key behind it."""
    one = stream(packet_ms=60)
    one.slot(b"\x10\x27" * 160)
    keys = DtmfSender()
    keys.queue("7")
    sent = [packet for _ in range(12) for packet in packets(one.slot(keys.tick()))]
    receiver = DtmfReceiver()
    events = [packet for packet in sent if packet.payload_type == 101]
    digits = [digit for at, one_ in enumerate(events) for digit in receiver.push(one_.timestamp, one_.payload, at)]
    assert [digit.digit for digit in digits] == ["7"]
    assert {packet.timestamp for packet in events} == {1160}
    assert {octet for packet in sent if packet.payload_type == 0 for octet in packet.payload} <= {0xFF}


def test_another_codec_from_the_next_slot_on() -> None:
    one = stream()
    (first,) = packets(one.slot(bytes(320)))
    agree(one, CODECS["PCMA"])
    (second,) = packets(one.slot(bytes(320)))
    assert (first.payload_type, second.payload_type) == (0, 8)
    assert (second.sequence, second.timestamp) == (first.sequence + 1, first.timestamp + 160)
    assert second.payload == b"\xd5" * 160


def test_octets_are_counted_for_reports() -> None:
    one = stream()
    for _ in range(3):
        one.slot(None)
    assert (one.sender.packets, one.sender.octets) == (3, 480)


@pytest.mark.parametrize(("before", "after"), [("PCMU", "PCMA"), ("PCMU", "PCMU"), ("G722", "PCMU"), ("OPUS", "PCMU")])
def test_what_waits_is_not_lost_when_the_packets_change(before: str, after: str) -> None:
    if before not in offered():
        pytest.skip("no libopus here")
    one = stream(CODECS[before], 60)
    began = one.sender.timestamp
    assert one.slot(bytes(320)) == []
    codec = CODECS[after]
    (left,) = packets(one.negotiated(Negotiated(codec, KEYS, (codec, KEYS), None, Direction.SENDRECV)))
    assert (left.payload_type, left.timestamp) == (CODECS[before].payload_type, began)
    assert before == "OPUS" or len(left.payload) == 160
    (sent,) = packets(one.slot(bytes(320)))
    assert (sent.payload_type, sent.sequence) == (codec.payload_type, left.sequence + 1)
    assert one.negotiated(Negotiated(codec, KEYS, (codec, KEYS), None, Direction.SENDRECV)) == []
