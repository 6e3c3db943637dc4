"""A call without an agent: a person whom we called, and who hears hold music until the call is bridged."""

from collections.abc import Callable

from services.gateway.agent_call import Leg
from services.gateway.caller_stream import CallerStream, Heard
from services.gateway.dtmf import Digit
from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated
from services.gateway.spoken_stream import Spoken


class PersonCall:
    """Voice of such a call. All that is heard and said goes by its leg; `on_key` gets the keys that are pressed."""

    def __init__(self, sample_rate_hz: int, on_key: Callable[[Digit], None]) -> None:
        self.stream = CallerStream(sample_rate_hz)
        self._on_key = on_key
        self._leg: Leg | None = None

    def join(self, leg: Leg | None, heeded: bool = True) -> None:
        """The person's place in a bridge; without one there is silence. `heeded` is for an agent: there is none."""
        self._leg = leg

    def held(self, on_hold: bool, now_us: int) -> None:
        """A re-INVITE put the call on hold or took it back."""
        self.stream.hold(on_hold, now_us)

    def pressed(self, key: Digit) -> None:
        """A key that came by signalling (SIP INFO)."""
        self._on_key(key)

    # Voice

    def negotiated(self, media: Negotiated) -> None:
        self.stream.negotiated(media.formats)

    def heard(self, packet: RtpPacket, now_us: int) -> bool:
        self._pass_on(self.stream.packet(packet, now_us))
        return self.stream.last_late is not packet

    def slot(self, now_us: int) -> None:
        self._pass_on(self.stream.tick(now_us))

    def speak(self, now_us: int) -> Spoken:
        return None if self._leg is None else self._leg.frame()

    def sent(self) -> None:
        pass

    # Inside

    def _pass_on(self, heard: list[Heard]) -> None:
        for one in heard:
            if isinstance(one, Digit):
                self._on_key(one)
            elif self._leg is not None:
                self._leg.heard(self.stream.for_people(one))
