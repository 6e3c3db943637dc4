"""How one call's audio came through: the figures of its record, its trace and its metrics."""

from dataclasses import dataclass

from services.gateway.emodel import IMPAIRMENTS, rate
from services.gateway.reception import GMIN, Reception
from services.gateway.rtcp import VoipMetrics
from services.gateway.rtcp_session import RtcpSession


@dataclass(frozen=True, slots=True)
class CallQuality:
    """What we received of the caller, and what the caller's RTCP says it got of us.

    Shares are in percent; R and MOS as emodel.Rating tells, None before the first packet. `loss_pct` is of packets
    that never came; with `discarded` (came too late to be played) it makes up the loss that MOS is of. A figure that
    only the other side's RTCP can tell is None without it.
    """

    codec: str
    expected: int = 0
    received: int = 0
    lost: int = 0
    discarded: int = 0
    duplicates: int = 0
    reordered: int = 0
    loss_pct: float = 0.0
    discard_pct: float = 0.0
    burst_ratio: float = 1.0
    jitter_mean_ms: float = 0.0
    jitter_max_ms: float = 0.0
    rtt_ms: float | None = None
    remote_loss_pct: float | None = None
    remote_jitter_ms: float | None = None
    r: float | None = None
    mos_listening: float | None = None
    mos_conversational: float | None = None


def call_quality(
    reception: Reception,
    session: RtcpSession | None,
    codec: str,
    playout_delay_ms: float,
    *,
    packet_ms: float = 20.0,
    discarded: int | None = None,
    packets_sent: int | None = None,
) -> CallQuality:
    """The call so far, or the whole of it at its end.

    `codec` is as in the trunk's settings; `playout_delay_ms` is what our jitter buffer adds; `packet_ms` the length of
    the other side's packets. `discarded` is the number of late packets where the buffer counts them itself and does
    not tell `Reception.discard`. `packets_sent` are ours, to make a percentage of what the other side lost; without it
    that is of the last interval it reported.

    Raises ValueError for a codec without E-model values.
    """
    impairment = IMPAIRMENTS.get(codec.lower())
    if impairment is None:
        raise ValueError(f"no E-model values for codec {codec!r}: add it to emodel.IMPAIRMENTS")
    remote = session.remote if session is not None else None
    rtt_ms = session.rtt_us / 1000 if session is not None and session.rtt_us is not None else None
    remote_loss_pct: float | None = None
    if remote is not None:
        share = min(remote.lost / packets_sent, 1.0) if packets_sent else remote.fraction_lost
        remote_loss_pct = 100 * share
    expected, lost = reception.expected, reception.lost
    late = min(reception.discarded if discarded is None else discarded, expected - lost)
    loss_pct, discard_pct = _percent(lost, expected), _percent(late, expected)
    burst_ratio = reception.bursts().ratio
    # Mouth to ear: the packet is spoken, travels, and waits to be played.
    delay_ms = packet_ms + (rtt_ms or 0.0) / 2 + playout_delay_ms
    rating = rate(impairment, loss_pct + discard_pct, burst_ratio, delay_ms) if expected else None
    return CallQuality(
        codec=codec,
        expected=expected,
        received=reception.received,
        lost=lost,
        discarded=late,
        duplicates=reception.duplicates,
        reordered=reception.reordered,
        loss_pct=loss_pct,
        discard_pct=discard_pct,
        burst_ratio=burst_ratio,
        jitter_mean_ms=reception.jitter_mean_ms,
        jitter_max_ms=reception.jitter_max_ms,
        rtt_ms=rtt_ms,
        remote_loss_pct=remote_loss_pct,
        remote_jitter_ms=remote.jitter_ms if remote is not None else None,
        r=rating.r if rating else None,
        mos_listening=rating.mos_listening if rating else None,
        mos_conversational=rating.mos_conversational if rating else None,
    )


def voip_metrics(
    quality: CallQuality, reception: Reception, ssrc: int, playout_delay_ms: float, packet_ms: float = 20.0
) -> VoipMetrics:
    """The same for the other side, as an XR block about its stream `ssrc` (RFC 3611 §4.7)."""
    bursts = reception.bursts()
    narrow_band = quality.r is not None and not IMPAIRMENTS[quality.codec.lower()].wide_band
    playout_ms = _clamp(playout_delay_ms, 0xFFFF)
    return VoipMetrics(
        ssrc=ssrc,
        loss_rate=_clamp(quality.loss_pct * 2.56, 255),
        discard_rate=_clamp(quality.discard_pct * 2.56, 255),
        burst_density=_clamp(bursts.burst_density * 256, 255),
        gap_density=_clamp(bursts.gap_density * 256, 255),
        burst_duration_ms=_clamp(bursts.mean_burst_packets * packet_ms, 0xFFFF),
        gap_duration_ms=_clamp(bursts.mean_gap_packets * packet_ms, 0xFFFF),
        round_trip_ms=_clamp(quality.rtt_ms or 0.0, 0xFFFF),
        end_system_delay_ms=_clamp(playout_delay_ms + packet_ms, 0xFFFF),
        gmin=GMIN,
        # §4.7.5: 127 is "unavailable"; the block's R is on the narrow-band scale.
        r_factor=_clamp(quality.r or 0.0, 100) if narrow_band else 127,
        mos_listening_tenths=_tenths(quality.mos_listening),
        mos_conversational_tenths=_tenths(quality.mos_conversational),
        jitter_buffer_nominal_ms=playout_ms,
        jitter_buffer_maximum_ms=playout_ms,
        jitter_buffer_absolute_maximum_ms=playout_ms,
    )


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _clamp(value: float, most: int) -> int:
    return max(0, min(round(value), most))


def _tenths(mos: float | None) -> int:
    return 127 if mos is None else _clamp(10 * mos, 50)
