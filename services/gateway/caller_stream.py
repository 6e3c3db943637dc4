"""What the caller says: RTP packets in, bus frames and DTMF digits out, on an even timeline."""

from collections.abc import Sequence

from services.common.media.frame import CONCEALED, DISCONTINUITY, FRAME_MS, FRAME_US, AudioFrame
from services.gateway.codecs.catalogue import decoder_for
from services.gateway.codecs.codec import CodecInvalid, Decoder
from services.gateway.codecs.comfort_noise import ComfortNoise
from services.gateway.dtmf import Digit, DtmfReceiver
from services.gateway.reorder import Ordered, ReorderWindow
from services.gateway.rtp import RtpPacket, SequenceExtender
from services.gateway.sip.sdp import COMFORT_NOISE, Codec

Heard = AudioFrame | Digit

# Nothing for this long and the recogniser gets made-up frames, so that it hears a caller fall silent (senders with
# silence suppression) and a network that died. Shorter gaps are jitter: their packets still come.
STALL_US = 100_000
# A second made up at most for packets known to be lost; beyond it the stream has a hole and says so.
MAX_CONCEALED_FRAMES = 50
# Packets that waited for the gap come at once.
_FOLLOWING_FRAMES = 10
# No real packet holds more; longer ones are noise. Of 64 kbit/s, the most that a speech codec of ours takes.
MAX_PAYLOAD_BYTES = 1600
# What may come at once after a network has stood still; later, twice as much as time goes by.
MOST_AHEAD_US = 10_000_000


