"""Samples to 20 ms frames on the bus, in sequence, not too far ahead of the listener."""

import asyncio
import time
from typing import Protocol

import nats.errors
import numpy as np
from numpy.typing import NDArray

from services.common.media.frame import END_OF_UTTERANCE, FRAME_MS, AudioFrame, samples_per_frame

# The gateway gives an utterance up after 5 s without a frame.
_BUS_BACK_WITHIN_S = 4.0
_RETRY_S = 0.02
# Frames published in one go: a second of audio, then other utterances have their turn.
_BURST = 50


class AudioLost(ConnectionError):
    """The bus was away for longer than the gateway waits."""


class Bus(Protocol):
    async def publish(self, subject: str, payload: bytes) -> None: ...


class FramePublisher:
    """One utterance's frames. `samples` counts what was published, the last frame's padding included."""

    def __init__(self, bus: Bus, subject: str, utterance_id: int, rate_hz: int, ahead_ms: int) -> None:
        self._bus = bus
        self._subject = subject
        self._utterance_id = utterance_id
        self._rate_hz = rate_hz
        self._size = samples_per_frame(rate_hz)
        self._ahead_frames = ahead_ms // FRAME_MS
        self._sequence = 0
        self._rest = np.zeros(0, np.int16)
        self._began = 0.0

    @property
    def samples(self) -> int:
        return self._sequence * self._size

    @property
    def position(self) -> int:
        """Where the next sample lies in the utterance."""
        return self.samples + len(self._rest)

    async def add(self, samples: NDArray[np.int16]) -> None:
        """Publishes the whole frames; what is left waits for more. Raises AudioLost."""
        pending = np.concatenate([self._rest, samples])
        whole = len(pending) // self._size * self._size
        self._rest = pending[whole:]
        for at in range(0, whole, self._size):
            await self._publish(pending[at : at + self._size], 0)

    async def finish(self) -> None:
        """Publishes the last frame, padded with silence and flagged; one of silence when nothing is left."""
        last = np.pad(self._rest, (0, self._size - len(self._rest)))
        self._rest = self._rest[:0]
        await self._publish(last, END_OF_UTTERANCE)

    async def _publish(self, samples: NDArray[np.int16], flags: int) -> None:
        await self._pace()
        frame = AudioFrame(
            self._sequence, 0, self._rate_hz, samples.astype("<i2").tobytes(), self._utterance_id, flags
        ).pack()
        for _ in range(int(_BUS_BACK_WITHIN_S / _RETRY_S)):
            try:
                await self._bus.publish(self._subject, frame)
                break
            except nats.errors.OutboundBufferLimitError:
                # Reconnecting. Nobody has heard this frame yet, so unlike the caller's it is worth keeping.
                await asyncio.sleep(_RETRY_S)
        else:
            raise AudioLost(f"no NATS server for {_BUS_BACK_WITHIN_S:.0f} s, the utterance is cut short")
        self._sequence += 1

    async def _pace(self) -> None:
        now = time.monotonic()
        if self._sequence == 0:
            self._began = now
        ahead_s = (self._sequence - self._ahead_frames) * FRAME_MS / 1000 - (now - self._began)
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)
        elif self._sequence and self._sequence % _BURST == 0:
            await asyncio.sleep(0)
