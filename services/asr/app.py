"""The asr process: models loaded and warmed, then the Recognizer served until told to stop."""

import asyncio
from pathlib import Path

import ctranslate2
import numpy as np

from services.asr import turn_end
from services.asr.language import primary
from services.asr.metrics import AsrMetrics
from services.asr.recognition import Recognition, WhisperPass
from services.asr.recognizer import Recognizer
from services.asr.settings import AsrSettings
from services.asr.vad import SileroModel, Vad
from services.asr.whisper import Whisper
from services.common import bus
from services.common.models import ModelMissing, ModelUnknown, locate
from services.common.rpc import RpcServer
from services.common.service import StartRefused
from services.common.telemetry import log
from services.common.telemetry.metrics import REGISTRY
from tandem.v1 import asr_pb2_grpc

__all__ = ["WhisperPass", "load", "load_smaller", "load_vad", "load_whisper", "run"]

SERVICE_NAME = "tandem.v1.Recognizer"
SILENCE = np.zeros(8000, np.int16)


async def run(settings: AsrSettings, stop: asyncio.Event) -> None:
    """Serves until `stop`. Raises StartRefused, BusUnavailable, AddressTaken."""
    audio = await bus.connect_audio(settings.nats_url, "asr")
    server = RpcServer(settings.address, [SERVICE_NAME])
    try:
        local = settings.provider == "local" or settings.provider_fallback
        vad = await asyncio.to_thread(load_vad, settings)
        whisper = await asyncio.to_thread(load_whisper, settings) if local else None
        smaller = await asyncio.to_thread(load_smaller, settings) if settings.provider == "local" else None
        turn_ends = await asyncio.to_thread(turn_end.load, settings)
        recognition = Recognition(settings, whisper, smaller)
        metrics = AsrMetrics(recognition.passes, REGISTRY)
        try:
            recognizer = Recognizer(
                settings,
                audio,
                vad,
                recognition.passes,
                recognition.calls.knows,
                calls=recognition.calls,
                turn_ends=turn_ends,
                metrics=metrics,
            )
            asr_pb2_grpc.add_RecognizerServicer_to_server(recognizer, server.server)
            await server.start()
            await server.ready()
            log.logger().info("asr_ready", address=settings.address, model=settings.model, provider=settings.provider)
            await stop.wait()
            await server.ready(False)
        finally:
            metrics.close()
            await recognition.close()
            if turn_ends is not None:
                turn_ends.close()
    finally:
        await server.stop()
        await audio.close()


def load(settings: AsrSettings) -> tuple[SileroModel, Whisper]:
    """Loads both models and runs each once, so that the first caller does not wait. Raises StartRefused."""
    return load_vad(settings), load_whisper(settings)


def load_vad(settings: AsrSettings) -> SileroModel:
    """Raises StartRefused."""
    try:
        path = locate("silero-vad", settings.vad_model)
    except (ModelMissing, ModelUnknown) as error:
        raise StartRefused(str(error)) from error
    try:
        vad = SileroModel(path)
        Vad(vad, 8000).hear(SILENCE)
    except Exception as error:  # onnxruntime's errors have no common type
        raise StartRefused(f"asr.vad_model: {path} is no Silero VAD model: {error}") from error
    return vad


def load_whisper(settings: AsrSettings) -> Whisper:
    """The model that recognizes, and does what a provider fails to do. Raises StartRefused."""
    check_gpu(settings)
    try:
        path = locate("whisper-base", settings.model)
    except (ModelMissing, ModelUnknown) as error:
        raise StartRefused(str(error)) from error
    try:
        whisper = _warm(settings, path)
    except Exception as error:  # CTranslate2 and tokenizers raise what they like
        raise StartRefused(f"asr.model: {path} cannot be used: {error}") from error
    if settings.provider == "local" and not whisper.knows(primary(settings.language)):
        raise StartRefused(f"asr.language: {settings.model} does not know {settings.language!r}")
    return whisper


def load_smaller(settings: AsrSettings) -> Whisper | None:
    """The model for finals under overload; None, and a line in the log, where it cannot be had."""
    if not settings.overload_model or settings.overload_model == settings.model:
        return None
    try:
        return _warm(settings, locate("whisper-tiny.en", settings.overload_model))
    except Exception as error:  # recognition is whole without it
        log.logger().warning("asr_no_overload_model", setting="asr.overload_model", error=str(error))
        return None


def check_gpu(settings: AsrSettings) -> None:
    """Raises StartRefused where a GPU is asked for and there is none, or it cannot do the type asked for."""
    if settings.device != "cuda":
        return
    if not ctranslate2.get_cuda_device_count():
        raise StartRefused("asr.device: cuda, but no GPU is to be seen here: look at the driver, or set cpu and int8")
    able = ctranslate2.get_supported_compute_types("cuda")
    if settings.compute_type not in ("default", "auto") and settings.compute_type not in able:
        raise StartRefused(f"asr.compute_type: this GPU has no {settings.compute_type}, only {', '.join(sorted(able))}")


def _warm(settings: AsrSettings, path: Path) -> Whisper:
    whisper = Whisper(
        path,
        device=settings.device,
        compute_type=settings.compute_type,
        passes_at_once=settings.passes_at_once,
        beam_size=settings.beam_size,
        word_times=settings.word_times,
        default_language=primary(settings.undecided_language),
        least_language_probability=settings.least_language_probability,
    )
    whisper.transcribe(SILENCE, 8000)
    return whisper
