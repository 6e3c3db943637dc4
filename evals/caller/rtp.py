"""RTP of one call leg: packets out every 20 ms, packets in with the time they came (RFC 3550, RFC 3551, RFC 4733).

Pure: `Sender.frame` makes the next datagram, `Receiver.packet` takes one. The pace and the sockets are in call.py.
"""

import random
import struct
from dataclasses import dataclass, field

import numpy as np

from evals.caller import g711
from evals.caller.g711 import Samples

RATE_HZ = 8000
FRAME_MS = 20
FRAME = RATE_HZ * FRAME_MS // 1000

COMFORT_NOISE_DBFS = -65.0
"""The caller is never digitally silent: a quiet room on the line, sent as ordinary frames."""

TONE_MS, GAP_MS = 100, 80
"""A DTMF key is pressed and released for this long (ITU-T Q.24 asks for at least 40 and 40)."""
_TONE_FRAMES, _GAP_FRAMES = TONE_MS // FRAME_MS, GAP_MS // FRAME_MS
_VOLUME_DBM0 = 10
KEYS = "0123456789*#ABCD"


class Sender:
    """What the caller's mouth and keys put on the line, as a packet every 20 ms.

    `say` and `press` queue one thing at a time; `frame` returns the next packet. In frames with no voice, comfort noise
    from `seed` goes out. While a key is down its events replace the audio, on the same timestamps (RFC 4733 §2.5.1.2).
    """

    def __init__(self, codec: int, seed: int, event_type: int | None) -> None:
        rng = random.Random()  # SSRC and first numbers differ from call to call, whatever the seed (RFC 3550 §5.1)
        self.codec, self.event_type = codec, event_type
        self.sent = 0
        self._ssrc, self._sequence, self._timestamp = rng.getrandbits(32), rng.getrandbits(16), rng.getrandbits(32)
        amplitude = 32768 * 10 ** (COMFORT_NOISE_DBFS / 20)
        noise = np.random.default_rng(seed).normal(0, amplitude, 50 * FRAME)
        self._noise = np.round(noise).astype(np.int16).reshape(-1, FRAME)
        self._voice: Samples = np.zeros(0, np.int16)
        self._at = 0
        self._keys = ""
        self._key_frame = 0
        self._key_timestamp = 0
        self._first = True

    def say(self, samples: Samples) -> None:
        """Speak `samples` (int16, 8 kHz) from the next frame on."""
        self._voice, self._at = samples, 0

    def press(self, keys: str) -> None:
        """Press DTMF keys from the next frame on. Raises ValueError when the far end takes no telephone-event."""
        if self.event_type is None:
            raise ValueError("the far end offered no telephone-event: keys can't be sent")
        self._keys, self._key_frame = keys.upper(), 0

    @property
    def busy(self) -> bool:
        """True while there is voice or a key left to send."""
        return self._at < len(self._voice) or bool(self._keys)

    def frame(self) -> tuple[list[bytes], Samples]:
        """The next 20 ms: the datagrams to send (several where a key's end is repeated) and the samples in them."""
        self.sent += 1
        timestamp = self._timestamp
        self._timestamp = (timestamp + FRAME) & 0xFFFFFFFF
        if self._keys:
            return self._key(timestamp)
        room = self._noise[self.sent % len(self._noise)]
        voice = self._voice[self._at : self._at + FRAME]
        self._at += len(voice)
        samples = np.concatenate([voice, room[len(voice) :]])
        packet = self._packet(self.codec, self._first, timestamp, g711.encode(samples, self.codec))
        self._first = False
        return [packet], samples

    def _key(self, timestamp: int) -> tuple[list[bytes], Samples]:
        silence = np.zeros(FRAME, np.int16)
        frame, self._key_frame = self._key_frame, self._key_frame + 1
        key = KEYS.index(self._keys[0])
        if frame >= _TONE_FRAMES:
            if self._key_frame == _TONE_FRAMES + _GAP_FRAMES:
                self._keys, self._key_frame = self._keys[1:], 0
            return [self._packet(self.codec, False, timestamp, g711.encode(silence, self.codec))], silence
        if frame == 0:
            self._key_timestamp = timestamp
        end = frame == _TONE_FRAMES - 1
        event = struct.pack("!BBH", key, (0x80 if end else 0) | _VOLUME_DBM0, (frame + 1) * FRAME)
        assert self.event_type is not None
        # RFC 4733 §2.5.1.4: the last packet of an event is sent three times.
        repeats = 3 if end else 1
        return [self._packet(self.event_type, frame == 0, self._key_timestamp, event) for _ in range(repeats)], silence

    def _packet(self, payload_type: int, marker: bool, timestamp: int, payload: bytes) -> bytes:
        head = struct.pack("!BBHII", 0x80, marker << 7 | payload_type, self._sequence, timestamp, self._ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        return head + payload


@dataclass(frozen=True, slots=True)
class Heard:
    """A packet of audio: when it came (ms), its RTP timestamp, its samples and whether it continues the stream."""

    at_ms: float
    timestamp: int
    samples: Samples
    continues: bool


@dataclass(slots=True)
class Receiver:
    """Takes the far end's packets and counts them. A new SSRC starts a new count of lost packets."""

    received: int = 0
    max_gap_ms: float = 0.0
    _lost_before: int = 0
    _ssrc: int | None = None
    _first: int = 0
    _highest: int = 0
    _seen: set[int] = field(default_factory=set)
    _last_ms: float | None = None
    _next_timestamp: int | None = None

    @property
    def lost(self) -> int:
        """Packets missing from the sequence numbers (RFC 3550 appendix A.3), duplicates not counted as arrivals."""
        return self._lost_before + self._lost_now()

    def _lost_now(self) -> int:
        return 0 if self._ssrc is None else self._highest - self._first + 1 - len(self._seen)

    def packet(self, data: bytes, at_ms: float) -> Heard | None:
        """Take one datagram. None for what is not fresh G.711 audio: other payloads, duplicates, junk."""
        if len(data) < 12 or data[0] >> 6 != 2:
            return None
        first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        offset = 12 + 4 * (first & 0x0F)
        if first & 0x10 and len(data) >= offset + 4:
            offset += 4 + 4 * int(struct.unpack_from("!H", data, offset + 2)[0])
        end = len(data) - (data[-1] if first & 0x20 else 0)
        payload = data[offset:end]
        if not self._fresh(ssrc, sequence):
            return None
        self.received += 1
        if self._last_ms is not None:
            self.max_gap_ms = max(self.max_gap_ms, at_ms - self._last_ms)
        self._last_ms = at_ms
        law = second & 0x7F
        if law not in (g711.PCMU, g711.PCMA) or not payload:
            return None
        continues = timestamp == self._next_timestamp
        self._next_timestamp = (timestamp + len(payload)) & 0xFFFFFFFF
        return Heard(at_ms, timestamp, g711.decode(payload, law), continues)

    def _fresh(self, ssrc: int, sequence: int) -> bool:
        if ssrc != self._ssrc:
            self._lost_before += self._lost_now()
            self._ssrc, self._first, self._highest, self._next_timestamp = ssrc, sequence, sequence, None
            self._seen = {sequence}
            return True
        step = (sequence - self._highest + 0x8000) % 0x10000 - 0x8000
        extended = self._highest + step
        self._highest = max(self._highest, extended)
        if extended in self._seen or extended < self._first:
            return False
        self._seen.add(extended)
        return True


class Track:
    """One side of the recording: samples laid at their times on the caller's clock (ms; before 0 is cut off)."""

    LATE_MS = 40.0
    """A frame this far from where the last one ended is laid at its own time; less is jitter and stays joined."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, Samples]] = []
        self._end = 0

    def lay(self, at_ms: float, samples: Samples, joined: bool = True) -> None:
        """Lay samples (int16, 8 kHz) at `at_ms`, or right behind the last ones when joined and close by."""
        start = round(at_ms * RATE_HZ / 1000)
        if joined and self._parts and abs(start - self._end) < self.LATE_MS * RATE_HZ / 1000:
            start = self._end
        self._parts.append((start, samples))
        self._end = start + len(samples)

    def samples(self) -> Samples:
        """The whole track from time 0."""
        length = max((start + len(part) for start, part in self._parts), default=0)
        track = np.zeros(max(length, 0), np.int16)
        for start, part in self._parts:
            part = part[max(-start, 0) :]
            track[max(start, 0) : max(start, 0) + len(part)] = part
        return track
