"""The RTCP of one call (RFC 3550 §6): when to report and what, and what the other side's reports tell.

A call has two members, so that the interval is the shortest one and nobody is counted or timed out. Times are call time
in microseconds; no clock and no randomness inside.
"""

from collections import deque
from dataclasses import dataclass

from services.gateway.reception import Reception
from services.gateway.rtcp import (
    Bye,
    Dlrr,
    ExtendedReport,
    LastReferenceTime,
    ReceiverReport,
    ReferenceTime,
    ReportBlock,
    RtcpInvalid,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    VoipMetrics,
    XrBlock,
    pack,
    parse,
)

INTERVAL_US = 5_000_000  # RFC 3550 §6.2: the minimum, which two members never exceed
# RFC 3550 §6.3.1: timer reconsideration makes intervals longer on average by this (e - 3/2).
_COMPENSATION = 1.21828

# RFC 3550 §6.4.1 has no bound; no call is held over more, so that longer ones come from a wrong LSR or DLSR.
MAX_RTT_US = 5_000_000
# Clocks that drift apart and the 15 us that DLSR is rounded by: on a short way a little less than nothing comes out.
_ROUNDING_US = 1_000
# Reports of ours that an answer may still refer to: over a minute of them.
_REMEMBERED = 16

_NTP_EPOCH_S = 2_208_988_800  # 1900 to 1970
_UINT32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Sent:
    """What we have sent so far: packets, octets of payload, and the RTP timestamp of the present moment."""

    packets: int
    octets: int
    rtp_timestamp: int


@dataclass(frozen=True, slots=True)
class RemoteView:
    """What the other side got of our stream, by its last report.

    Losses are of packets: since its report before (0 to 1), and in all (never negative, though duplicates make a
    report say so).
    """

    fraction_lost: float
    lost: int
    jitter_ms: float
    reported_us: int


@dataclass(frozen=True, slots=True)
class Received:
    """What one datagram told: whether it was RTCP at all, a new round-trip time, and the other side's BYE.

    `bye` is the reason it gave, "" without one, None without BYE. It ends no call: that is for the signalling, and
    a device that changes its SSRC says BYE for the old one.
    """

    valid: bool = True
    rtt_us: int | None = None
    bye: str | None = None


