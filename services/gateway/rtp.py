"""RTP packets (RFC 3550 §5.1) and their sequence numbers (appendix A.1)."""

import struct
from dataclasses import dataclass

_HEADER = struct.Struct("!BBHII")
HEADER_BYTES = _HEADER.size

# RFC 3550 appendix A.1: a jump further than this is another stream, or a sender that started again.
MAX_DROPOUT = 3000
MAX_MISORDER = 100


class RtpInvalid(ValueError):
    """A datagram that is not an RTP packet."""


@dataclass(slots=True)
class RtpPacket:
    """Not frozen, which would triple what making one costs: 50 a second come from every call."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    def pack(self) -> bytes:
        """The datagram; no CSRC, extension or padding."""
        second = self.payload_type | (0x80 if self.marker else 0)
        return _HEADER.pack(0x80, second, self.sequence, self.timestamp, self.ssrc) + self.payload

    @classmethod
    def parse(cls, datagram: bytes) -> "RtpPacket":
        """Raises RtpInvalid: wrong version, RTCP, or lengths that point past the end."""
        if len(datagram) < HEADER_BYTES:
            raise RtpInvalid(f"{len(datagram)} bytes are too few for an RTP header")
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
        if first >> 6 != 2:
            raise RtpInvalid(f"RTP version {first >> 6}")
        # RFC 5761 §4: where RTCP shares the port, its packet types 192-223 lie in the place of marker and type.
        if 192 <= second <= 223:
            raise RtpInvalid("RTCP")
        start, end = HEADER_BYTES, len(datagram)
        if first & 0x3F:
            start += 4 * (first & 0x0F)
            if first & 0x10:
                if start + 4 > end:
                    raise RtpInvalid("cut in the header extension")
                start += 4 + 4 * int.from_bytes(datagram[start + 2 : start + 4], "big")
            if first & 0x20:
                padding = datagram[-1]
                if not padding:
                    raise RtpInvalid("padding of length 0")
                end -= padding
            if start > end:
                raise RtpInvalid("header and padding are longer than the packet")
        return cls(second & 0x7F, sequence, timestamp, ssrc, datagram[start:end], second >= 0x80)


def is_rtcp(datagram: bytes) -> bool:
    """Whether it is RTCP on a shared port, by its packet type (RFC 5761 §4)."""
    return len(datagram) > 1 and 192 <= datagram[1] <= 223


class SequenceExtender:
    """16-bit sequence numbers to ones that never wrap; tells a restarted sender from a stray packet."""

    def __init__(self) -> None:
        self._raw: int | None = None
        self._extended = 0
        self._after_jump: int | None = None

    def extend(self, sequence: int) -> int | None:
        """The extended number; None for a packet far off: see `restarted`."""
        if self._raw is None:
            self._raw = self._extended = sequence
            return sequence
        ahead = (sequence - self._raw) & 0xFFFF
        if ahead < MAX_DROPOUT:
            self._after_jump = None
            self._raw = sequence
            self._extended += ahead
            return self._extended
        if ahead > 0x10000 - MAX_MISORDER:
            return self._extended + ahead - 0x10000
        return None

    def restarted(self, sequence: int) -> bool:
        """Of a packet far off: whether it follows the one before it, which was too. Then the sender has started again,
        and `restart` is to be called; else the packet is to be dropped."""
        follows = sequence == self._after_jump
        self._after_jump = (sequence + 1) & 0xFFFF
        return follows

    def restart(self, sequence: int) -> int:
        """Another stream begins with this number. Numbers go on behind the highest so far: nothing looks lost."""
        self._after_jump = None
        self._raw = sequence
        self._extended += 1
        return self._extended


class RtpSender:
    """Our stream: its timestamp follows the slots of 20 ms and not the packets (RFC 3550 §5.1)."""

    def __init__(self, ssrc: int, sequence: int, timestamp: int) -> None:
        self.ssrc = ssrc
        self.packets = 0
        self.octets = 0
        """Of payloads, as sender reports count them (RFC 3550 §6.4.1)."""
        self._sequence = sequence & 0xFFFF
        self._timestamp = timestamp & 0xFFFFFFFF
        self._mark = True

    def skip(self, ticks: int) -> None:
        """Time passes; `ticks` are of the RTP clock."""
        self._timestamp = (self._timestamp + ticks) & 0xFFFFFFFF

    def mark(self) -> None:
        """The next packet begins a talkspurt (RFC 3551 §4.1)."""
        self._mark = True

    @property
    def timestamp(self) -> int:
        return self._timestamp

    def packet(self, payload_type: int, payload: bytes, timestamp: int | None = None, marker: bool = False) -> bytes:
        """The next datagram; `timestamp` where it is not that of this slot (telephone events, long packets)."""
        second = payload_type | (0x80 if marker or self._mark else 0)
        self._mark = False
        stamp = self._timestamp if timestamp is None else timestamp & 0xFFFFFFFF
        data = _HEADER.pack(0x80, second, self._sequence, stamp, self.ssrc) + payload
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        return data
