"""A call's media before it is answered (RFC 3960): what comes is heard, and nothing is said."""

from services.gateway.media import MediaSession, Spoken
from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated
from services.gateway.ticker import now_us
from services.gateway.udp import UdpPort


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


def early_session(port: UdpPort, media: Negotiated, timeout_us: int) -> MediaSession:
    """The session of a call that is not answered yet; `timeout_us` counts from the answer on."""
    began_us = now_us()
    session = MediaSession(port, Silent(), lambda: now_us() - began_us, timeout_us, lambda: None, early=True)
    session.negotiated(media)
    return session
