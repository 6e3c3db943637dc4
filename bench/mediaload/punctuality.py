"""How punctual RTP streams were: late, lost and unplayed frames from the packets that came. Pure.

A stream's clock is its RTP timestamp: a frame is expected 20 ms after the one before, on the line that the least
delayed packet of the window lies on. A slot that was skipped (the timestamp moved on, the sequence did not) and a slot
of agent speech that was sent as silence are late frames too: the ear had nothing for 20 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.mediaload.speech import FRAME, UNMARKED

FRAME_NS = 20_000_000
LATE_NS = 20_000_000

PACKET = np.dtype([("port", "u2"), ("sequence", "u2"), ("timestamp", "u4"), ("mark", "i4"), ("arrival_ns", "i8")])
"""A packet that came: the gateway's port, RTP header fields, speech.marks, and when the kernel had it."""


@dataclass(slots=True)
class Punctuality:
    """Sums over streams; times in ms."""

    streams: int = 0
    frames: int = 0
    late: int = 0
    """More than 20 ms behind the line."""
    skipped: int = 0
    """Slots in which nothing was sent."""
    unplayed: int = 0
    """Slots that were silence though the agent speaks."""
    unmarked: int = 0
    """Packets of no known speech: silence, and everything that is encrypted."""
    lost: int = 0
    """By RTP sequence."""
    unheard: int = 0
    """Frames of the agent's that never came out, by their marks."""
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    worst_ms: float = 0.0

    @property
    def late_pct(self) -> float:
        """Of the frames that were due."""
        due = self.frames + self.skipped + self.lost
        return 100 * (self.late + self.skipped + self.unplayed) / due if due else 0.0


def judge(packets: NDArray[np.void], loop_frames: int | None = None) -> Punctuality:
    """`packets`: PACKET, in order of arrival, of one window. `loop_frames`: judge marks too, of a loop this long."""
    told = Punctuality()
    if not len(packets):
        return told
    order = np.argsort(packets["port"], kind="stable")
    ordered = packets[order]
    starts = np.flatnonzero(np.diff(ordered["port"])) + 1
    lateness = [_stream(stream, told, loop_frames) for stream in np.split(ordered, starts)]
    every = np.concatenate(lateness)
    told.frames, told.late = len(every), int((every > LATE_NS).sum())
    told.p50_ms, told.p99_ms = (round(float(one) / 1e6, 2) for one in np.percentile(every, (50, 99)))
    told.worst_ms = round(float(every.max()) / 1e6, 2)
    return told


def _stream(packets: NDArray[np.void], told: Punctuality, loop_frames: int | None) -> NDArray[np.int64]:
    """Adds one stream's counts; its packets' lateness in ns."""
    told.streams += 1
    # Differences of unsigned fields, read as signed: they wrap.
    steps = np.diff(packets["sequence"]).view(np.int16).astype(np.int64)
    slots = np.round(np.diff(packets["timestamp"]).view(np.int32) / FRAME).astype(np.int64)
    lost = int(np.maximum(steps - 1, 0).sum())
    told.lost += lost
    told.skipped += max(0, int(np.maximum(slots - 1, 0).sum()) - lost)
    told.unmarked += int((packets["mark"] == UNMARKED).sum())
    if loop_frames is not None:
        speech = packets["mark"][packets["mark"] != UNMARKED].astype(np.int64)
        told.unplayed += len(packets) - len(speech)
        gaps = (np.diff(speech) - 1) % loop_frames
        # One that comes again, or goes back, is as wrong as one that is missing.
        told.unheard += int(np.where(gaps < loop_frames // 2, gaps, 1).sum())
    since = np.concatenate(([0], np.cumsum(slots)))
    line = packets["arrival_ns"] - since * FRAME_NS
    lateness: NDArray[np.int64] = line - line.min()
    return lateness
