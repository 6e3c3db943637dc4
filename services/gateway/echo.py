"""The echo number: the caller's own audio back, with no other service (for testing a trunk)."""

from services.gateway.media import Spoken
from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated

# 60 ms swallow the jitter of a usual line; what piles up beyond is thrown away, or the echo would lag for ever.
_DEPTH_BYTES = 3 * 160


class Echo:
    """Voice of an echo call. Packets are taken as they come: a line that reorders is to be heard."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._payload_type = 0

    def negotiated(self, media: Negotiated) -> None:
        self._payload_type = media.codec.payload_type
        self._waiting.clear()

    def heard(self, packet: RtpPacket, now_us: int) -> None:
        if packet.payload_type == self._payload_type:
            self._waiting += packet.payload
            del self._waiting[:-_DEPTH_BYTES]

    def slot(self, now_us: int) -> None:
        pass

    def speak(self, now_us: int) -> Spoken | None:
        if len(self._waiting) < 160:
            return None
        payload = bytes(self._waiting[:160])
        del self._waiting[:160]
        return Spoken(self._payload_type, payload)

    def sent(self) -> None:
        pass
