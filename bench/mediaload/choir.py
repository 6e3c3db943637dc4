"""The agents' voices: frames of every call's speech as NATS messages, made for many calls at once. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.mediaload.natswire import publish_head
from services.common.media.frame import END_OF_UTTERANCE, FRAME_US, HEADER_BYTES, VERSION, frame_bytes

UTTERANCE_FRAMES = 200
"""4 s: a sentence or two."""
LEAD_FRAMES = 15
"""Ahead of the call's clock: 300 ms, so that nothing is late because the far end is."""
MOST_ROUNDS = 10
"""Frames a call in one go after the first ones; what is more waits for the next turn."""
_HEAD_BYTES = 96
_RATE_HZ = 8000

_MESSAGE = np.dtype(
    [
        ("head", "u1", _HEAD_BYTES),
        ("version", "u1"),
        ("flags", "u1"),
        ("sample_rate_hz", "<u2"),
        ("sequence", "<u4"),
        ("call_time_us", "<i8"),
        ("utterance_id", "<u4"),
        ("samples", "u1", frame_bytes(_RATE_HZ) - HEADER_BYTES),
        ("end", "u1", 2),
    ]
)


class Choir:
    """Calls of one phase. Times are microseconds of one monotonic clock."""

    def __init__(self, speech: NDArray[np.uint8], capacity: int = 1024) -> None:
        """`speech`: PCM s16le, a row of 320 bytes a frame."""
        self._speech = speech
        self._calls: list[str] = []
        self._messages: Any = np.zeros(capacity, _MESSAGE)
        self._messages["version"], self._messages["sample_rate_hz"] = VERSION, _RATE_HZ
        self._messages["end"] = np.frombuffer(b"\r\n", np.uint8)
        self._said = np.zeros(capacity, np.int64)
        self._began_us = np.zeros(capacity, np.int64)
        self.behind_frames = 0
        """The furthest that a call was behind its lead."""

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: str, subject: str, now_us: int) -> None:
        """Its first frame is due now. Raises ValueError when there is no room."""
        row = len(self._calls)
        if row >= len(self._messages):
            raise ValueError(f"{row} calls are all there is room for")
        self._calls.append(call)
        head = publish_head(subject, frame_bytes(_RATE_HZ), _HEAD_BYTES)
        self._messages["head"][row] = np.frombuffer(head, np.uint8)
        self._said[row], self._began_us[row] = 0, now_us

    def remove(self, call: str) -> None:
        if call not in self._calls:
            return
        row, last = self._calls.index(call), len(self._calls) - 1
        self._calls[row] = self._calls[last]
        self._calls.pop()
        for one in (self._messages, self._said, self._began_us):
            one[row] = one[last]

    def sing(self, now_us: int) -> tuple[bytes, int]:
        """The messages that are due, and how many."""
        parts, count = [], 0
        calls = len(self._calls)
        if not calls:
            return b"", 0
        due = (now_us - self._began_us[:calls]) // FRAME_US + LEAD_FRAMES
        behind = due - self._said[:calls]
        old = self._said[:calls] > 0
        if old.any():
            self.behind_frames = max(self.behind_frames, int(behind[old].max()) - 1)
        for _ in range(MOST_ROUNDS + LEAD_FRAMES):
            rows = np.flatnonzero(self._said[:calls] < due)
            if not len(rows):
                break
            parts.append(self._round(slice(0, calls) if len(rows) == calls else rows))
            count += len(rows)
        return b"".join(parts), count

    def _round(self, rows: Any) -> bytes:
        said, messages = self._said[rows], self._messages
        sequence = said % UTTERANCE_FRAMES
        messages["sequence"][rows] = sequence
        messages["utterance_id"][rows] = said // UTTERANCE_FRAMES + 1
        messages["flags"][rows] = np.where(sequence == UTTERANCE_FRAMES - 1, END_OF_UTTERANCE, 0)
        messages["samples"][rows] = self._speech[said % len(self._speech)]
        self._said[rows] = said + 1
        data: bytes = messages[rows].tobytes()
        return data
