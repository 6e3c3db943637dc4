"""A call's RTP: what comes goes to the voice, what the voice says leaves every 20 ms, and RTCP tells how it went."""

import secrets
import time
from collections.abc import Callable
from typing import Protocol

from services.gateway.codecs.catalogue import rtp_clock_hz
from services.gateway.dtls_certificate import DtlsCertificate
from services.gateway.media_transport import MediaTransport
from services.gateway.quality import CallQuality, call_quality, voip_metrics
from services.gateway.reception import Reception
from services.gateway.rtcp import VoipMetrics
from services.gateway.rtcp_session import RtcpSession, Sent
from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated
from services.gateway.spoken_stream import SLOT_MS, Spoken, SpokenStream
from services.gateway.ticker import TICK_US, now_us
from services.gateway.udp import UdpPort

_LOOK_EVERY_US = 100_000
# RTCP comes every few seconds, and takes long to read: as many are read in _LOOK_EVERY_US, so that a flood of it delays
# nobody.
_MOST_REPORTS = 5


class Voice(Protocol):
    """What listens and speaks on a call's RTP. Times are call time in microseconds."""

    def negotiated(self, media: Negotiated) -> None:
        """What SDP settled, at the start of the call and after a re-INVITE."""

    def heard(self, packet: RtpPacket, now_us: int) -> bool | None:
        """A packet of the caller's came. False: too late, its sound is thrown away and counts as lost."""

    def slot(self, now_us: int) -> None:
        """20 ms have passed, whether or not anything is sent."""

    def speak(self, now_us: int) -> Spoken:
        """What to send in this slot; None for silence."""

    def sent(self) -> None:
        """It was handed to the socket."""


