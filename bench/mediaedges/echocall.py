"""A call of the comparison, with the gateway's own parts: parse, latch, decode, keep; encode, pack. No sockets."""

from __future__ import annotations

from services.gateway.codecs.g711 import PCMU
from services.gateway.latch import Latch
from services.gateway.rtp import RtpInvalid, RtpPacket, RtpSender, is_rtcp
from services.gateway.udp import Address

FRAME = 160
"""Samples of 20 ms."""
SILENCE = bytes(2 * FRAME)


class EchoCall:
    """Says what it heard last."""

    def __init__(self, number: int) -> None:
        self.pcm = SILENCE
        self.received = self.sent = 0
        self._latch = Latch(None)
        self._sender = RtpSender(number, number, FRAME * number)

    @property
    def destination(self) -> Address | None:
        return self._latch.destination

    def heard(self, datagram: bytes, source: Address) -> bytes | None:
        """PCM s16le; None for what is not the call's."""
        if is_rtcp(datagram) or not self._latch.admits(source):
            return None
        try:
            packet = RtpPacket.parse(datagram)
        except RtpInvalid:
            return None
        self._latch.latch(source)
        self.received += 1
        return PCMU.decode(packet.payload)

    def packet(self, slots: int = 1) -> bytes:
        """20 ms; what was missed of `slots` is skipped, not made up."""
        if slots > 1:
            self._sender.skip(FRAME * (slots - 1))
        data = self._sender.packet(PCMU.payload_type, PCMU.encode(self.pcm))
        self._sender.skip(FRAME)
        self.sent += 1
        return data
