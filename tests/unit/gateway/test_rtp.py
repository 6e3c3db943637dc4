"""RTP packets and their sequence numbers."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.rtp import RtpInvalid, RtpPacket, RtpSender, SequenceExtender

PLAIN = RtpPacket(0, 7, 160, 0xCAFE, b"voice", marker=True)


@given(
    st.builds(
        RtpPacket,
        st.integers(0, 63),
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.binary(max_size=400),
        st.booleans(),
    )
)
def test_what_is_packed_is_parsed(packet: RtpPacket) -> None:
    assert RtpPacket.parse(packet.pack()) == packet


HEAD = bytes([0x80, 0x80]) + PLAIN.pack()[2:12]


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (0x82, b"CSRCCSRC" + b"voice"),
        (0x90, b"\xbe\xde\x00\x01" + b"\x10\xff\0\0" + b"voice"),
        (0xA0, b"voice" + b"\0\0\x03"),
        (0xB1, b"CSRC" + b"\xbe\xde\x00\x00" + b"voice" + b"\x01"),
    ],
    ids=["csrc", "extension", "padding", "all"],
)
def test_payload_is_found_behind(first: int, rest: bytes) -> None:
    assert RtpPacket.parse(bytes([first]) + HEAD[1:] + rest) == PLAIN


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x80" * 11,
        bytes([0x40]) + HEAD[1:],
        bytes([0x80, 200]) + HEAD[2:],
        bytes([0x8F]) + HEAD[1:] + b"cut",
        bytes([0x90]) + HEAD[1:] + b"\xbe\xde",
        bytes([0x90]) + HEAD[1:] + b"\xbe\xde\xff\xff",
        bytes([0xA0]) + HEAD[1:] + b"\x00",
        bytes([0xA0]) + HEAD[1:] + b"\xff",
        b"OPTIONS sip:x SIP/2.0\r\n",
    ],
)
def test_malformed_is_refused(datagram: bytes) -> None:
    with pytest.raises(RtpInvalid):
        RtpPacket.parse(datagram)


@given(st.binary(max_size=64))
def test_anything_else_than_refusal_never_happens(datagram: bytes) -> None:
    with suppress(RtpInvalid):
        assert len(RtpPacket.parse(datagram).payload) <= len(datagram)


def extend(extender: SequenceExtender, sequence: int) -> int | None:
    extended = extender.extend(sequence)
    return extender.restart(sequence) if extended is None and extender.restarted(sequence) else extended


@pytest.mark.parametrize(
    ("raw", "extended"),
    [
        ([65534, 65535, 0, 1], [65534, 65535, 65536, 65537]),
        ([65535, 1, 0], [65535, 65537, 65536]),
        ([10, 8, 11], [10, 8, 11]),
        ([10, 30000, 11], [10, None, 11]),
        ([10, 30000, 30001, 30002, 30001], [10, None, 11, 12, 11]),
        ([10, 30000, 40000, 11], [10, None, None, 11]),
    ],
    ids=["wrap", "reordered over the wrap", "late", "stray", "restart", "two strays"],
)
def test_sequence_extension(raw: list[int], extended: list[int | None]) -> None:
    extender = SequenceExtender()
    assert [extend(extender, one) for one in raw] == extended


def test_timestamps_follow_the_slots_and_sequence_the_packets() -> None:
    sender = RtpSender(1, 0xFFFF, 0xFFFFFFFF - 159)
    first = RtpPacket.parse(sender.packet(0, b"a"))
    sender.skip(160)
    sender.skip(160)
    second = RtpPacket.parse(sender.packet(0, b"b"))
    assert (first.sequence, first.timestamp, first.marker) == (0xFFFF, 0xFFFFFF60, True)
    assert (second.sequence, second.timestamp, second.marker) == (0, 160, False)
