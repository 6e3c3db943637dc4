"""What both sides of the bench say, in frames that can be told apart: a recorded reader and the agents' voice.

They are two recordings, or each side would sound like the other's echo.

The first three samples of each frame are a mark: its number in the loop, in two digits of base 64, and a check digit.
The digits are quiet µ-law codes that survive decoding and encoding, so a frame that came through the gateway says
which one it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.caller import g711, wav
from services.gateway.apology import APOLOGY_WAV
from tandem.plan import REPOSITORY

CALLER = REPOSITORY / "tests" / "data" / "librivox_ill_disposed.wav"
AGENT = APOLOGY_WAV
FRAME = 160
"""Samples in 20 ms at 8 kHz."""
FRAMES = 4000
"""The loop: 80 s."""
UNMARKED = -1
_BASE, _FIRST_CODE, _CHECK = 64, 0xC0, 21

Payloads = NDArray[np.uint8]


def payloads(frames: int = FRAMES, recording: Path = CALLER) -> Payloads:
    """µ-law, one row of 160 codes a frame, marked. The recording is repeated; without it, a synthetic vowel."""
    if not 0 < frames <= _BASE * _BASE:
        raise ValueError(f"{frames} frames: a mark tells 1 to {_BASE * _BASE} apart")
    samples = wav.read(recording) if recording.exists() else _vowel()
    codes = np.frombuffer(g711.encode(samples, g711.PCMU), np.uint8)
    rows = np.resize(codes, (frames, FRAME)).copy()
    number = np.arange(frames)
    first, second = number // _BASE, number % _BASE
    rows[:, 0], rows[:, 1] = _FIRST_CODE + first, _FIRST_CODE + second
    rows[:, 2] = _FIRST_CODE + (first + second + _CHECK) % _BASE
    return rows


def pcm(rows: Payloads) -> NDArray[np.uint8]:
    """The same frames as PCM s16le, 320 bytes a row."""
    return g711.decode(rows.tobytes(), g711.PCMU).astype("<i2").view(np.uint8).reshape(len(rows), 2 * FRAME)


def marks(heads: Any) -> NDArray[np.int32]:
    """Which frame each payload is, from its first three bytes (rows of 3, uint8); UNMARKED for what is none of ours."""
    digits = heads.astype(np.int32) - _FIRST_CODE
    number = digits[:, 0] * _BASE + digits[:, 1]
    good = (digits >= 0).all(axis=1) & ((digits[:, 0] + digits[:, 1] + _CHECK) % _BASE == digits[:, 2])
    return np.where(good, number, UNMARKED).astype(np.int32)


def _vowel() -> NDArray[np.int16]:
    """Three seconds of harmonics whose pitch and loudness move as a voice's do."""
    at = np.arange(3 * 8000) / 8000
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * at)) / 8000
    voice = sum(np.sin(order * phase) / order for order in range(1, 12))
    return (4000 * voice * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * at))).astype(np.int16)