class MediaSession:
    """The RTP of one call.

    `clock` tells microseconds that never go back, call time 0 is at `began_us` on it. `on_timeout` is called once, with
    the reason, when the caller has been silent on RTP for too long or the media can't be encrypted as was agreed.
    `early` media (RFC 3960) is heard and not spoken over: until `answered`, only silence is sent and no timeout runs.
    What comes before the first `negotiated` is dropped. RTCP goes by `clock`: call time begins anew with the answer.
    """

    def __init__(
        self,
        port: UdpPort,
        voice: Voice,
        began_us: int,
        timeout_us: int,
        on_timeout: Callable[[str], None],
        *,
        clock: Callable[[], int] = now_us,
        sample_rate_hz: int = 8000,
        certificate: DtlsCertificate | None = None,
        cname: str = "tandem",
    ) -> None:
        self.held = False
        self.received = 0
        self.transport = MediaTransport(port, clock, self._packet, self._report, certificate)
        self.stream = SpokenStream(secrets.randbits(32), secrets.randbits(15), secrets.randbits(32), sample_rate_hz)
        self._voice = voice
        self._clock = clock
        self._began_us = began_us
        self._timeout_us = timeout_us
        self._on_timeout: Callable[[str], None] | None = on_timeout
        self.early = False
        self._expects = True
        self._heard_us = 0
        self._encoding = ""
        self._packet_ms = SLOT_MS
        self._timed: frozenset[int] = frozenset()
        self._ssrc: int | None = None
        self._reception = Reception(8000)
        self._rtcp: RtcpSession | None = None
        self._reports_left = _MOST_REPORTS
        self._next_us = 0
        self._cname = cname

    @property
    def encoding(self) -> str:
        """Of the codec that we send with, as SDP spells it; empty before there is one."""
        return self._encoding

    def negotiated(self, media: Negotiated, moved: bool = False) -> bool:
        """What SDP settled. True when hold began or ended.

        `moved`: another device goes on with the call (INVITE with Replaces, a followed REFER), on this same port.
        """
        self._next_us = 0
        self._encoding = media.codec.encoding
        self._packet_ms = media.packet_ms
        self._timed = frozenset(one.payload_type for one in media.formats if one.encoding == self._encoding)
        self._reception.clocked(rtp_clock_hz(media.codec))
        before = None if self.held or self.early else self.transport.destination
        for packet in self.stream.negotiated(media):
            if before is not None and not moved:
                self.transport.send(packet, before)
        self.transport.negotiated(media, moved)
        if self._rtcp is None:
            at_us = self._clock()
            began_unix_us = time.time_ns() // 1000 - at_us
            ssrc = self.stream.sender.ssrc
            self._rtcp = RtcpSession(ssrc, self._cname, rtp_clock_hz(media.codec), began_unix_us)
            self._rtcp.start(at_us, _random())
        self._rtcp.clock_hz = rtp_clock_hz(media.codec)
        self._rtcp.xr = media.rtcp_xr
        self._expects = media.direction.receives
        self._voice.negotiated(media)
        self._heard_us = max(self._heard_us, self._call_time())
        held = not media.direction.sends
        changed, self.held = held != self.held, held
        if changed and not held:
            self.stream.mark()
        return changed

    def answered(self, voice: Voice, began_us: int, on_timeout: Callable[[str], None]) -> None:
        """Early media ends and the call begins: with its own voice and call time. `negotiated` follows."""
        self._voice, self._began_us, self._on_timeout = voice, began_us, on_timeout
        self.early = False
        self._heard_us = self._call_time()
        self.stream.mark()

    def start(self) -> None:
        self.transport.start()

    def close(self) -> None:
        self._on_timeout = None
        if self._rtcp is not None:
            self.transport.send_rtcp(self._rtcp.bye(self._clock(), self._sent(), self._reception, self._ssrc))
        self.transport.close()

    def quality(self) -> CallQuality | None:
        """How the call sounds so far; None before SDP settled a codec."""
        if not self._encoding:
            return None
        return call_quality(
            self._reception,
            self._rtcp,
            self._encoding,
            0.0,
            packet_ms=self._packet_ms,
            packets_sent=self.stream.sender.packets,
        )

    def tick(self, slots: int) -> None:
        """`slots` of 20 ms have come since the last tick; what was missed is skipped, not made up."""
        at_us = self._clock()
        time_us = at_us - self._began_us
        if slots > 1:
            self.stream.skip(slots - 1)
        self._voice.slot(time_us)
        destination = None if self.held else self.transport.destination
        if destination is None:
            self.stream.skip(1)
        else:
            spoken = None if self.early else self._voice.speak(time_us)
            for packet in self.stream.slot(spoken):
                self.transport.send(packet, destination)
            if spoken is not None:
                self._voice.sent()
        if at_us >= self._next_us:
            self._now_and_then(at_us, time_us, slots)
        elif slots > 1:
            # Lateness of our own is not the caller's silence.
            self._heard_us += (slots - 1) * TICK_US

    def _now_and_then(self, at_us: int, time_us: int, slots: int) -> None:
        """What need not be looked at in every slot."""
        self._heard_us += (slots - 1) * TICK_US
        self._next_us = at_us + _LOOK_EVERY_US
        self._reports_left = _MOST_REPORTS
        if self.transport.shaking_hands:
            self._next_us = at_us
            self.transport.tick(at_us)
            if self.transport.failed is not None:
                self._give_up(self.transport.failed)
        rtcp = self._rtcp
        if rtcp is not None and rtcp.due(at_us):
            voip = self._voip_metrics() if rtcp.xr else None
            self.transport.send_rtcp(rtcp.report(at_us, self._sent(), self._reception, self._ssrc, _random(), voip))
        without_us = self.transport.without_consent_us(at_us)
        silent_us = time_us - self._heard_us
        # Who only listens says so by reports: whom nothing at all comes from may never have asked for our packets.
        expects = self._expects or not self.transport.heard_of
        silent = expects and silent_us > self._timeout_us
        unwanted = without_us is not None and without_us > self._timeout_us
        if (silent or unwanted) and not self.held and not self.early:
            self._give_up("media timeout")

    def _give_up(self, reason: str) -> None:
        if self._on_timeout is not None:
            on_timeout, self._on_timeout = self._on_timeout, None
            on_timeout(reason)

    def _sent(self) -> Sent:
        sender = self.stream.sender
        return Sent(sender.packets, sender.octets, sender.timestamp)

    def _voip_metrics(self) -> VoipMetrics | None:
        quality = self.quality()
        if quality is None or self._ssrc is None:
            return None
        return voip_metrics(quality, self._reception, self._ssrc, 0.0, self._packet_ms)

    def _packet(self, packet: RtpPacket, at_us: int) -> None:
        self.received += 1
        if packet.ssrc != self._ssrc:
            if self._ssrc is not None:
                self._reception.restart()
            self._ssrc = packet.ssrc
        self._reception.packet(packet.sequence, packet.timestamp, at_us, packet.payload_type in self._timed)
        self._heard_us = time_us = at_us - self._began_us
        if self._voice.heard(packet, time_us) is False:
            self._reception.discard(packet.sequence)

    def _report(self, compound: bytes, at_us: int) -> None:
        if self._rtcp is not None and self._reports_left:
            self._reports_left -= 1
            self._rtcp.received(compound, at_us)

    def _call_time(self) -> int:
        return self._clock() - self._began_us


def _random() -> float:
    return secrets.randbits(32) / 2**32
