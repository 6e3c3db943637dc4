"""A call's quality: the figures of its record are those of what was received and reported."""

from dataclasses import asdict

import pytest

from services.gateway.quality import CallQuality, call_quality, voip_metrics
from services.gateway.reception import Reception
from services.gateway.rtcp import ExtendedReport, ReceiverReport, ReportBlock, SenderReport, parse
from services.gateway.rtcp_session import RtcpSession, Sent

OURS, THEIRS = 7, 8
MS = 1000


def heard(sequences: list[int], discarded: tuple[int, ...] = ()) -> Reception:
    reception = Reception(8000)
    for sequence in sequences:
        reception.packet(sequence, sequence * 160, sequence * 20 * MS)
    for sequence in discarded:
        reception.discard(sequence)
    return reception


def session(rtt_ms: int | None, lost: int = 0, jitter: int = 0) -> RtcpSession:
    """One that has got a report."""
    call = RtcpSession(OURS, "call@tandem", 8000, 0)
    report = parse(call.report(1_000_000, Sent(100, 16_000, 0), Reception(8000), None, 0.5))[0]
    assert isinstance(report, SenderReport)
    last_sr = report.ntp >> 16 & 0xFFFFFFFF if rtt_ms is not None else 0
    block = ReportBlock(OURS, 32, lost, 100, jitter, last_sr, 0)
    call.received(ReceiverReport(THEIRS, (block,)).pack(), 1_000_000 + (rtt_ms or 0) * MS)
    return call


def test_a_clean_call() -> None:
    quality = call_quality(heard(list(range(100))), session(40, jitter=16), "pcmu", 40, packets_sent=100)
    assert asdict(quality) == asdict(
        CallQuality(
            codec="pcmu",
            expected=100,
            received=100,
            rtt_ms=40.0,
            remote_loss_pct=0.0,
            remote_jitter_ms=2.0,
            r=93.2,
            mos_listening=quality.mos_listening,
            mos_conversational=quality.mos_conversational,
        )
    )
    assert round(quality.mos_listening or 0, 2) == round(quality.mos_conversational or 0, 2) == 4.41


def test_losses_and_late_packets_count_together_for_the_ear() -> None:
    reception = heard([at for at in range(100) if at not in (20, 60)], discarded=(40, 80))
    quality = call_quality(reception, None, "pcma", 40)
    assert (quality.lost, quality.discarded, quality.received) == (2, 2, 98)
    assert (quality.loss_pct, quality.discard_pct) == (2.0, 2.0)
    assert quality.r == pytest.approx(93.2 - 95 * 4 / 29.1)
    told_apart = call_quality(heard([at for at in range(100) if at not in (20, 60)]), None, "pcma", 40, discarded=2)
    assert told_apart.r == quality.r


def test_bursts_sound_worse_than_the_same_loss_at_random() -> None:
    at_random = call_quality(heard([at for at in range(1000) if at % 20 != 10]), None, "pcmu", 40)
    in_bursts = call_quality(heard([at for at in range(1000) if at % 200 not in range(50, 60)]), None, "pcmu", 40)
    assert at_random.loss_pct == in_bursts.loss_pct == 5.0
    assert in_bursts.burst_ratio == pytest.approx(9.5)
    assert (in_bursts.r or 0) < (at_random.r or 0)


def test_delay_counts_in_conversation_only() -> None:
    """20 ms of packet, 150 ms of way, 130 ms of playout: Ta of 300 ms."""
    quality = call_quality(heard(list(range(50))), session(300), "pcmu", 130)
    assert quality.r == pytest.approx(93.2 - 14.76, abs=0.01)
    assert (quality.mos_listening or 0) > (quality.mos_conversational or 0)


@pytest.mark.parametrize(("lost", "sent", "pct"), [(5, 100, 5.0), (0, 100, 0.0), (500, 100, 100.0), (5, None, 12.5)])
def test_what_the_other_side_lost(lost: int, sent: int | None, pct: float) -> None:
    assert call_quality(heard([1]), session(None, lost=lost), "pcmu", 40, packets_sent=sent).remote_loss_pct == pct


def test_a_call_in_which_nothing_came() -> None:
    quality = call_quality(Reception(8000), None, "opus", 40)
    assert quality == CallQuality(codec="opus")
    assert voip_metrics(quality, Reception(8000), THEIRS, 40).mos_listening_tenths == 127


def test_a_wide_band_call_has_a_longer_scale() -> None:
    quality = call_quality(heard(list(range(50))), None, "G722", 40)
    assert quality.r == 116.0
    metrics = voip_metrics(quality, heard(list(range(50))), THEIRS, 40)
    assert (metrics.r_factor, metrics.mos_listening_tenths) == (127, 43)


def test_a_codec_without_values_is_named() -> None:
    with pytest.raises(ValueError, match="no E-model values for codec 'g729'"):
        call_quality(heard([1]), None, "g729", 40)


def test_the_xr_block_says_the_same() -> None:
    reception = heard([at for at in range(60) if at not in (50, 52)], discarded=(51,))
    for at in range(60, 200):
        if at != 150:
            reception.packet(at, at * 160, at * 20 * MS)
    metrics = voip_metrics(call_quality(reception, session(80), "pcmu", 60), reception, THEIRS, 60)
    assert (metrics.loss_rate, metrics.discard_rate) == (4, 1)
    assert (metrics.burst_density, metrics.burst_duration_ms) == (255, 60)
    assert (metrics.gap_density, metrics.gap_duration_ms) == (1, 1970)
    assert (metrics.round_trip_ms, metrics.end_system_delay_ms, metrics.gmin) == (80, 80, 16)
    assert metrics.r_factor in range(80, 94)
    report = ExtendedReport(OURS, (metrics,))
    assert parse(report.pack()) == (report,)
