"""The asr service with its models replaced: `python -m bench.telemetryload.asr --settings FILE`.

All but the models is the service's own code, spans and metrics included. Its callers speak for 2 s of each 8 s,
whatever their sound is, and always ask the same. So 50 calls fit on a core or two, and what tracing costs is compared
with less work than a real recogniser has.
"""

import asyncio

import numpy as np
from numpy.typing import NDArray

from services.asr.passes import Passes
from services.asr.recognizer import Recognizer
from services.asr.segment import Segment
from services.asr.settings import AsrSettings
from services.asr.vad import WINDOW_MS
from services.asr.whisper import Transcript
from services.common import bus
from services.common.rpc import RpcServer
from services.common.service import main
from tandem.v1 import asr_pb2_grpc

SERVICE_NAME = "tandem.v1.Recognizer"
PERIOD, SPEAKS = 8000 // WINDOW_MS, 2000 // WINDOW_MS
"""Windows."""
QUESTION = "What are your opening hours?"


class Timetable:
    """In place of Silero's network: the state counts windows, and speech is the last part of each period."""

    def run(
        self, sound: NDArray[np.float32], state: NDArray[np.float32], sample_rate_hz: NDArray[np.int64]
    ) -> tuple[float, NDArray[np.float32]]:
        count = int(state[0, 0, 0])
        state = state.copy()
        state[0, 0, 0] = (count + 1) % PERIOD
        return (0.99 if count >= PERIOD - SPEAKS else 0.01), state


def asks(segment: Segment, language: str, prompt: str) -> Transcript:
    """In place of Whisper."""
    return Transcript(QUESTION, (), 0.95, "en")


async def run(settings: AsrSettings, stop: asyncio.Event) -> None:
    audio = await bus.connect_audio(settings.nats_url, "asr")
    passes = Passes(asks, settings.passes_at_once)
    server = RpcServer(settings.address, [SERVICE_NAME])
    recognizer = Recognizer(settings, audio, Timetable(), passes, lambda language: True)  # type: ignore[arg-type]
    asr_pb2_grpc.add_RecognizerServicer_to_server(recognizer, server.server)
    await server.start()
    await server.ready()
    await stop.wait()
    await server.ready(False)
    passes.close()
    await server.stop()
    await audio.close()


if __name__ == "__main__":
    main("asr", AsrSettings, run)
