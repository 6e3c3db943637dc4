"""Keys that callers press: telephone-events, a packet each 20 ms (RFC 4733 §2.5). Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass

KEYS = "0123456789*#ABCD"
TONE_FRAMES = 5
"""100 ms: ITU-T Q.24 asks for 40."""
END_REPEATS = 2
"""§2.5.1.4: the last packet of an event goes three times in all."""
GAP_FRAMES = 6
FRAMES_A_KEY = TONE_FRAMES + END_REPEATS + GAP_FRAMES
_FRAME = 160
_END, _VOLUME = 0x80, 10


@dataclass(frozen=True, slots=True)
class Event:
    """What to send in place of audio. Its timestamp is that of the slot in which the event began."""

    payload: bytes
    began_frames_ago: int
    marker: bool


class Keypad:
    """One key after the other. Raises ValueError for what is no key."""

    def __init__(self, keys: str) -> None:
        for key in keys:
            if key not in KEYS:
                raise ValueError(f"{key!r} is no key: expected {KEYS}")
        self._keys = keys
        self._frame = 0

    @property
    def done(self) -> bool:
        return self._frame >= len(self._keys) * FRAMES_A_KEY

    def step(self) -> Event | None:
        """The next 20 ms; None for audio."""
        if self.done:
            return None
        number, frame = divmod(self._frame, FRAMES_A_KEY)
        self._frame += 1
        if frame >= TONE_FRAMES + END_REPEATS:
            return None
        end = frame >= TONE_FRAMES - 1
        duration = min(frame + 1, TONE_FRAMES) * _FRAME
        event = struct.pack("!BBH", KEYS.index(self._keys[number]), (_END if end else 0) | _VOLUME, duration)
        return Event(event, frame, marker=frame == 0)
