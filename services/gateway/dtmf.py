"""DTMF as named telephone events (RFC 4733)."""

import struct
from collections import deque
from dataclasses import dataclass

EVENTS = "0123456789*#ABCD"  # RFC 4733 §3.2, event codes 0-15
_PAYLOAD = struct.Struct("!BBH")
_END = 0x80
# Senders update every 50 ms (§2.5.1.2); three missing updates are an end whose packets were all lost.
LOST_END_US = 150_000
_CLOCK_HZ = 8000
_LONGEST = 0xFFFF  # a longer event goes on in a new segment (§2.5.1.3)


@dataclass(frozen=True, slots=True)
class Digit:
    digit: str
    duration_ms: int


@dataclass(slots=True)
class _Event:
    code: int
    timestamp: int
    duration: int
    before: int  # duration of the segments before this one
    heard_us: int
    clock_hz: int


class DtmfReceiver:
    """Each key press exactly once, keyed on the event's RTP timestamp.

    The marker bit is not looked at and neither start nor end packet is needed: any one packet of the event suffices.
    A digit is reported when its end comes, when the next one begins, or LOST_END_US after its last packet.
    """

    def __init__(self) -> None:
        self._current: _Event | None = None
        self._finished: deque[int] = deque(maxlen=16)

    @property
    def pressed(self) -> bool:
        """A key is held down."""
        return self._current is not None

    def push(self, timestamp: int, payload: bytes, now_us: int, clock_hz: int = _CLOCK_HZ) -> list[Digit]:
        """One telephone-event packet, its durations in ticks of `clock_hz`.

        Events that are no DTMF digit, and short payloads, are ignored.
        """
        if len(payload) < _PAYLOAD.size:
            return []
        code, flags, duration = _PAYLOAD.unpack_from(payload)
        if code >= len(EVENTS) or timestamp in self._finished:
            return []
        digits: list[Digit] = []
        event = self._current
        if event is not None and event.timestamp != timestamp:
            if event.code == code and (timestamp - event.timestamp) & 0xFFFFFFFF in _segments(clock_hz):
                self._finished.append(event.timestamp)
                event.before += _LONGEST
                event.timestamp, event.duration = timestamp, 0
            else:
                digits += self._finish()
                event = None
        if event is None:
            event = self._current = _Event(code, timestamp, duration, 0, now_us, clock_hz)
        event.duration = max(event.duration, duration)
        event.heard_us = now_us
        if flags & _END:
            digits += self._finish()
        return digits

    def expire(self, now_us: int) -> list[Digit]:
        """Ends an event whose end packets were lost."""
        if self._current is not None and now_us - self._current.heard_us >= LOST_END_US:
            return self._finish()
        return []

    def restart(self) -> list[Digit]:
        """The sender's timestamps begin anew (another SSRC)."""
        digits = self._finish()
        self._finished.clear()
        return digits

    def _finish(self) -> list[Digit]:
        event, self._current = self._current, None
        if event is None:
            return []
        self._finished.append(event.timestamp)
        return [Digit(EVENTS[event.code], round((event.before + event.duration) * 1000 / event.clock_hz))]


def _segments(clock_hz: int) -> tuple[int, ...]:
    """How far timestamps of an event's segments lie apart.

    Senders of telephone-event/48000 beside PCMU disagree on the clock of these packets' timestamps.
    """
    audio = _LONGEST * _CLOCK_HZ // clock_hz
    return (_LONGEST, audio, audio + 1)


@dataclass(frozen=True, slots=True)
class EventPacket:
    """A packet to send. One that `continues` its event carries the timestamp of the event's first (§2.2.1)."""

    payload: bytes
    continues: bool
    marker: bool


class DtmfSender:
    """Digits to event packets, one a 20 ms slot: 100 ms of tone, three end packets, 60 ms of pause between digits."""

    _TONE_SLOTS = 5
    _END_SLOTS = 3
    _PAUSE_SLOTS = 3
    _VOLUME = 10  # -10 dBm0, within the -36 to 0 dBm0 of §2.3.4

    def __init__(self) -> None:
        self.clock_hz = _CLOCK_HZ
        """Of the telephone-event that was negotiated."""
        self._digits: deque[str] = deque()
        self._slot = 0

    @property
    def busy(self) -> bool:
        return bool(self._digits)

    def queue(self, digits: str) -> None:
        """Raises ValueError on anything but 0-9 * # A-D; case does not matter."""
        wanted = digits.upper()
        for digit in wanted:
            if digit not in EVENTS:
                raise ValueError(f"{digit!r} is no DTMF digit; known are {EVENTS}")
        self._digits.extend(wanted)

    def clear(self) -> None:
        """What was not sent yet is not sent, nor the rest of a digit."""
        self._digits.clear()
        self._slot = 0

    def tick(self) -> EventPacket | None:
        """The packet of this slot; None in pauses and when there is nothing to send."""
        if not self._digits:
            return None
        slot = self._slot
        self._slot += 1
        if slot < self._TONE_SLOTS + self._END_SLOTS:
            ended = slot >= self._TONE_SLOTS
            duration = min(slot + 1, self._TONE_SLOTS) * self.clock_hz // 50
            code = EVENTS.index(self._digits[0])
            payload = _PAYLOAD.pack(code, self._VOLUME | (_END if ended else 0), duration)
            return EventPacket(payload, slot > 0, slot == 0)
        if slot == self._TONE_SLOTS + self._END_SLOTS + self._PAUSE_SLOTS - 1:
            self._digits.popleft()
            self._slot = 0
        return None
