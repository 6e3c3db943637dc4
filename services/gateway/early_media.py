"""The voice of a call before it is answered: listens, and says nothing."""

from services.gateway.media import Spoken
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

    def speak(self, now_us: int) -> Spoken | None:
        return None

    def sent(self) -> None:
        pass
