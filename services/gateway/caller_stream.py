"""What the caller says: RTP packets in, bus frames and DTMF digits out, on an even timeline."""

from collections.abc import Mapping, Sequence

from services.common.media.frame import CONCEALED, DISCONTINUITY, FRAME_US, AudioFrame
from services.gateway.dtmf import Digit, DtmfReceiver
from services.gateway.g711 import SAMPLE_RATE_HZ, Codec
from services.gateway.plc import Concealer
from services.gateway.reorder import Ordered, ReorderWindow
from services.gateway.rtp import RtpPacket, SequenceExtender

Heard = AudioFrame | Digit

_FRAME_BYTES = 2 * SAMPLE_RATE_HZ // 50
_SILENCE = bytes(_FRAME_BYTES)
_BYTES_A_MS = 2 * SAMPLE_RATE_HZ // 1000
COMFORT_NOISE = 13  # RFC 3389

# Nothing for this long and the recogniser gets made-up frames, so that it hears a caller fall silent (senders with
# silence suppression) and a network that died. Shorter gaps are jitter: their packets still come.
STALL_US = 100_000
# A second made up at most for packets known to be lost; beyond it the stream has a hole and says so.
MAX_CONCEALED_FRAMES = 50
# No real packet holds more; longer ones are noise.
MAX_PACKET_MS = 200
# What may come at once after a network has stood still; later, twice as much as time goes by.
MOST_AHEAD_US = 10_000_000


