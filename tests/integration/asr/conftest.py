"""An asr service with the real models on a real NATS server, and a gateway's side of the bus."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from numpy.typing import NDArray

from evals.caller import wav
from services.asr import turn_end
from services.asr.app import WhisperPass, load
from services.asr.passes import Passes, Recognize
from services.asr.recognizer import Recognizer
from services.asr.settings import AsrSettings
from services.common import bus, rpc
from services.common.media.frame import FRAME_US, AudioFrame
from tandem.v1 import asr_pb2, asr_pb2_grpc, brain_pb2

VOICES = Path(__file__).parents[3] / "evals" / "voices"
DATA = Path(__file__).parents[2] / "data"
QUIET = np.zeros(12_000, np.int16)


class Gateway:
    """The caller audio of one call: paced like RTP, kept for replays."""

    def __init__(self, client: Client, call_id: str) -> None:
        self.client = client
        self.call_id = call_id
        self.frames: list[AudioFrame] = []
        self.lose: Callable[[int], bool] = lambda sequence: False
        self._answered_at = 0.0
        self._said = 0.0

    async def answer(self) -> None:
        self._answered_at = time.monotonic()
        await self.client.subscribe(bus.replay_subject(self.call_id), cb=self._replay)

    def now_us(self) -> int:
        return round((time.monotonic() - self._answered_at) * 1e6)

    async def say(self, samples: NDArray[np.int16], paced: bool = True) -> tuple[int, int]:
        """Publishes 20 ms each 20 ms; returns the call times of the first sample and of the one after the last."""
        first = len(self.frames)
        for start in range(0, len(samples) - 159, 160):
            sequence = len(self.frames)
            frame = AudioFrame(sequence, sequence * FRAME_US, 8000, samples[start : start + 160].tobytes())
            self.frames.append(frame)
            if paced:
                await asyncio.sleep(max(0.0, (frame.call_time_us + FRAME_US - self.now_us()) / 1e6))
            if not self.lose(sequence):
                await self.client.publish(bus.caller_subject(self.call_id), frame.pack())
        if not paced:
            self._answered_at = time.monotonic() - len(self.frames) * FRAME_US / 1e6
        return first * FRAME_US, len(self.frames) * FRAME_US

    async def _replay(self, message: Msg) -> None:
        (first,) = struct.unpack("<I", message.data)
        wanted = self.frames[first:]
        for at in range(0, len(wanted), 100):
            await self.client.publish(message.reply, b"".join(one.pack() for one in wanted[at : at + 100]))
        await self.client.publish(message.reply, b"")


class Brain:
    """The client's side of one Recognize stream; `told` is what came, without heartbeats."""

    def __init__(self, address: str, call_id: str, from_sequence: int = 0, traceparent: str = "") -> None:
        self._channel = rpc.connect(address)
        stub = asr_pb2_grpc.RecognizerStub(self._channel)
        self.call = stub.Recognize(metadata=rpc.trace_metadata(traceparent))
        self._start = asr_pb2.RecognizeStart(
            call_id=call_id, sample_rate_hz=8000, from_sequence=from_sequence, language="en-US"
        )
        self.told: list[asr_pb2.RecognizeResponse] = []
        self.heartbeats = 0
        self._came = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        await self.call.write(asr_pb2.RecognizeRequest(start=self._start))
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._beat())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.call.cancel()
        await self._channel.close()

    async def _read(self) -> None:
        async for response in self.call:
            async with self._came:
                if response.HasField("heartbeat"):
                    self.heartbeats += 1
                else:
                    self.told.append(response)
                self._came.notify_all()

    async def _beat(self) -> None:
        while True:
            await self.call.write(asr_pb2.RecognizeRequest(heartbeat=brain_pb2.Heartbeat()))
            await asyncio.sleep(rpc.HEARTBEAT_S)

    @property
    def finals(self) -> list[asr_pb2.FinalTranscript]:
        return [one.final for one in self.told if one.HasField("final")]

    @property
    def stops(self) -> list[asr_pb2.SpeechStopped]:
        return [one.speech_stopped for one in self.told if one.HasField("speech_stopped")]

    @property
    def turn_ends(self) -> list[asr_pb2.TurnEnd]:
        return [one.turn_end for one in self.told if one.HasField("turn_end")]

    async def until(self, condition: Callable[[], bool], within_s: float = 10.0) -> None:
        async with self._came, asyncio.timeout(within_s):
            await self._came.wait_for(condition)


class Asr:
    """A running service; `recognize` may be replaced before a test speaks."""

    def __init__(self, address: str, recognize: Recognize) -> None:
        self.address = address
        self.recognize = recognize

    def __call__(self, *arguments: object) -> object:
        return self.recognize(*arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def models() -> tuple[object, object]:
    return load(AsrSettings())


@pytest.fixture
async def asr(nats_url: str, models: tuple[object, object]) -> AsyncIterator[Asr]:
    settings = AsrSettings(nats_url=nats_url, address="127.0.0.1:0")
    vad, whisper = models
    audio = await bus.connect_audio(nats_url, "asr")
    service = Asr("", WhisperPass(whisper))
    turn_ends = turn_end.load(settings)
    passes = Passes(service, settings.passes_at_once)
    server = rpc.RpcServer(settings.address, ["tandem.v1.Recognizer"])
    asr_pb2_grpc.add_RecognizerServicer_to_server(
        Recognizer(settings, audio, vad, passes, whisper.knows, turn_ends=turn_ends), server.server
    )
    service.address = f"127.0.0.1:{await server.start()}"
    yield service
    passes.close()
    if turn_ends is not None:
        turn_ends.close()
    await server.stop(0.1)
    await audio.close()


@pytest.fixture
async def gateway(nats_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    client = await bus.connect_audio(nats_url, "gateway")
    side = Gateway(client, request.node.name.split("[")[0])
    await side.answer()
    yield side
    await client.close()


@pytest.fixture
async def brain(asr: Asr, gateway: Gateway) -> AsyncIterator[Callable[..., Brain]]:
    opened: list[Brain] = []

    def open_brain(**options: object) -> Brain:
        opened.append(Brain(asr.address, gateway.call_id, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_brain
    for one in opened:
        await one.close()


@pytest.fixture
def phrase() -> Callable[[str], NDArray[np.int16]]:
    """A recording by name: `af_bella/hours`, or a file of tests/data."""

    def read(name: str) -> NDArray[np.int16]:
        return wav.read(VOICES / f"{name}.wav" if "/" in name else DATA / f"{name}.wav")

    return read


@pytest.fixture
def quiet() -> NDArray[np.int16]:
    """1.5 s of silence."""
    return QUIET
