"""The tts service on loopback with the real engine, and a listener on the bus."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from nats.aio.client import Client
from numpy.typing import NDArray

from services.common.bus import agent_subject, connect_audio
from services.common.media.frame import END_OF_UTTERANCE, AudioFrame
from services.common.rpc import connect, trace_metadata
from services.tts.app import serving
from services.tts.settings import TtsSettings
from tandem.v1.tts_pb2 import (
    FirstAudio,
    SpokenWord,
    SynthesizeCancel,
    SynthesizeEnd,
    SynthesizeRequest,
    SynthesizeStart,
)
from tandem.v1.tts_pb2_grpc import SynthesizerStub


@dataclass
class Heard:
    """What came of one utterance."""

    frames: list[AudioFrame] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    words: list[SpokenWord] = field(default_factory=list)
    first: FirstAudio | None = None
    finished_samples: int | None = None

    @property
    def samples(self) -> NDArray[np.float32]:
        return np.frombuffer(b"".join(f.samples for f in self.frames), "<i2").astype(np.float32) / 32767

    @property
    def ended(self) -> bool:
        return bool(self.frames) and bool(self.frames[-1].flags & END_OF_UTTERANCE)


class Brain:
    """Asks for utterances and listens on the bus."""

    def __init__(self, stub: SynthesizerStub, bus: Client) -> None:
        self.stub = stub
        self.bus = bus

    async def say(
        self,
        *pieces: str,
        call_id: str = "call-1",
        rate_hz: int = 8000,
        cancel_after: int | None = None,
        cancel_rpc_after: int | None = None,
        traceparent: str = "",
        **start: object,
    ) -> Heard:
        """Says the pieces as one utterance; `cancel_…_after` counts frames heard."""
        heard = Heard()
        enough, ended = asyncio.Event(), asyncio.Event()
        limit = cancel_after if cancel_after is not None else cancel_rpc_after

        async def listen(message: object) -> None:
            heard.frames.append(AudioFrame.unpack(message.data))  # type: ignore[attr-defined]
            if limit is not None and len(heard.frames) >= limit:
                enough.set()
            if heard.ended:
                ended.set()

        subscription = await self.bus.subscribe(agent_subject(call_id), cb=listen)
        await self.bus.flush()

        async def requests() -> AsyncIterator[SynthesizeRequest]:
            yield SynthesizeRequest(
                start=SynthesizeStart(call_id=call_id, utterance_id=7, sample_rate_hz=rate_hz, **start)  # type: ignore[arg-type]
            )
            for piece in pieces:
                yield SynthesizeRequest(text=piece)
            if cancel_after is not None:
                await enough.wait()
                yield SynthesizeRequest(cancel=SynthesizeCancel())
                await asyncio.sleep(5)
            yield SynthesizeRequest(end=SynthesizeEnd())

        try:
            async with asyncio.timeout(20):
                call = self.stub.Synthesize(requests(), metadata=trace_metadata(traceparent))
                if cancel_rpc_after is not None:
                    await enough.wait()
                    call.cancel()
                    return heard
                async for response in call:
                    kind = response.WhichOneof("response")
                    heard.order.append(kind or "")
                    if kind == "first_audio":
                        heard.first = response.first_audio
                    elif kind == "word_alignment":
                        heard.words += response.word_alignment.words
                    else:
                        heard.finished_samples = response.finished.samples
                if heard.finished_samples is not None:
                    await ended.wait()
        finally:
            await self.bus.flush()
            await subscription.unsubscribe()
        return heard


@pytest.fixture
def settings(nats_url: str, tmp_path: Path) -> TtsSettings:
    return TtsSettings(nats_url=nats_url, address="127.0.0.1:0", phrase_cache=tmp_path / "phrases")


@pytest.fixture
def open_brain() -> Callable[[TtsSettings], "BrainAtService"]:
    return BrainAtService


class BrainAtService:
    """`async with`: a service with the settings, and a brain that talks to it."""

    def __init__(self, settings: TtsSettings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Brain:
        self._service = serving(self._settings)
        self.port = await self._service.__aenter__()
        self._bus = await connect_audio(self._settings.nats_url, "test")
        self._channel = connect(f"127.0.0.1:{self.port}")
        return Brain(SynthesizerStub(self._channel), self._bus)

    async def __aexit__(self, *error: object) -> None:
        await self._channel.close()
        await self._bus.close()
        await self._service.__aexit__(None, None, None)


@pytest.fixture
async def brain(settings: TtsSettings) -> AsyncIterator[Brain]:
    async with BrainAtService(settings) as brain:
        yield brain
