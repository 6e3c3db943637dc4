"""What is said to the caller: PCM, keys and payloads in, RTP packets out, a slot of 20 ms at a time. Pure."""

from dataclasses import dataclass

from services.gateway.codecs.catalogue import encoder_for, rtp_clock_hz, silence_payload
from services.gateway.codecs.codec import Encoder
from services.gateway.dtmf import EventPacket
from services.gateway.rtp import RtpSender
from services.gateway.sip.negotiation import Negotiated
from services.gateway.sip.sdp import Codec

SLOT_MS = 20
BYTES_A_MS = {"PCMU": 8, "PCMA": 8, "G722": 8}
"""Codecs of 64 kbit/s, whose payloads can be put together and cut anywhere."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """20 ms in the call's own codec, which must be one of a fixed number of bytes a millisecond (BYTES_A_MS)."""

    payload: bytes


Spoken = bytes | Encoded | EventPacket | None
"""What a slot holds: PCM s16le at the call's rate, the same in its codec, a part of a key press, or silence."""


class SpokenStream:
    """Our RTP stream, with the codec and the packet time that were negotiated.

    PCM waits until a packet is full (ptime 30-60), or is cut (ptime 10). A packet's timestamp is that of its first
    sample. A key press breaks the packet that was waiting: RFC 4733 §2.1 has events in place of audio.
    """

    def __init__(self, ssrc: int, sequence: int, timestamp: int, sample_rate_hz: int) -> None:
        self.sender = RtpSender(ssrc, sequence, timestamp)
        self._codec: Codec | None = None
        self._packet_ms = SLOT_MS
        self._encoder: Encoder | None = None
        self._payload_type = 0
        self._event_type: int | None = None
        self._clock_hz = 8000
        self._slot_ticks = 160
        self._packet_ticks = 160
        self._fixed = 0
        self._quiet = b""
        self._waiting = b""
        self._piece = 0
        self._began = 0
        self._event_began = 0
        self.speaks_at(sample_rate_hz)

    def speaks_at(self, sample_rate_hz: int) -> None:
        """The PCM is of this rate from now on; `negotiated` follows."""
        self.sample_rate_hz = sample_rate_hz
        self._silence = bytes(2 * sample_rate_hz // 1000 * SLOT_MS)
        self._codec, self._waiting = None, b""

    def negotiated(self, media: Negotiated) -> list[bytes]:
        """The codec to send with, from the next slot on. One that stays goes on with its state.

        Gives the packet that waited to be full, to be sent as what came before it was: short, or its rest silence.
        """
        codec, packet_ms = media.codec, media.packet_ms
        event = media.telephone_event
        self._event_type = None if event is None else event.payload_type
        payload_type, self._payload_type = self._payload_type, codec.payload_type
        if codec == self._codec and packet_ms == self._packet_ms:
            return []
        out = self._rest(payload_type)
        self._codec, self._packet_ms = codec, packet_ms
        self._clock_hz = rtp_clock_hz(codec)
        self._slot_ticks = self._clock_hz * SLOT_MS // 1000
        self._packet_ticks = self._clock_hz * packet_ms // 1000
        self._fixed = BYTES_A_MS.get(codec.encoding, 0)
        # What can be cut is encoded a slot at a time, so that silence costs nothing; others are given whole packets.
        self._encoder = encoder_for(codec, self.sample_rate_hz, SLOT_MS if self._fixed else packet_ms)
        self._piece = self._fixed * packet_ms or 2 * self.sample_rate_hz * packet_ms // 1000
        self._quiet = silence_payload(codec.encoding, SLOT_MS) or b""
        return out

    def slot(self, spoken: Spoken) -> list[bytes]:
        """The packets that leave in this slot; the next one begins. Nothing before `negotiated`."""
        if self._encoder is None:
            return []
        if isinstance(spoken, EventPacket):
            out = self._event(spoken)
        elif self._fixed:
            if spoken is None:
                payload = self._quiet or self._encoder.encode(self._silence)
            else:
                payload = spoken.payload if isinstance(spoken, Encoded) else self._encoder.encode(spoken)
            if self._packet_ms == SLOT_MS:
                out = [self.sender.packet(self._payload_type, payload)]
            else:
                out = self._packets(payload)
        else:
            assert not isinstance(spoken, Encoded)
            out = self._packets(spoken or self._silence)
        self.sender.skip(self._slot_ticks)
        return out

    def skip(self, slots: int) -> None:
        """Slots go by in which nothing is sent: missed ones, or the call is on hold."""
        self._waiting = b""
        self.sender.skip(slots * self._slot_ticks)

    def mark(self) -> None:
        """The next packet begins a talkspurt."""
        self.sender.mark()

    def _packets(self, more: bytes) -> list[bytes]:
        if not self._waiting:
            self._began = self.sender.timestamp
        data = self._waiting + more
        out: list[bytes] = []
        at = 0
        while at + self._piece <= len(data):
            piece = data[at : at + self._piece]
            payload = piece if self._fixed or self._encoder is None else self._encoder.encode(piece)
            out.append(self.sender.packet(self._payload_type, payload, self._began))
            self._began += self._packet_ticks
            at += self._piece
        self._waiting = data[at:]
        return out

    def _rest(self, payload_type: int) -> list[bytes]:
        waiting, self._waiting = self._waiting, b""
        if not waiting or self._encoder is None:
            return []
        payload = waiting if self._fixed else self._encoder.encode(waiting.ljust(self._piece, b"\0"))
        return [self.sender.packet(payload_type, payload, self._began)]

    def _event(self, event: EventPacket) -> list[bytes]:
        self._waiting = b""
        if self._event_type is None:
            return []
        if not event.continues:
            self._event_began = self.sender.timestamp
        return [self.sender.packet(self._event_type, event.payload, self._event_began, event.marker)]
