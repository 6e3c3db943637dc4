"""RTCP: what is packed is read again, known datagrams are read as the RFCs say, and any bytes do no harm."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.rtcp import (
    MAX_PACKETS,
    MAX_REPORTS,
    Bye,
    Dlrr,
    ExtendedReport,
    LastReferenceTime,
    ReceiverReport,
    ReferenceTime,
    ReportBlock,
    RtcpInvalid,
    SenderReport,
    SourceDescription,
    VoipMetrics,
    pack,
    parse,
)

bytes_8 = st.integers(0, 0xFF)
words_16 = st.integers(0, 0xFFFF)
words_32 = st.integers(0, 0xFFFFFFFF)
words_64 = st.integers(0, 0xFFFFFFFFFFFFFFFF)
levels = st.integers(-128, 127)
texts = st.text(st.characters(codec="utf-8"), max_size=60)

reports = st.builds(
    ReportBlock, words_32, bytes_8, st.integers(-0x800000, 0x7FFFFF), words_32, words_32, words_32, words_32
)
report_lists = st.lists(reports, max_size=3).map(tuple)
voip_metrics = st.builds(
    VoipMetrics,
    words_32,
    *[bytes_8] * 4,
    *[words_16] * 4,
    *[levels] * 2,
    *[bytes_8] * 7,
    *[words_16] * 3,
)
answers = st.lists(st.builds(LastReferenceTime, words_32, words_32, words_32), max_size=3).map(tuple)
blocks = st.one_of(st.builds(ReferenceTime, words_64), st.builds(Dlrr, answers), voip_metrics)
packets = st.one_of(
    st.builds(SenderReport, words_32, words_64, words_32, words_32, words_32, report_lists),
    st.builds(ReceiverReport, words_32, report_lists),
    st.builds(SourceDescription, st.lists(st.tuples(words_32, texts), max_size=3).map(tuple)),
    st.builds(Bye, st.lists(words_32, max_size=3).map(tuple), texts),
    st.builds(ExtendedReport, words_32, st.lists(blocks, max_size=3).map(tuple)),
)
compounds = st.lists(packets, min_size=1, max_size=4).map(tuple)

REPORT = ReportBlock(0x11223344, 64, -2, 0x0001FFFF, 40, 0xAABBCCDD, 65536)


@given(compounds)
def test_what_is_packed_is_read_again(compound: tuple[SenderReport, ...]) -> None:
    assert parse(pack(compound)) == compound


def test_the_fullest_datagram_is_read_again() -> None:
    answer = LastReferenceTime(1, 2, 3)
    fullest = (
        SenderReport(1, 2, 3, 4, 5, (REPORT,) * MAX_REPORTS),
        SourceDescription(((1, "x" * 255),) * MAX_REPORTS),
        ExtendedReport(1, (Dlrr((answer,) * MAX_REPORTS),) * MAX_REPORTS),
        *[Bye(tuple(range(MAX_REPORTS)), "y" * 255)] * (MAX_PACKETS - 3),
    )
    assert parse(pack(fullest)) == fullest


@given(st.binary(max_size=200))
def test_any_bytes_do_no_harm(datagram: bytes) -> None:
    with contextlib.suppress(RtcpInvalid):
        parse(datagram)


@given(st.sampled_from((200, 201, 202, 203, 204, 205, 206, 207, 210)), bytes_8, st.binary(max_size=120))
def test_any_bytes_behind_a_good_header_do_no_harm(kind: int, first: int, body: bytes) -> None:
    body += bytes(-len(body) % 4)
    parse(bytes((0x80 | first & 0x3F, kind)) + (len(body) // 4).to_bytes(2, "big") + body)


@given(compounds, st.data())
def test_a_damaged_datagram_gives_what_is_readable(compound: tuple[SenderReport, ...], data: st.DataObject) -> None:
    whole = bytearray(pack(compound))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(bytes_8)
    with contextlib.suppress(RtcpInvalid):
        parse(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


@given(compounds, st.integers(1, 3))
def test_what_is_cut_loses_only_its_end(compound: tuple[SenderReport, ...], cut: int) -> None:
    datagram = pack(compound)[:-cut]
    if len(compound) == 1:
        with pytest.raises(RtcpInvalid):
            parse(datagram)
    else:
        assert parse(datagram) == compound[:-1]


def test_the_bytes_are_those_of_the_rfc() -> None:
    compound = (
        SenderReport(0x01020304, 0xE0000000_80000000, 160, 1, 160, (REPORT,)),
        SourceDescription(((0x01020304, "a@b"),)),
        Bye((0x01020304,), "bye"),
    )
    assert pack(compound).hex(" ", 4) == " ".join(
        [
            "81c8000c 01020304 e0000000 80000000 000000a0 00000001 000000a0",
            "11223344 40fffffe 0001ffff 00000028 aabbccdd 00010000",
            "81ca0003 01020304 01036140 62000000",
            "81cb0002 01020304 03627965",
        ]
    )


@pytest.mark.parametrize(
    ("datagram", "complaint"),
    [
        ("", "too few"),
        ("80c9", "too few"),
        ("40c90001 00000001", "version 1"),
        ("80000001 00000001", "no RTCP packet type: 0"),
        ("80c90002 00000001", "cut: 12 bytes told, 8 there"),
    ],
)
def test_what_is_no_rtcp_says_why(datagram: str, complaint: str) -> None:
    with pytest.raises(RtcpInvalid, match=complaint):
        parse(bytes.fromhex(datagram))


@pytest.mark.parametrize(
    ("datagram", "read"),
    [
        # Reduced size (RFC 5506): a BYE alone. Feedback (RFC 4585), APP and unknown types are skipped.
        ("81cb0001 00000007", (Bye((7,)),)),
        ("81cd0003 00000001 00000002 00010000", ()),
        ("80cc0002 00000001 6e616d65 80c90001 00000005", (ReceiverReport(5),)),
        ("80d20000", ()),
        # More blocks and sources promised than there are.
        ("9fc90001 00000005", (ReceiverReport(5),)),
        ("9fcb0001 00000005", (Bye((5,)),)),
        # A sender report without its sender.
        ("80c80001 00000005", ()),
        # Padding of the last packet; of length 0 or longer than the packet it leaves nothing.
        ("a0c90002 00000005 00000004", (ReceiverReport(5),)),
        ("a0c90002 00000005 00000000", ()),
        ("a0c90002 00000005 000000ff", ()),
        # Other SDES items beside the CNAME; an item that runs over the end.
        ("81ca0003 00000005 06017a 010178 0000", (SourceDescription(((5, "x"),)),)),
        ("81ca0002 00000005 01ff7878", ()),
        # XR blocks of other kinds, and one that runs over the end.
        ("80cf0005 00000005 06000001 00000000 07000009 00000000", (ExtendedReport(5, ()),)),
    ],
)
def test_what_is_readable_is_read(datagram: str, read: tuple[object, ...]) -> None:
    assert parse(bytes.fromhex(datagram)) == read


def test_a_flood_in_one_datagram_is_bounded() -> None:
    assert len(parse(bytes.fromhex("80c9000100000001") * 5000)) == MAX_PACKETS


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 31 blocks, not 32"):
        ReceiverReport(1, (REPORT,) * 32).pack()
    with pytest.raises(ValueError, match="at most 255 bytes, not 256"):
        SourceDescription(((1, "x" * 256),)).pack()
