"""The asr process: models loaded and warmed, then the Recognizer served until told to stop."""

import asyncio

import numpy as np

from services.asr.passes import Passes
from services.asr.recognizer import Recognizer, primary
from services.asr.segment import Segment
from services.asr.settings import AsrSettings
from services.asr.vad import SileroModel, Vad
from services.asr.whisper import Transcript, Whisper
from services.common import bus
from services.common.models import ModelMissing, ModelUnknown, locate
from services.common.rpc import RpcServer
from services.common.service import StartRefused
from services.common.telemetry import log
from tandem.v1 import asr_pb2_grpc

SERVICE_NAME = "tandem.v1.Recognizer"


async def run(settings: AsrSettings, stop: asyncio.Event) -> None:
    """Serves until `stop`. Raises StartRefused, BusUnavailable, AddressTaken."""
    audio = await bus.connect_audio(settings.nats_url, "asr")
    server = RpcServer(settings.address, [SERVICE_NAME])
    try:
        vad, whisper = await asyncio.to_thread(load, settings)
        passes = Passes(WhisperPass(whisper), settings.passes_at_once)
        asr_pb2_grpc.add_RecognizerServicer_to_server(
            Recognizer(settings, audio, vad, passes, whisper.knows), server.server
        )
        await server.start()
        await server.ready()
        log.logger().info("asr_ready", address=settings.address, model=settings.model)
        await stop.wait()
        await server.ready(False)
        passes.close()
    finally:
        await server.stop()
        await audio.close()


class WhisperPass:
    """One pass of the loaded model."""

    def __init__(self, whisper: Whisper) -> None:
        self._whisper = whisper

    def __call__(self, segment: Segment, language: str, prompt: str) -> Transcript:
        return self._whisper.transcribe(segment.samples, segment.sample_rate_hz, language, prompt)


def load(settings: AsrSettings) -> tuple[SileroModel, Whisper]:
    """Loads both models and runs each once, so that the first caller does not wait. Raises StartRefused."""
    try:
        vad_path, whisper_path = locate("silero-vad", settings.vad_model), locate("whisper-base", settings.model)
    except (ModelMissing, ModelUnknown) as error:
        raise StartRefused(str(error)) from error
    silence = np.zeros(8000, np.int16)
    try:
        vad = SileroModel(vad_path)
        Vad(vad, 8000).hear(silence)
    except Exception as error:  # onnxruntime's errors have no common type
        raise StartRefused(f"asr.vad_model: {vad_path} is no Silero VAD model: {error}") from error
    try:
        whisper = Whisper(
            whisper_path,
            device=settings.device,
            compute_type=settings.compute_type,
            passes_at_once=settings.passes_at_once,
            beam_size=settings.beam_size,
            word_times=settings.word_times,
        )
        whisper.transcribe(silence, 8000)
    except Exception as error:  # CTranslate2 and tokenizers raise what they like
        raise StartRefused(f"asr.model: {whisper_path} cannot be used: {error}") from error
    if not whisper.knows(primary(settings.language)):
        raise StartRefused(f"asr.language: {settings.model} does not know {settings.language!r}")
    return vad, whisper
