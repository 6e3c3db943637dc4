"""STUN against the vectors of RFC 5769, and against itself."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.stun import (
    MAX_MESSAGE,
    Attribute,
    MessageClass,
    StunMessage,
    compose,
    error,
    parse,
    success,
    xor_mapped_address,
)

PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt"
ID = bytes.fromhex("b7e7a701bc34d686fa87dfae")
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff"
    "80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249"
    "c1b571a280280004e57a3bcf"
)
RESPONSE_V4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
RESPONSE_V6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9fa"
    "a5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"
)


def read(data: bytes) -> StunMessage:
    message = parse(data)
    assert message is not None
    return message


def fields(data: bytes, *attributes: tuple[int, bytes]) -> bytes:
    """A message without integrity and fingerprint, written by hand."""
    body = b"".join(struct.pack("!HH", kind, len(value)) + value for kind, value in attributes)
    return struct.pack("!HHI", 1, len(body), 0x2112A442) + data + body


def test_rfc_5769_2_1_request() -> None:
    message = read(REQUEST)
    assert message.message_class is MessageClass.REQUEST
    assert message.transaction_id == ID
    assert message.first(Attribute.SOFTWARE) == b"STUN test client"
    assert message.username == "evtj:h6vY"
    assert message.priority == 0x6E0001FF
    assert message.first(Attribute.ICE_CONTROLLED) == bytes.fromhex("932ff9b151263b36")
    assert not message.use_candidate
    assert message.not_understood == []
    assert message.authentic(PASSWORD)
    assert not message.authentic(PASSWORD + "x")


@pytest.mark.parametrize(
    ("data", "address"),
    [(RESPONSE_V4, ("192.0.2.1", 32853)), (RESPONSE_V6, ("2001:db8:1234:5678:11:2233:4455:6677", 32853))],
)
def test_rfc_5769_2_2_and_2_3_responses(data: bytes, address: tuple[str, int]) -> None:
    message = read(data)
    assert message.message_class is MessageClass.SUCCESS
    assert message.mapped_address == address
    assert message.authentic(PASSWORD)
    assert message.first(Attribute.XOR_MAPPED_ADDRESS) == xor_mapped_address(address, ID)


@pytest.mark.parametrize("data", [REQUEST, RESPONSE_V4, RESPONSE_V6], ids=["request", "v4", "v6"])
def test_no_bit_may_change(data: bytes) -> None:
    for bit in range(8 * len(data) - 64):  # the last 8 bytes are FINGERPRINT itself
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        message = parse(bytes(altered))
        # FINGERPRINT covers every bit; but a longer attribute before it can swallow it.
        assert message is None or not message.authentic(PASSWORD)


def test_padding_is_under_the_integrity() -> None:
    assert b"vector " in RESPONSE_V4
    # The fingerprint taken off, so that only MESSAGE-INTEGRITY is left to tell.
    bare = RESPONSE_V4[:2] + struct.pack("!H", len(RESPONSE_V4) - 28) + RESPONSE_V4[4:-8]
    assert read(bare).authentic(PASSWORD)
    assert not read(bare.replace(b"vector ", b"vector\0")).authentic(PASSWORD)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 19,
        b"\0" * 20,
        REQUEST[:-1],
        REQUEST[:-4],
        REQUEST + b"\0\0\0\0",
        fields(ID, (0x8022, b"x" * MAX_MESSAGE)),
        fields(ID[:11] + b"\1", (6, b"a"))[:-1],
        b"\x00\x03" + fields(ID)[2:],  # Allocate, of TURN
        b"\x80\x01" + fields(ID)[2:],
        fields(ID, (Attribute.MESSAGE_INTEGRITY, b"x" * 16)),
        fields(ID, (Attribute.FINGERPRINT, b"\0\0\0\0")),
        fields(ID, *[(0x8022, b"")] * 33),
        struct.pack("!HHI", 1, 4, 0x2112A442) + ID + struct.pack("!HH", 6, 1),
    ],
)
def test_what_is_not_well_formed_is_nothing(data: bytes) -> None:
    assert parse(data) is None


def test_what_follows_the_integrity_is_left_out() -> None:
    signed = compose(StunMessage(MessageClass.REQUEST, ID, ((Attribute.USERNAME, b"a:b"),)), PASSWORD)[:-8]
    signed += struct.pack("!HH", Attribute.USE_CANDIDATE, 0)
    message = read(signed[:2] + struct.pack("!H", len(signed) - 20) + signed[4:])
    assert message.authentic(PASSWORD)
    assert not message.use_candidate


def test_an_answer_to_the_vector_reads_as_the_vector() -> None:
    answer = read(success(read(REQUEST), ("192.0.2.1", 32853), PASSWORD))
    assert answer.transaction_id == ID
    assert answer.mapped_address == ("192.0.2.1", 32853)
    assert answer.authentic(PASSWORD)


@pytest.mark.parametrize("code", [400, 401, 420, 487])
def test_errors(code: int) -> None:
    answer = read(error(read(REQUEST), code, None, [0x7777, 0x0021]))
    assert answer.message_class is MessageClass.ERROR
    assert answer.error is not None
    assert answer.error[0] == code
    assert answer.error[1]
    assert (answer.first(Attribute.UNKNOWN_ATTRIBUTES) == b"\x77\x77\x00\x21") == (code == 420)
    assert not answer.authentic(PASSWORD)


def test_scope_of_a_link_local_address_stays_here() -> None:
    answer = read(success(read(REQUEST), ("fe80::1%eth0", 9), PASSWORD))
    assert answer.mapped_address == ("fe80::1", 9)


@pytest.mark.parametrize("value", [b"", b"\0\1", b"\0\1" + b"x" * 18, b"\0\2" + b"x" * 6, b"\0\3" + b"x" * 6])
def test_a_mapped_address_that_is_none(value: bytes) -> None:
    message = StunMessage(MessageClass.SUCCESS, ID, ((Attribute.XOR_MAPPED_ADDRESS, value),))
    assert message.mapped_address is None


@given(
    st.sampled_from(MessageClass),
    st.binary(min_size=12, max_size=12),
    st.lists(st.tuples(st.sampled_from([0x0006, 0x0024, 0x0025, 0x7FFF, 0x8022, 0x802A]), st.binary(max_size=40))),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
)
def test_what_is_composed_is_read(
    kind: MessageClass, transaction_id: bytes, attributes: list[tuple[int, bytes]], password: str
) -> None:
    attributes = attributes[:20]
    message = read(compose(StunMessage(kind, transaction_id, tuple(attributes)), password))
    assert (message.message_class, message.transaction_id) == (kind, transaction_id)
    assert message.attributes == tuple(attributes)
    assert message.authentic(password)
    assert not message.authentic(password + "x")


@given(st.binary(max_size=200), st.binary(max_size=80))
def test_nothing_raises(data: bytes, attributes: bytes) -> None:
    padded = attributes + bytes(-len(attributes) % 4)
    for datagram in (data, struct.pack("!HHI", 1, len(padded), 0x2112A442) + ID + padded):
        message = parse(datagram)
        if message is not None:
            assert message.not_understood is not None
            for value in (message.username, message.priority, message.mapped_address, message.error):
                assert value is None or value is not NotImplemented
            assert not message.authentic(PASSWORD)
