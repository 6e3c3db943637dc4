"""RTCP packets (RFC 3550 §6) and their extended reports (RFC 3611): SR, RR, SDES CNAME, BYE, XR.

`parse` is for what the network sends: it raises RtcpInvalid and nothing else, and gives what can be read of a
datagram that goes wrong further on. Reduced-size datagrams (RFC 5506) are as good as compound ones. What a call does
not need (APP, feedback of RFC 4585, unknown types, other SDES items, other XR blocks) is skipped.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION, GOODBYE, EXTENDED_REPORT = 200, 201, 202, 203, 207

# No call's datagram holds more; what a flood sends beyond it costs nothing.
MAX_PACKETS = 16
# Counts have five bits (RFC 3550 §6.4); XR has no count, and is bound to the same.
MAX_REPORTS = 31

_HEADER = struct.Struct("!BBH")
_SSRC = struct.Struct("!I")
_SENDER = struct.Struct("!IQIII")
_REPORT = struct.Struct("!IB3sIIII")
_CNAME = 1
_XR_HEADER = struct.Struct("!BBH")
_REFERENCE_TIME, _DLRR, _VOIP_METRICS = 4, 5, 7
_DLRR_REPORT = struct.Struct("!III")
_VOIP = struct.Struct("!I4B4H2b7BxHHH")


class RtcpInvalid(ValueError):
    """A datagram that is not RTCP."""


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What one receiver got of one stream (RFC 3550 §6.4.1).

    `fraction_lost` is in 1/256 since the report before; `cumulative_lost` is a signed 24-bit number (duplicates may
    make it negative); `jitter` is in units of the stream's RTP clock; `last_sr` and `delay_since_last_sr` are in
    1/65536 s, both 0 where no SR has come.
    """

    ssrc: int
    fraction_lost: int
    cumulative_lost: int
    highest_sequence: int
    jitter: int
    last_sr: int = 0
    delay_since_last_sr: int = 0


@dataclass(frozen=True, slots=True)
class SenderReport:
    """`ntp` is a 64-bit NTP timestamp: seconds since 1900 in 1/2**32 s (RFC 3550 §4)."""

    ssrc: int
    ntp: int
    rtp_timestamp: int
    packets: int
    octets: int
    reports: tuple[ReportBlock, ...] = ()

    def pack(self) -> bytes:
        sender = _SENDER.pack(self.ssrc, self.ntp, self.rtp_timestamp, self.packets, self.octets)
        return _packet(SENDER_REPORT, len(self.reports), sender + _pack_reports(self.reports))


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    ssrc: int
    reports: tuple[ReportBlock, ...] = ()

    def pack(self) -> bytes:
        return _packet(RECEIVER_REPORT, len(self.reports), _SSRC.pack(self.ssrc) + _pack_reports(self.reports))


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """SDES (RFC 3550 §6.5): (SSRC, CNAME) of each chunk; the CNAME is "" where a chunk has none."""

    chunks: tuple[tuple[int, str], ...]

    def pack(self) -> bytes:
        """Raises ValueError for a CNAME of more than 255 bytes in UTF-8."""
        body = b""
        for ssrc, cname in self.chunks:
            name = cname.encode()
            if len(name) > 255:
                raise ValueError(f"a CNAME has at most 255 bytes, not {len(name)}")
            chunk = _SSRC.pack(ssrc) + (bytes((_CNAME, len(name))) + name if name else b"")
            # The list of items ends with one to four zero bytes, up to the next word.
            body += chunk + bytes(4 - len(chunk) % 4)
        return _packet(SOURCE_DESCRIPTION, len(self.chunks), body)


@dataclass(frozen=True, slots=True)
class Bye:
    """These sources send no more (RFC 3550 §6.6)."""

    ssrcs: tuple[int, ...]
    reason: str = ""

    def pack(self) -> bytes:
        body = b"".join(map(_SSRC.pack, self.ssrcs))
        if self.reason:
            text = self.reason.encode()[:255]
            body += bytes((len(text),)) + text
        return _packet(GOODBYE, len(self.ssrcs), body + bytes(-len(body) % 4))