class CallerStream:
    """The caller's half of the call's media. All times are call time in microseconds.

    A frame's call_time is the arrival of its packet less the audio behind the frame's first sample, never less than
    that of the frame before; made-up frames follow 20 ms after their predecessor. The stream begins with the call:
    until the caller sends, it is silence. The caller's clock plays no part, so its drift does not add up.
    """

    __slots__ = (
        "_agreed_types",
        "_audio_types",
        "_credit_us",
        "_credited_us",
        "_decoder",
        "_decoders",
        "_dtmf",
        "_event_clocks_hz",
        "_extender",
        "_flags",
        "_frame_bytes",
        "_held",
        "_last_us",
        "_made_up",
        "_noise",
        "_packet_bytes",
        "_pauses",
        "_rest",
        "_sequence",
        "_silence",
        "_ssrc",
        "_stalled",
        "_strange_ssrc",
        "_window",
        "concealed_frames",
        "flooding_packets",
        "last_late",
        "lost_packets",
        "sample_rate_hz",
        "unknown_packets",
    )

    def __init__(self, sample_rate_hz: int, formats: Sequence[Codec] = ()) -> None:
        """`sample_rate_hz` is that of the frames, whatever the codec; `formats` as in `negotiated`."""
        self.sample_rate_hz = sample_rate_hz
        self.lost_packets = 0
        self.concealed_frames = 0
        self.unknown_packets = 0
        self.flooding_packets = 0
        self.last_late: RtpPacket | None = None
        """The latest packet that came when it had been given up."""
        self._frame_bytes = 2 * sample_rate_hz * FRAME_MS // 1000
        self._silence = bytes(self._frame_bytes)
        self._agreed_types: dict[int, Codec] = {}
        self._audio_types: dict[int, Codec] = {}
        self._event_clocks_hz: dict[int, int] = {}
        self._decoders: dict[Codec, Decoder] = {}
        self._decoder: Decoder | None = None
        self._credit_us = MOST_AHEAD_US
        self._credited_us = 0
        self._sequence = 0
        self._last_us = -FRAME_US
        self._flags = 0
        self._rest = b""
        self._packet_bytes = self._frame_bytes
        self._stalled = False
        self._pauses = False
        self._noise: ComfortNoise | None = None
        self._made_up = 0  # bytes made up since the last packet
        self._held = False
        self._ssrc: int | None = None
        self._strange_ssrc: int | None = None
        self._extender = SequenceExtender()
        self._window: ReorderWindow[RtpPacket] = ReorderWindow()
        self._dtmf = DtmfReceiver()
        self.negotiated(formats)

    def negotiated(self, formats: Sequence[Codec]) -> None:
        """All that the caller may send: audio codecs, telephone-events, comfort noise. Decoders in use go on.

        What could come until now still may, for the peer sends it until it has our answer (RFC 3264 §8.3.2); a number
        that means something else now does so at once.
        """
        before, numbers = self._agreed_types, {one.payload_type for one in formats}
        self._event_clocks_hz = {one.payload_type: one.clock_rate for one in formats if one.is_event}
        self._agreed_types = {
            one.payload_type: one for one in formats if not one.is_event and one.encoding != COMFORT_NOISE.encoding
        }
        self._audio_types = {number: one for number, one in before.items() if number not in numbers}
        self._audio_types |= self._agreed_types
        # A codec that comes back is another encoder's.
        self._decoders = {codec: one for codec, one in self._decoders.items() if codec in before.values()}

    @property
    def late_packets(self) -> int:
        """Packets whose sound came when it had been made up already: it is thrown away."""
        return self._window.late

    @property
    def frames(self) -> int:
        """Frames handed out so far."""
        return self._sequence

    def packet(self, packet: RtpPacket, now_us: int) -> list[Heard]:
        """One packet from the call's source."""
        codec = self._audio_types.get(packet.payload_type)
        event_clock_hz = None
        if codec is not None:
            if not packet.payload or len(packet.payload) > MAX_PAYLOAD_BYTES:
                self.unknown_packets += 1
                return []
        else:
            event_clock_hz = self._event_clocks_hz.get(packet.payload_type)
            if event_clock_hz is None and packet.payload_type != COMFORT_NOISE.payload_type:
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
        if self._window.passes(extended):
            self._one(packet, 0, now_us, out)
        else:
            late = self._window.late
            self._in_order(self._window.push(extended, packet, now_us), out)
            if self._window.late != late:
                self.last_late = packet
        return out

    def tick(self, now_us: int) -> list[Heard]:
        """To be called each 20 ms: gives up on packets, ends lost DTMF events, fills a stream that has stopped."""
        out: list[Heard] = []
        if self._dtmf.pressed:
            out += self._dtmf.expire(now_us)
        if self._window.holding:
            self._in_order(self._window.expire(now_us), out)
        if self._held or self._window.holding:
            return out
        if self._stalled or now_us - self._last_us - FRAME_US >= STALL_US:
            self._stalled = True
            while self._last_us + 2 * FRAME_US <= now_us:
                self._made_up += self._frame_bytes
                if self._pauses:
                    self._emit(self._silence, self._last_us + FRAME_US, 0, out)
                else:
                    self._conceal(out, now_us)
        return out

    def for_people(self, frame: AudioFrame) -> AudioFrame:
        """The frame that was just handed out, as bridges and recordings play it: in a pause that the caller's side
        told of (RFC 3389 §4) with its noise, where a recogniser wants silence. Noise says nothing of the network, so
        that it counts as concealed."""
        if frame.samples is not self._silence or not self._pauses or self._noise is None:
            return frame
        return frame._replace(samples=self._noise.noise(self._frame_bytes // 2), flags=frame.flags | CONCEALED)

    def hold(self, held: bool, now_us: int) -> None:
        """While the call is held nothing the other side sends is the caller (music on hold): no frames."""
        if self._held and not held:
            self._flags |= DISCONTINUITY
            self._last_us = max(self._last_us, now_us - FRAME_US)
            self._made_up = 0
            self._pauses = False
        self._held = held

    def _credit(self, now_us: int) -> bool:
        """Whether more is heard now. Nobody speaks faster than time goes by: what does, or leaves gaps to be filled
        one after the other, would keep the recogniser from the other calls."""
        since_us = now_us - self._credited_us
        if since_us > 0:
            self._credited_us = now_us
            self._credit_us = min(self._credit_us + 2 * since_us, MOST_AHEAD_US)
        return self._credit_us > self._window.holding * FRAME_US  # what waits will be heard first

    def _extend(self, packet: RtpPacket, out: list[Heard]) -> int | None:
        if packet.ssrc == self._ssrc:
            self._strange_ssrc = None
            extended = self._extender.extend(packet.sequence)
            if extended is None and self._extender.restarted(packet.sequence):
                # As with another SSRC: a sender that starts again has an encoder that does.
                return self._begin_anew(packet, out)
            return extended
        if self._ssrc is None:
            self._ssrc = packet.ssrc
            return self._extender.extend(packet.sequence)
        # Two in a row, so that streams that alternate on one port (early media beside music) don't tear each other.
        if packet.ssrc != self._strange_ssrc:
            self._strange_ssrc = packet.ssrc
            return None
        self._ssrc, self._strange_ssrc = packet.ssrc, None
        return self._begin_anew(packet, out)

    def _begin_anew(self, packet: RtpPacket, out: list[Heard]) -> int:
        self._flags |= DISCONTINUITY
        self._pauses, self._noise = False, None
        # A decoder of G.722 that has followed one encoder cracks at full scale when the codes of another go on.
        self._decoders.clear()
        self._decoder, self._rest = None, b""
        out += self._dtmf.restart()
        return self._extender.restart(packet.sequence)

    def _in_order(self, ordered: Sequence[Ordered[RtpPacket]], out: list[Heard]) -> None:
        arrivals_us = [one.arrived_us for one in ordered]
        # A packet that was overtaken belongs before the one that overtook it.
        for at in range(len(ordered) - 1, 0, -1):
            arrivals_us[at - 1] = min(arrivals_us[at - 1], arrivals_us[at] - self._length_us(ordered[at].item))
        for one, arrived_us in zip(ordered, arrivals_us, strict=True):
            self._one(one.item, one.lost, arrived_us, out)

    def _one(self, packet: RtpPacket, lost: int, arrived_us: int, out: list[Heard]) -> None:
        codec = self._audio_types.get(packet.payload_type)
        if lost:
            self._lost(lost, packet if codec is not None else None, arrived_us, out)
        self._made_up = 0
        if self._held:
            return
        if codec is not None:
            self._pauses = False
            pcm = self._decode(codec, packet.payload)
            if pcm:
                self._packet_bytes = len(pcm)
                self._audio(pcm, arrived_us, 0, out)
            return
        if packet.payload_type == COMFORT_NOISE.payload_type and packet.payload_type not in self._event_clocks_hz:
            self._pause(packet, arrived_us, out)
        # Keys and comfort noise are no speech: silence for as long as they took.
        while self._last_us + 2 * FRAME_US <= arrived_us:
            self._emit(self._silence, self._last_us + FRAME_US, 0, out)

    def _pause(self, told: RtpPacket, arrived_us: int, out: list[Heard]) -> None:
        """The talkspurt is over: until the next one silence is not made up out of speech, and nothing is waited for."""
        if self._rest:
            last = self._rest.ljust(self._frame_bytes, b"\0")
            self._rest = b""
            self._emit(last, min(self._last_us + FRAME_US, arrived_us), 0, out)
        self._pauses = self._stalled = True
        if self._noise is None:
            # Two callers' noise in one bridge is not to be the same.
            self._noise = ComfortNoise(self.sample_rate_hz, told.ssrc)
        self._noise.sid(told.payload)

    def _length_us(self, packet: RtpPacket) -> int:
        """About: what it holds is known when it is decoded."""
        return self._packet_bytes * FRAME_US // self._frame_bytes if packet.payload_type in self._audio_types else 0

    def _decode(self, codec: Codec, payload: bytes) -> bytes:
        decoder = self._decoders.get(codec)
        if decoder is None:
            decoder = self._decoders[codec] = decoder_for(codec, self.sample_rate_hz)
        self._decoder = decoder
        try:
            return decoder.decode(payload)
        except CodecInvalid:
            self.unknown_packets += 1
            return decoder.conceal(self._packet_bytes // 2)

    def _audio(self, pcm: bytes, arrived_us: int, flags: int, out: list[Heard]) -> None:
        size = self._frame_bytes
        if not self._rest and len(pcm) == size:
            self._emit(pcm, arrived_us - FRAME_US, flags, out)
            return
        data = self._rest + pcm
        at = 0
        while at + size <= len(data):
            after_us = (len(data) - at) * FRAME_US // self._frame_bytes
            self._emit(data[at : at + size], arrived_us - after_us, flags, out)
            at += size
        self._rest = data[at:]

    def _lost(self, packets: int, following: RtpPacket | None, arrived_us: int, out: list[Heard]) -> None:
        self.lost_packets += packets
        missing = packets * self._packet_bytes - self._made_up
        self._rest = b""
        frames = round(missing / self._frame_bytes)
        # What follows a gap is not to be dropped for what was made up in it.
        most = max(min(MAX_CONCEALED_FRAMES, self._credit_us // FRAME_US - _FOLLOWING_FRAMES), 0)
        if frames > most:
            self._flags |= DISCONTINUITY
        if self._held:
            return
        frames = min(frames, most)
        recovered = self._recovered(following, frames)
        for _ in range(frames - len(recovered) // self._frame_bytes):
            self._conceal(out, arrived_us)
        if recovered:
            last_us = min(self._last_us + FRAME_US + len(recovered) * FRAME_US // self._frame_bytes, arrived_us)
            self._audio(recovered, last_us, 0, out)

    def _recovered(self, following: RtpPacket | None, frames: int) -> bytes:
        """What the packet after a gap carries of the last one in it, in whole frames and no more of them."""
        size = self._packet_bytes
        if following is None or size % self._frame_bytes or size > frames * self._frame_bytes:
            return b""
        decoder = self._decoders.get(self._audio_types[following.payload_type])
        if decoder is None or decoder is not self._decoder:
            return b""
        return decoder.recover(following.payload, size // 2) or b""

    def _conceal(self, out: list[Heard], latest_us: int) -> None:
        # Packets that came in a burst leave less time than they hold sound: no frame comes from the future.
        self.concealed_frames += 1
        samples = self._silence if self._decoder is None else self._decoder.conceal(self._frame_bytes // 2)
        self._emit(samples, min(self._last_us + FRAME_US, latest_us), CONCEALED, out)

    def _emit(self, samples: bytes, call_time_us: int, flags: int, out: list[Heard]) -> None:
        if call_time_us > self._last_us:
            self._last_us = call_time_us
        else:
            call_time_us = self._last_us
        if call_time_us < 0:
            call_time_us = 0
        out.append(AudioFrame(self._sequence, call_time_us, self.sample_rate_hz, samples, 0, flags | self._flags))
        self._flags = 0
        self._sequence += 1
        self._credit_us -= FRAME_US
