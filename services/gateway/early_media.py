"""A call's media before it is answered (RFC 3960): what comes is heard, and nothing is said."""

from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated


class Silent:
    """Ring-back and announcements come in and are counted; an agent that spoke now would speak over them."""

    def __init__(self) -> None:
        self.packets = 0

    def negotiated(self, media: Negotiated) -> None:
        pass

    def heard(self, packet: RtpPacket, now_us: int) -> None:
        self.packets += 1

    def slot(self, now_us: int) -> None:
        pass

    def speak(self, now_us: int) -> None:
        return None

    def sent(self) -> None:
        pass
