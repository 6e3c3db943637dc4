"""The tts process: its engine, its connection, its gRPC server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import nats.errors

from services.common.bus import connect_audio
from services.common.models import ModelMissing, locate
from services.common.rpc import RpcServer
from services.common.service import StartRefused
from services.common.telemetry.log import logger
from services.common.telemetry.metrics import REGISTRY
from services.tts.engine_kokoro_torch import KokoroTorchEngine, KokoroUnavailable
from services.tts.metrics import TtsMetrics
from services.tts.settings import TtsSettings
from services.tts.speech import Engine, VoiceUnknown
from services.tts.studio import Studio
from services.tts.synthesizer import Synthesizer
from tandem.v1.tts_pb2_grpc import add_SynthesizerServicer_to_server

SERVICE_NAME = "tandem.v1.Synthesizer"


async def run(settings: TtsSettings, stop: asyncio.Event) -> None:
    """Serves until `stop`. Raises BusUnavailable, AddressTaken, StartRefused."""
    async with serving(settings):
        await stop.wait()


@contextlib.asynccontextmanager
async def serving(settings: TtsSettings) -> AsyncIterator[int]:
    """A running service; yields its gRPC port. SERVING only after a synthesis went well."""
    server = RpcServer(settings.address, [SERVICE_NAME])
    bus = await connect_audio(settings.nats_url, "tts")
    studio: Studio | None = None
    metrics: TtsMetrics | None = None
    try:
        studio = Studio(settings, await asyncio.to_thread(open_engine, settings))
        metrics = TtsMetrics(studio.engine.name, REGISTRY)
        add_SynthesizerServicer_to_server(Synthesizer(settings, studio, bus, metrics), server.server)
        port = await server.start()
        await _warm_up(studio)
        await server.ready()
        logger().info("tts serves", address=settings.address, engine=studio.engine.name, voice=studio.voice(""))
        yield port
    finally:
        await server.ready(False)
        await server.stop()
        if metrics is not None:
            metrics.close()
        if studio is not None:
            studio.close()
        with contextlib.suppress(nats.errors.Error, OSError):
            await bus.close()


async def _warm_up(studio: Studio) -> None:
    try:
        await studio.warm_up()
    except VoiceUnknown as error:
        raise StartRefused(f"tts.voice: {error}") from error
    except Exception as error:
        raise StartRefused(f"engine {studio.engine.name} fails on its first clause: {error!r}") from error


def open_engine(settings: TtsSettings) -> Engine:
    """Loads the engine of the settings. Raises StartRefused."""
    try:
        if settings.engine == "kokoro-torch":
            engine = KokoroTorchEngine(settings.kokoro_weights or "", settings.device, settings.speed)
            logger().info("kokoro runs on torch", device=engine.device, weights=settings.kokoro_weights)
            return engine
        if settings.engine == "kokoro":
            # Each loads its own dictionaries and network; only one is ever used.
            from services.tts.engine_kokoro import KokoroEngine

            return KokoroEngine(locate("kokoro", settings.kokoro_model), settings.speed)
        from services.tts.engine_hibari import HibariEngine

        return HibariEngine(locate("hibari", settings.hibari_model), settings.speed)
    except ModelMissing as error:
        raise StartRefused(str(error)) from error
    except KokoroUnavailable as error:
        raise StartRefused(f"engine kokoro-torch: {error}") from error
    except Exception as error:
        raise StartRefused(f"engine {settings.engine} does not load: {error!r}") from error
