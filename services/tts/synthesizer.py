"""The gRPC face of tts: one Synthesize stream an utterance."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
from nats.aio.client import Client

from services.common.bus import agent_subject
from services.common.media.frame import SAMPLE_RATES_HZ
from services.common.rpc import abort, caller_context, caller_traceparent
from services.common.telemetry.log import bind_call
from services.tts.lexicon import EMPTY, LexiconInvalid, lexicon_of
from services.tts.metrics import TtsMetrics
from services.tts.publishing import AudioLost, FramePublisher
from services.tts.settings import TtsSettings
from services.tts.speech import VoiceUnknown
from services.tts.studio import Studio
from services.tts.utterance import TextTooLong, Utterance
from services.tts.utterancespan import UtteranceSpan, refused
from tandem.v1.call_pb2 import ErrorReason
from tandem.v1.tts_pb2 import SynthesizeRequest, SynthesizeStart
from tandem.v1.tts_pb2_grpc import SynthesizerServicer

# What may stand between the dots of a NATS subject.
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

_HEAR_OUT_S = 0.2


class Synthesizer(SynthesizerServicer):
    """Serves Synthesize. A cancelled stream publishes nothing more: not even the frame that would be next."""

    def __init__(self, settings: TtsSettings, studio: Studio, bus: Client, metrics: TtsMetrics | None = None) -> None:
        self._metrics = metrics or TtsMetrics(studio.engine.name)
        self._settings = settings
        self._studio = studio
        self._bus = bus

    async def Synthesize(  # type: ignore[override]  # generated for both grpc and grpc.aio
        self, request_iterator: AsyncIterator[SynthesizeRequest], context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> None:
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("request") != "start":
            await _refuse(request_iterator, context, "the first message must be SynthesizeStart")
            return
        start = first.start
        problem = _problem(start)
        try:
            voice = self._studio.voice(start.voice)
        except VoiceUnknown as error:
            problem, voice = problem or str(error), ""
        try:
            lexicon = lexicon_of(start.lexicon)
        except LexiconInvalid as error:
            problem, lexicon = problem or str(error), EMPTY
        bind_call(start.call_id, caller_traceparent(context))
        if problem:
            refused(start, caller_context(context), problem)
            await _refuse(request_iterator, context, problem)
            return
        frames = FramePublisher(
            self._bus,
            agent_subject(start.call_id),
            start.utterance_id,
            start.sample_rate_hz,
            self._settings.ahead_ms,
        )
        span = UtteranceSpan(start, caller_context(context), self._studio.engine.name, self._metrics)
        utterance = Utterance(start, voice, self._studio, frames, context.write, self._settings, span, lexicon)
        speaking = asyncio.create_task(utterance.speak())
        listening = asyncio.create_task(_listen(request_iterator, utterance))
        try:
            await asyncio.wait({speaking, listening}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done() and not listening.result():
                return
            await speaking
        except TextTooLong as error:
            span.failed(error)
            speaking.cancel()
            await _refuse(request_iterator, context, str(error))
        except AudioLost as error:
            span.failed(error)
            await abort(context, grpc.StatusCode.UNAVAILABLE, str(error), ErrorReason.ERROR_REASON_AUDIO_LOST)
        except Exception as error:
            if not context.done():  # else nobody is there to hear it: the brain has gone
                span.failed(error)
            raise
        finally:
            for task in (speaking, listening):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await asyncio.gather(speaking, listening, return_exceptions=True)
            utterance.close()


async def _refuse(
    requests: AsyncIterator[SynthesizeRequest], context: "grpc.aio.ServicerContext[Any, Any]", problem: str
) -> None:
    """Ends the RPC with what is wrong.

    First reads what the client has to say, for a short while: its grpc.aio turns a write into an ended stream into
    INTERNAL, and the status that says why is lost.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_HEAR_OUT_S):
            async for _ in requests:
                pass
    await abort(context, grpc.StatusCode.INVALID_ARGUMENT, problem, ErrorReason.ERROR_REASON_BAD_REQUEST)


async def _listen(requests: AsyncIterator[SynthesizeRequest], utterance: Utterance) -> bool:
    """Gives the text to the utterance until it ends; False when it was cancelled. Raises TextTooLong."""
    async for request in requests:
        match request.WhichOneof("request"):
            case "text":
                utterance.text(request.text, time.monotonic())
            case "cancel":
                return False
            case "end":
                utterance.end(time.monotonic())
                break
    else:
        # A half-close says as much as SynthesizeEnd.
        utterance.end(time.monotonic())
    # Behind the end only a cancel can come.
    async for request in requests:
        if request.WhichOneof("request") == "cancel":
            return False
    return True


def _problem(start: SynthesizeStart) -> str:
    """What is wrong with a SynthesizeStart, or ""."""
    if not _CALL_ID.fullmatch(start.call_id):
        return f"call_id {start.call_id!r}: expected letters, digits, - and _"
    if start.sample_rate_hz not in SAMPLE_RATES_HZ:
        return f"sample_rate_hz {start.sample_rate_hz}: expected one of {SAMPLE_RATES_HZ}"
    if start.language and start.language.lower().split("-")[0] != "en":
        return f"language {start.language!r}: the engines here speak English"
    return ""
