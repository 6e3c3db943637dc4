"""A call's RTP or SRTP: one packet in, one out, every 20 ms; what is in them is the voice's matter."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from services.gateway.g711 import CODECS
from services.gateway.latch import Latch
from services.gateway.rtp import RtpInvalid, RtpPacket, RtpSender, is_rtcp
from services.gateway.sip.crypto import SrtpKeys
from services.gateway.sip.negotiation import PACKET_MS, Negotiated
from services.gateway.srtp import SrtpCounts, SrtpSession
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

    def negotiated(self, media: Negotiated) -> None:
        """What SDP settled, at the start of the call and after a re-INVITE."""

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
    """The RTP of one call.

    `clock` tells call time, 0 until the call is answered. `on_timeout` is called once, when the caller has been silent
    on RTP for too long. `early` media (RFC 3960) is heard and not spoken over: until `answered`, only silence is sent
    and no timeout runs. What comes before the first `negotiated` is dropped.
    """

    def __init__(
        self,
        port: UdpPort,
        voice: Voice,
        clock: Callable[[], int],
        timeout_us: int,
        on_timeout: Callable[[], None],
        *,
        early: bool = False,
    ) -> None:
        self.counts = MediaCounts()
        self.srtp_counts = SrtpCounts()
        self.held = False
        self.sender = RtpSender(secrets.randbits(32), secrets.randbits(15), secrets.randbits(32))
        self._port = port
        self._voice = voice
        self._clock = clock
        self._timeout_us = timeout_us
        self._on_timeout: Callable[[], None] | None = on_timeout
        self._latch = Latch(None)
        self._srtp: SrtpSession | None = None
        self._keyed: SrtpSession | None = None
        self._negotiated = False
        self._early = early
        self._expects = True
        self._heard_us = 0
        self._payload_type = 0
        self._silence = b""
        self._packet_bytes = _TICKS_A_SLOT
        self._began = 0

    @property
    def port(self) -> int:
        """The RTP port that our SDP names."""
        return self._port.port

    @property
    def strangers(self) -> int:
        """Packets from sources that are not the call's."""
        return self._latch.strangers

    @property
    def encrypted(self) -> bool:
        return self._srtp is not None

    def negotiated(self, media: Negotiated, moved: bool = False) -> bool:
        """What SDP settled. True when hold began or ended.

        `moved`: another device goes on with the call (INVITE with Replaces, a followed REFER), on this same port.
        """
        codec = CODECS[media.codec.encoding]
        self._payload_type = media.codec.payload_type
        self._silence = bytes([codec.silence]) * _TICKS_A_SLOT
        self._packet_bytes = _TICKS_A_SLOT * media.packet_ms // PACKET_MS
        if moved:
            self._latch.moved(media.remote)
        else:
            self._latch.reoffered(media.remote)
        self._secure(media.srtp, moved)
        self._expects = media.direction.receives
        self._negotiated = True
        self._voice.negotiated(media)
        self._heard_us = max(self._heard_us, self._clock())
        held = not media.direction.sends
        changed, self.held = held != self.held, held
        if changed and not held:
            self.sender.mark()
        return changed

    def answered(self, voice: Voice, clock: Callable[[], int], on_timeout: Callable[[], None]) -> None:
        """Early media ends and the call begins: with its own voice and clock. `negotiated` follows."""
        self._voice, self._clock, self._on_timeout = voice, clock, on_timeout
        self._early = False
        self._heard_us = self._clock()
        self.sender.mark()

    def _secure(self, keys: SrtpKeys | None, moved: bool) -> None:
        if keys is None:
            self._srtp = None
            return
        # Kept while the call is plain for a time: a key that comes back goes on where it stopped.
        if self._keyed is None:
            self._keyed = SrtpSession(keys, self.srtp_counts)
        elif keys != self._keyed.keys:
            self._keyed = self._keyed.rekeyed(keys, overlap=not moved)
        self._srtp = self._keyed

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
            self._speak(now_us, destination)
        self.sender.skip(_TICKS_A_SLOT)
        if self._expects and not self.held and not self._early:
            # Lateness of our own is not the caller's silence.
            self._heard_us += (slots - 1) * TICK_US
            if now_us - self._heard_us > self._timeout_us and self._on_timeout is not None:
                on_timeout, self._on_timeout = self._on_timeout, None
                on_timeout()

    def _speak(self, now_us: int, destination: Address) -> None:
        spoken = None if self._early else self._voice.speak(now_us)
        if spoken is None:
            self._audio(self._payload_type, self._silence, destination)
            return
        if not spoken.continues:
            self._began = self.sender.timestamp
        if spoken.payload_type == self._payload_type:
            if spoken.marker:
                self.sender.mark()
            self._audio(self._payload_type, spoken.payload, destination)
        else:
            self._send(self.sender.packet(spoken.payload_type, spoken.payload, self._began, spoken.marker), destination)
        self._voice.sent()

    def _audio(self, payload_type: int, payload: bytes, destination: Address) -> None:
        if self._packet_bytes == _TICKS_A_SLOT:
            self._send(self.sender.packet(payload_type, payload), destination)
            return
        for at in range(0, len(payload), self._packet_bytes):
            part = payload[at : at + self._packet_bytes]
            self._send(self.sender.packet(payload_type, part, self.sender.timestamp + at & 0xFFFFFFFF), destination)

    def _send(self, packet: bytes, destination: Address) -> None:
        if self._srtp is None:
            self._port.send(packet, destination)
            return
        protected = self._srtp.protect(packet)
        if protected is not None:
            self._port.send(protected, destination)

    def _datagram(self, data: bytes, source: Address) -> None:
        if not self._negotiated:
            return
        if self._srtp is None:
            packet = self._parse(data)
            if packet is None or not self._latch.accepts(source):
                return
        else:
            packet = self._authentic(self._srtp, data, source)
            if packet is None:
                return
        self.counts.received += 1
        now_us = self._clock()
        self._heard_us = now_us
        self._voice.heard(packet, now_us)

    def _parse(self, data: bytes) -> RtpPacket | None:
        try:
            return RtpPacket.parse(data)
        except RtpInvalid:
            self.counts.malformed += 1
            return None

    def _authentic(self, srtp: SrtpSession, data: bytes, source: Address) -> RtpPacket | None:
        """A stranger's copy of a packet must not get the packet itself taken for a replay; so his come not this far."""
        if is_rtcp(data):
            self.counts.malformed += 1
            return None
        if not self._latch.admits(source):
            return None
        plain = srtp.unprotect(data)
        packet = None if plain is None else self._parse(plain)
        if packet is not None:
            self._latch.latch(source)
        return packet