@dataclass(frozen=True, slots=True)
class ReferenceTime:
    """The time at a receiver that sends no SR, to be answered by a DLRR block (RFC 3611 §4.4)."""

    ntp: int

    def pack(self) -> bytes:
        return _XR_HEADER.pack(_REFERENCE_TIME, 0, 2) + self.ntp.to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class LastReferenceTime:
    """One answer of a DLRR block (RFC 3611 §4.5): to which receiver, its time's middle bits, and the delay since it
    came, both in 1/65536 s."""

    ssrc: int
    last_rr: int
    delay_since_last_rr: int


@dataclass(frozen=True, slots=True)
class Dlrr:
    answers: tuple[LastReferenceTime, ...]

    def pack(self) -> bytes:
        body = b"".join(_DLRR_REPORT.pack(one.ssrc, one.last_rr, one.delay_since_last_rr) for one in self.answers)
        return _XR_HEADER.pack(_DLRR, 0, len(body) // 4) + body


@dataclass(frozen=True, slots=True)
class VoipMetrics:
    """How a stream sounds to its receiver (RFC 3611 §4.7); the defaults mean "unavailable".

    Rates and densities in 1/256, durations and delays in ms, levels in dBm0, R factors 0 to 100, MOS times ten.
    """

    ssrc: int
    loss_rate: int
    discard_rate: int
    burst_density: int
    gap_density: int
    burst_duration_ms: int
    gap_duration_ms: int
    round_trip_ms: int = 0
    end_system_delay_ms: int = 0
    signal_level_dbm0: int = 127
    noise_level_dbm0: int = 127
    residual_echo_return_loss_db: int = 127
    gmin: int = 16
    r_factor: int = 127
    external_r_factor: int = 127
    mos_listening_tenths: int = 127
    mos_conversational_tenths: int = 127
    receiver_configuration: int = 0
    jitter_buffer_nominal_ms: int = 0
    jitter_buffer_maximum_ms: int = 0
    jitter_buffer_absolute_maximum_ms: int = 0

    def pack(self) -> bytes:
        body = _VOIP.pack(*(getattr(self, name) for name in self.__slots__))
        return _XR_HEADER.pack(_VOIP_METRICS, 0, len(body) // 4) + body


XrBlock = ReferenceTime | Dlrr | VoipMetrics


@dataclass(frozen=True, slots=True)
class ExtendedReport:
    ssrc: int
    blocks: tuple[XrBlock, ...]

    def pack(self) -> bytes:
        return _packet(EXTENDED_REPORT, 0, _SSRC.pack(self.ssrc) + b"".join(block.pack() for block in self.blocks))


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Bye | ExtendedReport


def pack(packets: tuple[RtcpPacket, ...]) -> bytes:
    """One datagram of these packets; RFC 3550 §6.1 wants an SR or RR first, then SDES."""
    return b"".join(packet.pack() for packet in packets)


def parse(datagram: bytes) -> tuple[RtcpPacket, ...]:
    """The packets that can be read, in order; none of them where all are of kinds that a call does not need.

    Raises RtcpInvalid when already the first header is wrong: too short, wrong version, no RTCP type, cut.
    """
    found: list[RtcpPacket] = []
    at = 0
    for _ in range(MAX_PACKETS):
        if at and at == len(datagram):
            break
        problem = _wrong_at(datagram, at)
        if problem is not None:
            if at == 0:
                raise RtcpInvalid(problem)
            break
        first, kind, words = _HEADER.unpack_from(datagram, at)
        end = at + 4 + 4 * words
        body = datagram[at + 4 : end]
        if first & 0x20:
            padding = body[-1] if body else 0
            body = body[: len(body) - padding] if 0 < padding <= len(body) else b""
        read = _READERS.get(kind)
        packet = read(body, first & 0x1F) if read is not None else None
        if packet is not None:
            found.append(packet)
        at = end
    return tuple(found)


def _wrong_at(datagram: bytes, at: int) -> str | None:
    if len(datagram) - at < _HEADER.size:
        return f"{len(datagram) - at} bytes are too few for an RTCP header"
    first, kind, words = _HEADER.unpack_from(datagram, at)
    if first >> 6 != 2:
        return f"RTCP version {first >> 6}"
    # RFC 5761 §4: the types that can't be an RTP packet's marker and payload type.
    if not 192 <= kind <= 223:
        return f"no RTCP packet type: {kind}"
    if at + 4 + 4 * words > len(datagram):
        return f"cut: {4 + 4 * words} bytes told, {len(datagram) - at} there"
    return None


def _packet(kind: int, count: int, body: bytes) -> bytes:
    if count > MAX_REPORTS:
        raise ValueError(f"an RTCP packet holds at most {MAX_REPORTS} blocks, not {count}")
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def _pack_reports(reports: tuple[ReportBlock, ...]) -> bytes:
    return b"".join(
        _REPORT.pack(
            one.ssrc,
            one.fraction_lost,
            (one.cumulative_lost & 0xFFFFFF).to_bytes(3, "big"),
            one.highest_sequence,
            one.jitter,
            one.last_sr,
            one.delay_since_last_sr,
        )
        for one in reports
    )


def _read_reports(body: bytes, at: int, count: int) -> tuple[ReportBlock, ...]:
    there = min(count, (len(body) - at) // _REPORT.size)
    found = []
    for each in range(there):
        ssrc, fraction, lost, highest, jitter, last_sr, delay = _REPORT.unpack_from(body, at + each * _REPORT.size)
        found.append(
            ReportBlock(ssrc, fraction, int.from_bytes(lost, "big", signed=True), highest, jitter, last_sr, delay)
        )
    return tuple(found)


def _read_sender_report(body: bytes, count: int) -> SenderReport | None:
    if len(body) < _SENDER.size:
        return None
    ssrc, ntp, rtp_timestamp, packets, octets = _SENDER.unpack_from(body)
    return SenderReport(ssrc, ntp, rtp_timestamp, packets, octets, _read_reports(body, _SENDER.size, count))


def _read_receiver_report(body: bytes, count: int) -> ReceiverReport | None:
    if len(body) < _SSRC.size:
        return None
    return ReceiverReport(_SSRC.unpack_from(body)[0], _read_reports(body, _SSRC.size, count))


def _read_source_description(body: bytes, count: int) -> SourceDescription | None:
    chunks: list[tuple[int, str]] = []
    at = 0
    while len(chunks) < count and at + _SSRC.size <= len(body):
        start, cname = at, ""
        at += _SSRC.size
        while at + 2 <= len(body) and body[at]:
            length = body[at + 1]
            if at + 2 + length > len(body):
                return SourceDescription(tuple(chunks)) if chunks else None
            if body[at] == _CNAME:
                cname = body[at + 2 : at + 2 + length].decode(errors="replace")
            at += 2 + length
        chunks.append((_SSRC.unpack_from(body, start)[0], cname))
        at += 4 - at % 4
    return SourceDescription(tuple(chunks))


def _read_bye(body: bytes, count: int) -> Bye | None:
    there = min(count, len(body) // 4)
    ssrcs = tuple(_SSRC.unpack_from(body, 4 * each)[0] for each in range(there))
    at = 4 * there
    reason = body[at + 1 : at + 1 + body[at]].decode(errors="replace") if there == count and at < len(body) else ""
    return Bye(ssrcs, reason)


def _read_extended_report(body: bytes, _count: int) -> ExtendedReport | None:
    if len(body) < _SSRC.size:
        return None
    return ExtendedReport(_SSRC.unpack_from(body)[0], tuple(_read_blocks(body)))


def _read_blocks(body: bytes) -> Iterator[XrBlock]:
    at = _SSRC.size
    for _ in range(MAX_REPORTS):
        if at + _XR_HEADER.size > len(body):
            return
        kind, _specific, words = _XR_HEADER.unpack_from(body, at)
        start, at = at + 4, at + 4 + 4 * words
        if at > len(body):
            return
        if kind == _REFERENCE_TIME and words >= 2:
            yield ReferenceTime(int.from_bytes(body[start : start + 8], "big"))
        elif kind == _DLRR:
            most = range(min(words // 3, MAX_REPORTS))
            yield Dlrr(tuple(LastReferenceTime(*_DLRR_REPORT.unpack_from(body, start + 12 * each)) for each in most))
        elif kind == _VOIP_METRICS and words >= _VOIP.size // 4:
            yield VoipMetrics(*_VOIP.unpack_from(body, start))


_READERS: dict[int, Callable[[bytes, int], RtcpPacket | None]] = {
    SENDER_REPORT: _read_sender_report,
    RECEIVER_REPORT: _read_receiver_report,
    SOURCE_DESCRIPTION: _read_source_description,
    GOODBYE: _read_bye,
    EXTENDED_REPORT: _read_extended_report,
}
