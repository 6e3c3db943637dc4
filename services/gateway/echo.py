"""The echo number: the caller's own audio back, with no other service (for testing a trunk)."""

from services.gateway.codecs.catalogue import decoder_for
from services.gateway.codecs.codec import CodecInvalid, Decoder
from services.gateway.codecs.g711 import LAWS
from services.gateway.rtp import RtpPacket
from services.gateway.sip.negotiation import Negotiated
from services.gateway.sip.sdp import Codec
from services.gateway.spoken_stream import BYTES_A_MS, SLOT_MS, Encoded, Spoken

# 60 ms swallow the jitter of a usual line; what piles up beyond is thrown away, or the echo would lag for ever.
_DEPTH_MS = 3 * SLOT_MS
# No packet of any codec holds more.
_LONGEST_MS = 120


class Echo:
    """Voice of an echo call. Packets are taken as they come: a line that reorders is to be heard.

    Payloads of G.711 go back as they are. Others are decoded: those of Opus can't be cut, and a decoder of G.722 that
    has followed silence of ours cracks at full scale when the codes of another encoder go on.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._waiting = bytearray()
        self._codec: Codec | None = None
        self._ssrc: int | None = None
        self._decoder: Decoder | None = None
        self._slot_bytes = 0

    def negotiated(self, media: Negotiated) -> None:
        if media.codec != self._codec:
            self._codec = media.codec
            self._begin(media.codec)

    def heard(self, packet: RtpPacket, now_us: int) -> None:
        if self._codec is None or packet.payload_type != self._codec.payload_type:
            return
        if packet.ssrc != self._ssrc:
            # Another encoder, perhaps on another device.
            self._ssrc = packet.ssrc
            self._begin(self._codec)
        data = packet.payload if self._decoder is None else self._decoded(self._decoder, packet.payload)
        self._waiting += data
        most = max(len(data), self._slot_bytes * _DEPTH_MS // SLOT_MS)
        del self._waiting[:-most]

    def slot(self, now_us: int) -> None:
        pass

    def speak(self, now_us: int) -> Spoken:
        size = self._slot_bytes
        if len(self._waiting) < size:
            return None
        data = bytes(self._waiting[:size])
        del self._waiting[:size]
        return Encoded(data) if self._decoder is None else data

    def sent(self) -> None:
        pass

    def _begin(self, codec: Codec) -> None:
        self._waiting.clear()
        a_ms = BYTES_A_MS[codec.encoding] if codec.encoding in LAWS else 0
        self._decoder = None if a_ms else decoder_for(codec, self._sample_rate_hz)
        self._slot_bytes = SLOT_MS * (a_ms or 2 * self._sample_rate_hz // 1000)

    def _decoded(self, decoder: Decoder, payload: bytes) -> bytes:
        try:
            return decoder.decode(payload)[: 2 * self._sample_rate_hz * _LONGEST_MS // 1000]
        except CodecInvalid:
            return b""
