"""One call's RTCP: when it reports and what, the round trip whatever the clocks do, and what the other side tells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.reception import Reception
from services.gateway.rtcp import (
    Bye,
    Dlrr,
    ExtendedReport,
    LastReferenceTime,
    ReceiverReport,
    ReferenceTime,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    VoipMetrics,
    pack,
    parse,
)
from services.gateway.rtcp_session import MAX_RTT_US, Received, RemoteView, RtcpSession, Sent

OURS, THEIRS = 0x0A0A0A0A, 0x0B0B0B0B
S = 1_000_000
MS = 1_000
UNIX_US = 1_700_000_000 * S
SENT = Sent(250, 40_000, 12_345)
VOIP = VoipMetrics(THEIRS, 1, 2, 3, 4, 5, 6)


def session(*, xr: bool = False) -> RtcpSession:
    return RtcpSession(OURS, "call@tandem", 8000, UNIX_US, xr=xr)


def heard(*sequences: int) -> Reception:
    reception = Reception(8000)
    for sequence in sequences:
        reception.packet(sequence, 160 * sequence, 20 * MS * sequence)
    return reception


def report(call: RtcpSession, now_us: int, sent: Sent = SENT, reception: Reception | None = None) -> bytes:
    return call.report(now_us, sent, reception or Reception(8000), THEIRS, 0.5)


def middle_of(datagram: bytes) -> int:
    sender_report = parse(datagram)[0]
    assert isinstance(sender_report, SenderReport)
    return sender_report.ntp >> 16 & 0xFFFFFFFF


def about_us(last_sr: int = 0, delay: int = 0, lost: int = 0, jitter: int = 0) -> ReportBlock:
    return ReportBlock(OURS, 64, lost, 300, jitter, last_sr, delay)


# --- when ---


def test_the_first_report_comes_after_half_the_interval() -> None:
    call = session()
    assert not call.due(10 * S)
    call.start(1 * S, 0.5)
    assert not call.due(3_051_000)
    assert call.due(3_053_000)
    report(call, 3_053_000)
    assert call.next_us == 3_053_000 + 4_104_146


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 10**12))
def test_intervals_lie_around_five_seconds(random: float, now_us: int) -> None:
    call = session()
    call.report(now_us, SENT, Reception(8000), THEIRS, random)
    assert call.next_us is not None
    assert 2.05 * S <= call.next_us - now_us <= 6.16 * S
    call.start(now_us, random)
    assert 1.02 * S <= call.next_us - now_us <= 3.08 * S


# --- what ---


def test_a_sender_reports_what_it_sent_and_heard() -> None:
    call = session()
    call.received(SenderReport(THEIRS, 0x11112222_33334444, 0, 1, 160).pack(), 1 * S)
    compound = parse(report(call, 3 * S, reception=heard(1, 2, 4)))
    assert compound == (
        SenderReport(
            OURS,
            (1_700_000_003 + 2_208_988_800) << 32,
            12_345,
            250,
            40_000,
            (ReportBlock(THEIRS, 64, 1, 4, 0, 0x22223333, 2 * 65536),),
        ),
        SourceDescription(((OURS, "call@tandem"),)),
    )


def test_who_sends_nothing_more_is_a_receiver() -> None:
    call = session()
    kinds = [type(parse(report(call, at * S, Sent(packets, 0, 0)))[0]) for at, packets in ((1, 5), (6, 5), (11, 6))]
    assert kinds == [SenderReport, ReceiverReport, SenderReport]


def test_a_silent_source_gets_no_block() -> None:
    call, reception = session(), heard(1, 2)
    assert len(parse(report(call, 1 * S, reception=reception))[0].reports) == 1  # type: ignore[union-attr]
    assert parse(report(call, 6 * S, reception=reception))[0].reports == ()  # type: ignore[union-attr]
    compound = parse(call.report(11 * S, SENT, heard(1, 2), None, 0.5))
    assert compound[0] == ReceiverReport(OURS), "no SSRC of theirs is known yet"


def test_the_sr_of_another_ssrc_is_not_answered() -> None:
    call = session()
    call.received(SenderReport(0x0C, 1 << 32, 0, 1, 160).pack(), 1 * S)
    block = parse(report(call, 2 * S, reception=heard(1, 2)))[0].reports[0]  # type: ignore[union-attr]
    assert (block.last_sr, block.delay_since_last_sr) == (0, 0)


def test_extended_reports_where_they_were_asked_for() -> None:
    def blocks(call: RtcpSession, sent: Sent) -> tuple[object, ...]:
        compound = parse(call.report(2 * S, sent, Reception(8000), THEIRS, 0.5, VOIP))
        return next((packet.blocks for packet in compound if isinstance(packet, ExtendedReport)), ())

    assert blocks(session(), SENT) == ()
    assert blocks(session(xr=True), SENT) == (VOIP,)
    assert blocks(session(xr=True), Sent(0, 0, 0)) == (ReferenceTime((1_700_000_002 + 2_208_988_800) << 32), VOIP)
    asked = session()
    asked.received(ExtendedReport(THEIRS, (ReferenceTime(0x11112222_33334444),)).pack(), 1 * S)
    assert blocks(asked, SENT) == (Dlrr((LastReferenceTime(THEIRS, 0x22223333, 65536),)),)


def test_bye_is_the_last_packet_of_a_whole_compound() -> None:
    call = session()
    call.start(0, 0.5)
    compound = parse(call.bye(9 * S, SENT, Reception(8000), THEIRS))
    assert [type(packet) for packet in compound] == [SenderReport, SourceDescription, Bye]
    assert compound[-1] == Bye((OURS,))
    assert not call.due(100 * S)


def test_who_never_sent_says_no_bye() -> None:
    assert session().bye(9 * S, Sent(0, 0, 0), Reception(8000), None) == b""


# --- the round trip ---


@given(st.integers(0, 1_500 * MS), st.integers(0, 1_500 * MS), st.integers(0, 2 * S))
def test_two_sessions_measure_the_way_between_them(there_us: int, back_us: int, held_us: int) -> None:
    ours, theirs = session(), RtcpSession(THEIRS, "them@there", 8000, 3 * UNIX_US)
    datagram = report(ours, 1 * S)
    theirs.received(datagram, 77 * S)
    answer = theirs.report(77 * S + held_us, SENT, heard(1, 2), OURS, 0.5)
    told = ours.received(answer, 1 * S + there_us + held_us + back_us)
    assert told.rtt_us is not None
    assert told.rtt_us == pytest.approx(there_us + back_us, abs=40)
    assert ours.rtt_us == told.rtt_us


def test_a_receiver_that_sends_nothing_measures_it_by_its_reference_time() -> None:
    ours, theirs = session(xr=True), RtcpSession(THEIRS, "them@there", 8000, 0)
    theirs.received(report(ours, 1 * S, Sent(0, 0, 0)), 50 * S)
    told = ours.received(report(theirs, 53 * S), 4 * S + 80 * MS)
    assert told.rtt_us == pytest.approx(80 * MS, abs=40)


@pytest.mark.parametrize(
    ("arrival_us", "delay", "rtt_us"),
    [
        (1_120_000, 0, 120_000),
        (1_620_000, 32_768, 120_000),
        (1_499_800, 32_768, 0),  # rounding, drift: a little less than nothing
        (1_400_000, 32_768, None),  # held for longer than the way took
        (1_400_000, 0xFFFFFFFF, None),
        (900_000, 0, None),  # an answer before the question
        (1_000_000 + MAX_RTT_US, 0, MAX_RTT_US),
        (1_000_001 + MAX_RTT_US, 0, None),
    ],
)
def test_what_delays_make_sense(arrival_us: int, delay: int, rtt_us: int | None) -> None:
    call = session()
    last_sr = middle_of(report(call, 1 * S))
    told = call.received(ReceiverReport(THEIRS, (about_us(last_sr, delay),)).pack(), arrival_us)
    assert (told.rtt_us, call.rtt_us) == (rtt_us, rtt_us)
    assert call.remote is not None, "the rest of the block counts"


@pytest.mark.parametrize("wrong", [-middle_of(report(session(), 1 * S)), 1, -1, 0x8000])
def test_an_sr_that_we_never_sent_is_no_measure(wrong: int) -> None:
    call = session()
    last_sr = middle_of(report(call, 1 * S)) + wrong
    call.received(ReceiverReport(THEIRS, (about_us(last_sr),)).pack(), 1_100_000)
    assert call.rtt_us is None


def test_a_report_of_long_ago_is_forgotten() -> None:
    call = session()
    last_sr = middle_of(report(call, 1 * S))
    for at in range(2, 18):
        report(call, at * S)
    call.received(ReceiverReport(THEIRS, (about_us(last_sr, 16 * 65536),)).pack(), 17_100_000)
    assert call.rtt_us is None


def test_a_wrong_figure_does_not_replace_a_right_one() -> None:
    call = session()
    last_sr = middle_of(report(call, 1 * S))
    call.received(ReceiverReport(THEIRS, (about_us(last_sr),)).pack(), 1_100_000)
    told = call.received(ReceiverReport(THEIRS, (about_us(last_sr, 5 * 65536),)).pack(), 1_200_000)
    assert (told.rtt_us, call.rtt_us) == (None, 100_000)


# --- what the other side tells ---


def test_the_others_view_of_our_stream() -> None:
    call = session()
    blocks = (ReportBlock(0x0D, 255, 9, 9, 9), about_us(lost=12, jitter=80))
    call.received(ReceiverReport(THEIRS, blocks).pack(), 4 * S)
    assert call.remote == RemoteView(0.25, 12, 10.0, 4 * S)
    call.received(SenderReport(THEIRS, 1, 1, 1, 1, (about_us(lost=-3),)).pack(), 9 * S)
    assert call.remote == RemoteView(0.25, 0, 0.0, 9 * S)


@pytest.mark.parametrize(
    ("compound", "bye"),
    [
        ((ReceiverReport(THEIRS), Bye((THEIRS,), "moving")), "moving"),
        ((Bye((THEIRS,)),), ""),
        ((Bye((OURS,)),), None),
        ((ReceiverReport(THEIRS),), None),
    ],
)
def test_a_bye_is_told(compound: tuple[RtcpPacket, ...], bye: str | None) -> None:
    call = session()
    assert call.received(pack(compound), 1 * S) == Received(True, None, bye)


def test_a_bye_ends_no_call() -> None:
    call = session()
    call.start(0, 0.5)
    call.received(Bye((THEIRS,)).pack(), 1 * S)
    assert call.due(3 * S)


def test_reflected_packets_tell_nothing() -> None:
    call = session()
    datagram = report(call, 1 * S, reception=heard(1, 2))
    assert call.received(datagram, 1_100_000) == Received()
    call.received(ReceiverReport(OURS, (about_us(middle_of(datagram)),)).pack(), 1_100_000)
    assert (call.rtt_us, call.remote) == (None, None)


@pytest.mark.parametrize("datagram", ["81cd0003 00000001 00000002 00010000", "81ce0002 00000001 00000002"])
def test_feedback_alone_tells_nothing(datagram: str) -> None:
    """RFC 4585: what an AVPF sender sends between its reports."""
    call = session()
    assert call.received(bytes.fromhex(datagram), 1 * S) == Received()


def test_what_is_no_rtcp_is_counted() -> None:
    call = session()
    assert call.received(b"\x80\x00", 1 * S) == Received(valid=False)
    assert call.invalid == 1


blocks = st.builds(
    ReportBlock,
    st.just(OURS),
    st.integers(0, 255),
    st.integers(-0x800000, 0x7FFFFF),
    *[st.integers(0, 0xFFFFFFFF)] * 2,
    st.integers(0, 15),
    st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(0, 300_000)),
)


@given(
    st.lists(st.tuples(st.integers(-60 * S, 60 * S), st.one_of(blocks, st.binary(max_size=80), st.none())), max_size=30)
)
def test_whatever_comes_and_however_time_goes_no_figure_is_negative(
    steps: list[tuple[int, ReportBlock | bytes | None]],
) -> None:
    call, times, now_us, sent = session(xr=True), [0], 0, 0
    for passes_us, what in steps:
        now_us, sent = now_us + passes_us, sent + 1
        if what is None:
            times.append(middle_of(report(call, now_us, Sent(sent, sent, sent))))
        elif isinstance(what, bytes):
            call.received(what, now_us)
        else:
            last_sr = times[what.last_sr % len(times)]
            block = ReportBlock(OURS, what.fraction_lost, what.cumulative_lost, 0, what.jitter, last_sr, 0)
            call.received(ReceiverReport(THEIRS, (block,)).pack(), now_us)
        assert call.rtt_us is None or 0 <= call.rtt_us <= MAX_RTT_US
        if call.remote is not None:
            assert call.remote.lost >= 0
            assert 0 <= call.remote.fraction_lost < 1