class CallerStream:
    """The caller's half of the call's media. All times are call time in microseconds.

    A frame's call_time is the arrival of its packet less the audio behind the frame's first sample, never less than
    that of the frame before; made-up frames follow 20 ms after their predecessor. The stream begins with the call:
    until the caller sends, it is silence.
    """

    def __init__(self, codecs: Mapping[int, Codec], event_clocks_hz: Mapping[int, int] | None = None) -> None:
        """Codecs, and clock rates of telephone-events, by the payload types that were negotiated."""
        self.codecs = codecs
        self.event_clocks_hz = event_clocks_hz or {}
        self.lost_packets = 0
        self.concealed_frames = 0
        self.unknown_packets = 0
        self.flooding_packets = 0
        self._credit_us = MOST_AHEAD_US
        self._credited_us = 0
        self._sequence = 0
        self._last_us = -FRAME_US
        self._flags = 0
        self._rest = b""
        self._packet_bytes = _FRAME_BYTES
        self._stalled = False
        self._made_up = 0  # frames made up since the last packet
        self._held = False
        self._ssrc: int | None = None
        self._strange_ssrc: int | None = None
        self._extender = SequenceExtender()
        self._window: ReorderWindow[bytes | None] = ReorderWindow()
        self._concealer = Concealer()
        self._dtmf = DtmfReceiver()

    @property
    def late_packets(self) -> int:
        return self._window.late

    @property
    def frames(self) -> int:
        """Frames handed out so far."""
        return self._sequence

    def packet(self, packet: RtpPacket, now_us: int) -> list[Heard]:
        """One packet from the call's source."""
        pcm: bytes | None = None
        codec = self.codecs.get(packet.payload_type)
        event_clock_hz = self.event_clocks_hz.get(packet.payload_type)
        if codec is not None:
            if not packet.payload or len(packet.payload) > MAX_PACKET_MS * SAMPLE_RATE_HZ // 1000:
                self.unknown_packets += 1
                return []
            pcm = codec.decode(packet.payload)
        elif event_clock_hz is None and packet.payload_type != COMFORT_NOISE:
            self.unknown_packets += 1
            return []
        if not self._credit(now_us):
            self.flooding_packets += 1
            return []
        out: list[Heard] = []
        extended = self._extend(packet, out)
        if extended is None:
            return out
        if event_clock_hz is not None:
            out += self._dtmf.push(packet.timestamp, packet.payload, now_us, event_clock_hz)
        self._stalled = False
        self._in_order(self._window.push(extended, pcm, now_us), out)
        return out

    def tick(self, now_us: int) -> list[Heard]:
        """To be called each 20 ms: gives up on packets, ends lost DTMF events, fills a stream that has stopped."""
        out: list[Heard] = list(self._dtmf.expire(now_us))
        self._in_order(self._window.expire(now_us), out)
        if self._held or self._window.holding:
            return out
        behind_us = now_us - self._last_us - FRAME_US
        if self._stalled or behind_us >= STALL_US:
            self._stalled = True
            while self._last_us + 2 * FRAME_US <= now_us:
                self._conceal(out, now_us)
                self._made_up += 1
        return out

    def hold(self, held: bool, now_us: int) -> None:
        """While the call is held nothing the other side sends is the caller (music on hold): no frames."""
        if self._held and not held:
            self._flags |= DISCONTINUITY
            self._last_us = max(self._last_us, now_us - FRAME_US)
            self._made_up = 0
        self._held = held

    def _credit(self, now_us: int) -> bool:
        """Whether more is heard now. Nobody speaks faster than time goes by: what does, or leaves gaps to be filled
        one after the other, would keep the recogniser from the other calls."""
        since_us = max(0, now_us - self._credited_us)
        self._credited_us += since_us
        self._credit_us = min(self._credit_us + 2 * since_us, MOST_AHEAD_US)
        return self._credit_us > 0

    def _extend(self, packet: RtpPacket, out: list[Heard]) -> int | None:
        if self._ssrc is None:
            self._ssrc = packet.ssrc
        if packet.ssrc == self._ssrc:
            self._strange_ssrc = None
            return self._extender.extend(packet.sequence)
        # Two in a row, so that streams that alternate on one port (early media beside music) don't tear each other.
        if packet.ssrc != self._strange_ssrc:
            self._strange_ssrc = packet.ssrc
            return None
        self._ssrc, self._strange_ssrc = packet.ssrc, None
        self._flags |= DISCONTINUITY
        out += self._dtmf.restart()
        return self._extender.restart(packet.sequence)

    def _in_order(self, ordered: Sequence[Ordered[bytes | None]], out: list[Heard]) -> None:
        if not ordered:
            return
        arrivals_us = [one.arrived_us for one in ordered]
        # A packet that was overtaken belongs before the one that overtook it.
        for at in range(len(ordered) - 1, 0, -1):
            length_us = len(ordered[at].item or b"") * 1000 // _BYTES_A_MS
            arrivals_us[at - 1] = min(arrivals_us[at - 1], arrivals_us[at] - length_us)
        for one, arrived_us in zip(ordered, arrivals_us, strict=True):
            if one.lost:
                self._lost(one.lost, arrived_us, out)
            self._made_up = 0
            if self._held:
                continue
            if one.item is None:
                # Keys and comfort noise are no speech: silence for as long as they took.
                while self._last_us + 2 * FRAME_US <= arrived_us:
                    self._emit(_SILENCE, self._last_us + FRAME_US, 0, out)
            else:
                self._packet_bytes = len(one.item)
                self._audio(one.item, arrived_us, out)

    def _audio(self, pcm: bytes, arrived_us: int, out: list[Heard]) -> None:
        data = self._rest + pcm if self._rest else pcm
        at = 0
        while at + _FRAME_BYTES <= len(data):
            frame = data[at : at + _FRAME_BYTES]
            after_us = (len(data) - at) * 1000 // _BYTES_A_MS
            at += _FRAME_BYTES
            self._emit(self._concealer.heard(frame), arrived_us - after_us, 0, out)
        self._rest = data[at:]

    def _lost(self, packets: int, arrived_us: int, out: list[Heard]) -> None:
        self.lost_packets += packets
        frames = round(packets * self._packet_bytes / _FRAME_BYTES) - self._made_up
        self._rest = b""
        most = MAX_CONCEALED_FRAMES if self._credit_us > 0 else 0
        if frames > most:
            self._flags |= DISCONTINUITY
        for _ in range(min(frames, most) if not self._held else 0):
            self._conceal(out, arrived_us)

    def _conceal(self, out: list[Heard], latest_us: int) -> None:
        # Packets that came in a burst leave less time than they hold sound: no frame comes from the future.
        self.concealed_frames += 1
        self._emit(self._concealer.conceal(), min(self._last_us + FRAME_US, latest_us), CONCEALED, out)

    def _emit(self, samples: bytes, call_time_us: int, flags: int, out: list[Heard]) -> None:
        self._last_us = max(self._last_us, call_time_us)
        out.append(
            AudioFrame(self._sequence, max(self._last_us, 0), SAMPLE_RATE_HZ, samples, flags=flags | self._flags)
        )
        self._flags = 0
        self._sequence += 1
        self._credit_us -= FRAME_US
