"""G.711 against the values of ITU-T G.711, tables 1a-2b."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.codecs.codec import CodecInvalid
from services.gateway.codecs.g711 import PCMA, PCMU, G711Decoder, Law

# (code on the line, decoder output in the 14 bits of table 2 / the 13 bits of table 1): the segment ends.
ULAW = [
    (0x80, 8031), (0x8F, 4191), (0x9F, 2079), (0xAF, 1023), (0xBF, 495), (0xCF, 231), (0xDF, 99), (0xEF, 33),
    (0xFE, 2), (0xFF, 0), (0x00, -8031), (0x0F, -4191), (0x7E, -2), (0x7F, 0),
]  # fmt: skip
ALAW = [
    (0xAA, 4032), (0xA5, 2112), (0xB5, 1056), (0x85, 528), (0x95, 264), (0xE5, 132), (0xF5, 66), (0xC5, 33),
    (0xD5, 1), (0x2A, -4032), (0x55, -1),
]  # fmt: skip


def pcm(*samples: int) -> bytes:
    return np.array(samples, "<i2").tobytes()


def samples(data: bytes) -> list[int]:
    return np.frombuffer(data, "<i2").tolist()


@pytest.mark.parametrize(("code", "value"), ULAW)
def test_ulaw_decodes_as_table_2(code: int, value: int) -> None:
    assert samples(PCMU.decode(bytes([code]))) == [4 * value]


@pytest.mark.parametrize(("code", "value"), ALAW)
def test_alaw_decodes_as_table_1(code: int, value: int) -> None:
    assert samples(PCMA.decode(bytes([code]))) == [8 * value]


# Decision values (tables 1a and 2a, column 5): the code changes there and not one step before.
@pytest.mark.parametrize("decision", [1, 3, 31, 35, 95, 103, 223, 239, 479, 511, 991, 1055, 2015, 2143, 4063, 4319])
def test_ulaw_changes_at_the_decision_values(decision: int) -> None:
    below, at = PCMU.encode(pcm(4 * decision - 1, 4 * decision))
    assert at == below - 1


@pytest.mark.parametrize("decision", [2, 4, 64, 68, 128, 136, 256, 272, 512, 544, 1024, 1088, 2048, 2176])
def test_alaw_changes_at_the_decision_values(decision: int) -> None:
    below, at = (code ^ 0x55 for code in PCMA.encode(pcm(8 * decision - 1, 8 * decision)))
    assert at == below + 1


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_every_code_survives_the_round_trip(law: Law) -> None:
    codes = bytes(range(256))
    back = law.encode(law.decode(codes))
    # µ-law has two zeros and both decode to 0.
    assert [a for a, b in zip(codes, back, strict=True) if a != b] == ([0x7F] if law is PCMU else [])


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_silence_is_the_smallest_sample(law: Law) -> None:
    assert law.encode(pcm(0)) == bytes([law.silence])


@given(st.lists(st.integers(-32768, 32767), min_size=1), st.sampled_from([PCMU, PCMA]))
def test_error_is_within_half_a_step(values: list[int], law: Law) -> None:
    for value, decoded in zip(values, samples(law.decode(law.encode(pcm(*values)))), strict=True):
        clipped = max(min(value, 32635), -32635)
        assert abs(clipped - decoded) <= max(abs(clipped) / 16, 16)


@given(st.integers(-32768, 32766), st.sampled_from([PCMU, PCMA]))
def test_louder_never_decodes_quieter(value: int, law: Law) -> None:
    low, high = samples(law.decode(law.encode(pcm(value, value + 1))))
    assert low <= high


def test_odd_pcm_is_refused() -> None:
    with pytest.raises(ValueError, match="buffer size"):
        PCMU.encode(b"\0")


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_a_stream_decodes_as_its_law(law: Law) -> None:
    decoder = G711Decoder(law)
    codes = bytes(range(256))
    assert [decoder.decode(codes[at : at + 80]) for at in range(0, 256, 80)] == [
        law.decode(codes[at : at + 80]) for at in range(0, 256, 80)
    ]


@pytest.mark.parametrize("payload", [b"", bytes(1601)])
def test_no_packet_is_empty_or_longer_than_200_ms(payload: bytes) -> None:
    with pytest.raises(CodecInvalid, match="bytes"):
        G711Decoder(PCMU).decode(payload)


def test_nothing_of_a_packet_is_in_the_next() -> None:
    assert G711Decoder(PCMA).recover(bytes(160), 160) is None
