"""A call's RTP: one packet in, one packet out, every 20 ms; what is in them is the voice's matter."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from services.gateway.g711 import CODECS, Codec
from services.gateway.latch import Latch
from services.gateway.rtp import RtpInvalid, RtpPacket, RtpSender
from services.gateway.sip.sdp import Negotiated
from services.gateway.ticker import TICK_US
from services.gateway.udp import Address, UdpPort

_TICKS_A_SLOT = 160  # RTP timestamp units of 8 kHz in 20 ms


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a voice sends in a slot."""

    payload_type: int
    payload: bytes
    continues: bool = False
    """Part of an event that began in an earlier slot: it keeps that slot's timestamp (RFC 4733 §2.2.1)."""
    marker: bool = False


class Voice(Protocol):
    """What listens and speaks on a call's RTP. Times are call time in microseconds."""

    def negotiated(self, codec: Codec, payload_type: int, event_payload_type: int | None) -> None:
        """The codec of the call, at its start and after a re-INVITE."""

    def heard(self, packet: RtpPacket, now_us: int) -> None:
        """A packet of the caller's came."""

    def slot(self, now_us: int) -> None:
        """20 ms have passed, whether or not anything is sent."""

    def speak(self, now_us: int) -> Spoken | None:
        """What to send in this slot; None for silence."""

    def sent(self) -> None:
        """It was handed to the socket."""


@dataclass(slots=True)
class MediaCounts:
    received: int = 0
    malformed: int = 0


class MediaSession:
    """The RTP of one call from the 200 OK on.

    `clock` tells call time. `on_timeout` is called once, when the caller has been silent on RTP for too long.
    """

    def __init__(
        self,
        port: UdpPort,
        voice: Voice,
        clock: Callable[[], int],
        timeout_us: int,
        on_timeout: Callable[[], None],
    ) -> None:
        self.counts = MediaCounts()
        self.held = False
        self.sender = RtpSender(secrets.randbits(32), secrets.randbits(15), secrets.randbits(32))
        self._port = port
        self._voice = voice
        self._clock = clock
        self._timeout_us = timeout_us
        self._on_timeout: Callable[[], None] | None = on_timeout
        self._latch = Latch(None)
        self._expects = True
        self._heard_us = 0
        self._payload_type = 0
        self._silence = b""
        self._began = 0

    @property
    def port(self) -> int:
        """The RTP port that our SDP names."""
        return self._port.port

    @property
    def strangers(self) -> int:
        """Packets from sources that are not the call's."""
        return self._latch.strangers

    def negotiated(self, media: Negotiated | None, codec: Codec) -> bool:
        """What SDP settled, None while the answer to our own offer is out. True when hold began or ended."""
        event_type: int | None = None
        self._payload_type = codec.payload_type
        held = False
        if media is not None:
            codec = CODECS[media.codec.encoding]
            self._payload_type = media.codec.payload_type
            event_type = media.telephone_event.payload_type if media.telephone_event else None
            self._latch.reoffered(media.remote)
            held = not media.direction.sends
            self._expects = media.direction.receives
        self._silence = bytes([codec.silence]) * _TICKS_A_SLOT
        self._voice.negotiated(codec, self._payload_type, event_type)
        self._heard_us = max(self._heard_us, self._clock())
        changed, self.held = held != self.held, held
        if changed and not held:
            self.sender.mark()
        return changed

    def start(self) -> None:
        self._port.listen(self._datagram)

    def close(self) -> None:
        self._on_timeout = None
        self._port.close()

    def tick(self, slots: int) -> None:
        """`slots` of 20 ms have come since the last tick; what was missed is skipped, not made up."""
        now_us = self._clock()
        if slots > 1:
            self.sender.skip((slots - 1) * _TICKS_A_SLOT)
        self._voice.slot(now_us)
        destination = self._latch.destination
        if not self.held and destination is not None:
            self._send(now_us, destination)
        self.sender.skip(_TICKS_A_SLOT)
        if self._expects and not self.held:
            # Lateness of our own is not the caller's silence.
            self._heard_us += (slots - 1) * TICK_US
            if now_us - self._heard_us > self._timeout_us and self._on_timeout is not None:
                on_timeout, self._on_timeout = self._on_timeout, None
                on_timeout()

    def _send(self, now_us: int, destination: Address) -> None:
        spoken = self._voice.speak(now_us)
        if spoken is None:
            self._port.send(self.sender.packet(self._payload_type, self._silence), destination)
            return
        if not spoken.continues:
            self._began = self.sender.timestamp
        packet = self.sender.packet(spoken.payload_type, spoken.payload, self._began, spoken.marker)
        self._port.send(packet, destination)
        self._voice.sent()

    def _datagram(self, data: bytes, source: Address) -> None:
        try:
            packet = RtpPacket.parse(data)
        except RtpInvalid:
            self.counts.malformed += 1
            return
        if not self._latch.accepts(source):
            return
        self.counts.received += 1
        now_us = self._clock()
        self._heard_us = now_us
        self._voice.heard(packet, now_us)
