"""Frames in sequence, the last one padded and flagged."""

import nats.errors
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.media.frame import END_OF_UTTERANCE, AudioFrame
from services.tts import publishing
from services.tts.publishing import AudioLost, FramePublisher


class Bus:
    def __init__(self, away_for: int = 0) -> None:
        self.frames: list[AudioFrame] = []
        self.away_for = away_for

    async def publish(self, subject: str, payload: bytes) -> None:
        if self.away_for:
            self.away_for -= 1
            raise nats.errors.OutboundBufferLimitError
        self.frames.append(AudioFrame.unpack(payload))


def publisher(bus: Bus) -> FramePublisher:
    return FramePublisher(bus, "subject", 3, 8000, ahead_ms=10_000)


@given(st.lists(st.integers(0, 500), max_size=8))
async def test_any_pieces_give_the_same_frames(sizes: list[int]) -> None:
    bus = Bus()
    frames = publisher(bus)
    samples = np.arange(1, sum(sizes) + 1, dtype=np.int16)
    at = 0
    for size in sizes:
        await frames.add(samples[at : at + size])
        at += size
        assert frames.position == at
    await frames.finish()
    assert [frame.sequence for frame in bus.frames] == list(range(len(bus.frames)))
    assert [frame.flags for frame in bus.frames] == [0] * (len(bus.frames) - 1) + [END_OF_UTTERANCE]
    heard = np.frombuffer(b"".join(frame.samples for frame in bus.frames), "<i2")
    assert frames.samples == len(heard)
    assert np.array_equal(heard[: len(samples)], samples)
    assert not heard[len(samples) :].any()


async def test_a_short_reconnect_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_RETRY_S", 0.001)
    bus = Bus(away_for=5)
    frames = publisher(bus)
    await frames.add(np.ones(320, np.int16))
    await frames.finish()
    assert [frame.sequence for frame in bus.frames] == [0, 1, 2]


async def test_a_bus_that_stays_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_RETRY_S", 0.001)
    monkeypatch.setattr(publishing, "_BUS_BACK_WITHIN_S", 0.01)
    with pytest.raises(AudioLost):
        await publisher(Bus(away_for=10**6)).finish()
