"""Symmetric RTP (RFC 4961): where to send, and whose packets to believe."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from services.gateway.rtp import MAX_DROPOUT, RtpPacket
from services.gateway.udp import Address

_STRAGGLERS = 50  # packets of 20 ms
QUIET_US = 2_000_000
"""So long without a packet, and a NAT may have given the caller another address. Longer than most networks stumble."""


class Latch:
    """Sends to the SDP's address until a packet comes, then to that packet's source and to no other.

    The first source wins, for a caller behind NAT does not know the address it comes from; whoever sends later is not
    heard, so that nobody can talk into a call by guessing its port. But the SDP's own address wins over it: a stray or
    forged packet that was faster than the caller must not take the call. When the stream moves, packets of the old
    place are still on their way: for a second's worth of them the old source can't latch again.

    A caller whose NAT gives it another address in mid-call goes on from there: when its old place has been quiet, who
    goes on with its very stream (SSRC and sequence number) or has its key is taken for it.
    """

    def __init__(self, offered: Address | None) -> None:
        """`offered` is the address in the SDP, None when it names no place to send to."""
        self._latched: Address | None = None
        self._offered = _sendable(offered)
        self._left: Address | None = None
        self._stragglers = 0
        self._last: RtpPacket | None = None
        self._heard_us = 0
        self.strangers = 0

    @property
    def destination(self) -> Address | None:
        """Where our packets go; None when there is nowhere yet."""
        return self._latched or self._offered

    def admits(self, source: Address) -> bool:
        """Whether a packet from `source` may belong to the call; others are counted. `latch` follows if it does."""
        if source == self._offered or source == self._latched:
            return True
        if self._latched is None:
            if source != self._left or not self._stragglers:
                return True
            self._stragglers -= 1
        self.strangers += 1
        return False

    def latch(self, source: Address) -> None:
        """An admitted packet has proved good."""
        self._latched = source
        self._left = None

    def heard(self, packet: RtpPacket, now_us: int) -> None:
        """A packet of the call's came."""
        self._last = packet
        self._heard_us = now_us

    def quiet(self, now_us: int) -> bool:
        """Whether the place that was latched on has fallen silent, so that another may be the caller's."""
        return self._last is not None and now_us - self._heard_us >= QUIET_US

    def continues(self, packet: RtpPacket) -> bool:
        """Whether it goes on with the caller's stream, which nobody can guess who does not see it."""
        last = self._last
        return (
            last is not None
            and packet.ssrc == last.ssrc
            and 0 < (packet.sequence - last.sequence) & 0xFFFF < MAX_DROPOUT
        )

    def reoffered(self, offered: Address | None) -> None:
        """A re-INVITE: when it names another address than before the stream moves, and is latched anew."""
        address = _sendable(offered)
        if address is not None and address != self._offered:
            self.moved(address)

    def moved(self, offered: Address | None) -> None:
        """Another device goes on with the call: latched anew, even where it names the same private address."""
        self._left, self._stragglers = self._latched or self._left, _STRAGGLERS
        self._offered = _sendable(offered)
        self._latched = None
        self._last = None


def _sendable(address: Address | None) -> Address | None:
    """None for what a packet cannot or must not be sent to: names, 0.0.0.0 (old-style hold), multicast, port 0."""
    if address is None or not address[1]:
        return None
    try:
        host: IPv4Address | IPv6Address = ip_address(address[0])
    except ValueError:
        return None
    # As a source is told, to compare with: IPv6 has many spellings.
    return None if host.is_unspecified or host.is_multicast else (str(host), address[1])
