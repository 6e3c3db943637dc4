"""An asr whose finals wait too long takes no new calls; calls that it or another had before go on. And a call whose
language is open is held in what it begins in."""

import asyncio
import threading
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2

from services.asr.overload import Bounds, Ladder
from services.asr.passes import Passes
from services.asr.recognition import Calls, WhisperPass
from services.asr.recognizer import Recognizer
from services.asr.segment import Segment
from services.asr.settings import AsrSettings
from services.asr.whisper import Transcript
from services.common import bus, rpc
from tandem.v1 import asr_pb2, asr_pb2_grpc


class Jam:
    """Passes that take as long as they are let."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, segment: Segment, language: str, prompt: str) -> Transcript:
        self.go.wait(10)
        return Transcript("", (), 0.0, language)


@pytest.fixture
async def jammed(nats_url: str, models: tuple[object, object]) -> AsyncIterator[tuple[str, Jam]]:
    settings = AsrSettings(nats_url=nats_url, address="127.0.0.1:0")
    audio = await bus.connect_audio(nats_url, "asr")
    model = Jam()
    passes = Passes(model, 1, ladder=Ladder(Bounds(delays_s=(0.0, 0.01, 0.02), rise_s=0.0, recover_s=0.01)))
    server = rpc.RpcServer(settings.address, ["tandem.v1.Recognizer"])
    asr_pb2_grpc.add_RecognizerServicer_to_server(
        Recognizer(settings, audio, models[0], passes, lambda language: True),  # type: ignore[arg-type]
        server.server,
    )
    address = f"127.0.0.1:{await server.start()}"
    sound = Segment(np.zeros(80, np.int16), 8000, ((0, 0),))
    for _ in range(4):
        passes.ask(sound, "en")
    await asyncio.sleep(0.1)
    for _ in range(3):
        assert passes.step
    yield address, model
    model.go.set()
    passes.close()
    await server.stop(0.1)
    await audio.close()


async def opened(address: str, from_sequence: int) -> asr_pb2.RecognizeResponse:
    async with rpc.connect(address) as channel:
        call = asr_pb2_grpc.RecognizerStub(channel).Recognize()
        start = asr_pb2.RecognizeStart(call_id="one", sample_rate_hz=8000, from_sequence=from_sequence)
        await call.write(asr_pb2.RecognizeRequest(start=start))
        response = await call.read()
        call.cancel()
        return response


async def test_new_calls_are_refused_and_old_ones_are_not(jammed: tuple[str, Jam]) -> None:
    address, model = jammed
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await opened(address, 0)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    rich = status_pb2.Status.FromString(dict(refused.value.trailing_metadata())["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert rich.details[0].Unpack(info)
    assert info.reason == "ERROR_REASON_FULL"
    assert (await opened(address, 50)).HasField("heartbeat")
    model.go.set()
    async with asyncio.timeout(5):
        while True:
            await asyncio.sleep(0.05)
            try:
                assert (await opened(address, 0)).HasField("heartbeat")
                break
            except grpc.aio.AioRpcError:
                continue


async def test_the_language_of_a_recording_is_found(models: tuple[object, object], phrase) -> None:
    whisper = models[1]
    assert whisper.knows("auto")  # type: ignore[attr-defined]
    passes = Passes(WhisperPass(whisper), 1)  # type: ignore[arg-type]
    calls = Calls(passes, lambda language: True, "de", 0.5)
    call = calls.open("one", "auto")
    samples = phrase("af_bella/hours")
    outcome = await call.ask(Segment(samples, 8000, ((0, 0),))).outcome()
    assert "hours" in outcome.transcript.text
    assert (outcome.transcript.language, call.language.now) == ("en", "en")
    assert outcome.transcript.language_probability > 0.5
    call.close()
    passes.close()