class RtcpSession:
    """One call's RTCP. `report` is to be called when `due`; what it returns is to be sent."""

    def __init__(self, ssrc: int, cname: str, clock_hz: int, began_unix_us: int, *, xr: bool = False) -> None:
        """`clock_hz` is that of the stream we send; `began_unix_us` is the wall clock at call time 0.

        The wall clock is read once a call: NTP times that follow the call's clock never go backwards when the
        machine's time is set (RFC 3550 §6.4.1 asks for no more). `xr` is whether the other side asked for VoIP
        metrics (RFC 3611 §5.1).
        """
        self.ssrc = ssrc
        self.cname = cname
        self.clock_hz = clock_hz
        self.rtt_us: int | None = None
        self.remote: RemoteView | None = None
        self.invalid = 0
        self.next_us: int | None = None
        self.xr = xr
        self._began_unix_us = began_unix_us
        self._reports = 0
        self._sent_packets = 0
        # Middle 32 bits of the NTP time in each report of ours, and when it left.
        self._times: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        # The last SR and reference time of the other side: SSRC, middle 32 bits, arrival.
        self._last_sr: tuple[int, int, int] | None = None
        self._last_reference: tuple[int, int, int] | None = None

    def start(self, now_us: int, random: float) -> None:
        """Media flows from now on; `random` is uniform from 0 to 1. The first report comes after half the interval."""
        self.next_us = now_us + _interval_us(random) // 2

    def due(self, now_us: int) -> bool:
        return self.next_us is not None and now_us >= self.next_us

    def report(
        self,
        now_us: int,
        sent: Sent,
        reception: Reception,
        remote_ssrc: int | None,
        random: float,
        voip: VoipMetrics | None = None,
    ) -> bytes:
        """The compound packet to send now, and the next one's time is set.

        `remote_ssrc` is that of the RTP now heard, None before the first; `voip` is how it sounds, sent only where
        it was asked for.
        """
        self.next_us = now_us + _interval_us(random)
        return pack(self._compound(now_us, sent, reception, remote_ssrc, voip))

    def bye(
        self, now_us: int, sent: Sent, reception: Reception, remote_ssrc: int | None, voip: VoipMetrics | None = None
    ) -> bytes:
        """The last packet of the call; empty when nothing was ever sent, for such a member never joined (§6.3.7)."""
        self.next_us = None
        if not sent.packets and not self._reports:
            return b""
        return pack((*self._compound(now_us, sent, reception, remote_ssrc, voip), Bye((self.ssrc,))))

    def received(self, datagram: bytes, now_us: int) -> Received:
        """A datagram from the call's source; anything may stand in it."""
        try:
            packets = parse(datagram)
        except RtcpInvalid:
            self.invalid += 1
            return Received(valid=False)
        rtt_us: int | None = None
        bye: str | None = None
        for packet in packets:
            if isinstance(packet, SourceDescription):
                continue
            if isinstance(packet, Bye):
                if any(ssrc != self.ssrc for ssrc in packet.ssrcs):
                    bye = packet.reason
            # Our own SSRC: a reflected packet (an echo, a loop), or a collision (§8.2). It tells nothing.
            elif packet.ssrc != self.ssrc:
                rtt_us = _first_known(self._heard(packet, now_us), rtt_us)
        return Received(True, rtt_us, bye)

    def _heard(self, packet: SenderReport | ReceiverReport | ExtendedReport, now_us: int) -> int | None:
        """Takes in what a packet says; the round-trip time, where it tells one."""
        if isinstance(packet, ExtendedReport):
            return self._extended(packet, now_us)
        if isinstance(packet, SenderReport):
            self._last_sr = (packet.ssrc, _middle(packet.ntp), now_us)
        for block in packet.reports:
            if block.ssrc == self.ssrc:
                jitter_ms = block.jitter * 1000 / self.clock_hz
                lost = max(block.cumulative_lost, 0)
                self.remote = RemoteView(block.fraction_lost / 256, lost, jitter_ms, now_us)
                return self._round_trip(block.last_sr, block.delay_since_last_sr, now_us)
        return None

    def _extended(self, packet: ExtendedReport, now_us: int) -> int | None:
        rtt_us: int | None = None
        for block in packet.blocks:
            if isinstance(block, ReferenceTime):
                self._last_reference = (packet.ssrc, _middle(block.ntp), now_us)
            elif isinstance(block, Dlrr):
                for answer in block.answers:
                    if answer.ssrc == self.ssrc:
                        found = self._round_trip(answer.last_rr, answer.delay_since_last_rr, now_us)
                        rtt_us = _first_known(found, rtt_us)
        return rtt_us

    def _round_trip(self, last: int, delay: int, now_us: int) -> int | None:
        """RFC 3550 §6.4.1, by when the report that is answered left and not by its NTP time.

        So a time that we never sent counts for nothing, and neither a step of the wall clock nor a made-up delay gives
        a wrong figure.
        """
        left_us = next((left_us for time, left_us in self._times if time == last), None) if last else None
        if left_us is None:
            return None
        rtt_us = now_us - left_us - delay * 1_000_000 // 65_536
        if not -_ROUNDING_US <= rtt_us <= MAX_RTT_US:
            return None
        self.rtt_us = max(rtt_us, 0)
        return self.rtt_us

    def _compound(
        self, now_us: int, sent: Sent, reception: Reception, remote_ssrc: int | None, voip: VoipMetrics | None
    ) -> tuple[RtcpPacket, ...]:
        ntp = _ntp(self._began_unix_us + now_us)
        self._times.append((_middle(ntp), now_us))
        self._reports += 1
        reports = self._report_blocks(now_us, reception, remote_ssrc)
        sends, self._sent_packets = sent.packets > self._sent_packets, sent.packets
        first: SenderReport | ReceiverReport
        if sends:
            counts = (sent.rtp_timestamp & _UINT32, sent.packets & _UINT32, sent.octets & _UINT32)
            first = SenderReport(self.ssrc, ntp, *counts, reports)
        else:
            first = ReceiverReport(self.ssrc, reports)
        blocks = self._xr_blocks(now_us, ntp, sends, voip)
        extended = (ExtendedReport(self.ssrc, blocks),) if blocks else ()
        return (first, SourceDescription(((self.ssrc, self.cname),)), *extended)

    def _report_blocks(self, now_us: int, reception: Reception, remote_ssrc: int | None) -> tuple[ReportBlock, ...]:
        interval = reception.interval() if remote_ssrc is not None else None
        if interval is None or remote_ssrc is None:
            return ()
        last_sr, delay = 0, 0
        if self._last_sr is not None and self._last_sr[0] == remote_ssrc:
            last_sr, delay = self._last_sr[1], _since(self._last_sr[2], now_us)
        return (
            ReportBlock(
                remote_ssrc,
                interval.fraction_lost,
                interval.cumulative_lost,
                interval.highest_sequence,
                interval.jitter,
                last_sr,
                delay,
            ),
        )

    def _xr_blocks(self, now_us: int, ntp: int, sends: bool, voip: VoipMetrics | None) -> tuple[XrBlock, ...]:
        blocks: list[XrBlock] = []
        if self.xr and not sends:
            # RFC 3611 §4.4: who sends no SR measures the round trip by its own reference time.
            blocks.append(ReferenceTime(ntp))
        if self._last_reference is not None:
            ssrc, time, arrived_us = self._last_reference
            blocks.append(Dlrr((LastReferenceTime(ssrc, time, _since(arrived_us, now_us)),)))
        if self.xr and voip is not None:
            blocks.append(voip)
        return tuple(blocks)


def _interval_us(random: float) -> int:
    return int(INTERVAL_US * (0.5 + random) / _COMPENSATION)


def _ntp(unix_us: int) -> int:
    """64-bit NTP time (RFC 3550 §4)."""
    return ((unix_us << 32) // 1_000_000 + (_NTP_EPOCH_S << 32)) & 0xFFFFFFFFFFFFFFFF


def _middle(ntp: int) -> int:
    return ntp >> 16 & _UINT32


def _since(then_us: int, now_us: int) -> int:
    """In 1/65536 s."""
    return min(max(now_us - then_us, 0) * 65_536 // 1_000_000, _UINT32)


def _first_known(new: int | None, old: int | None) -> int | None:
    return old if new is None else new
