"""The Recognizer service: one Recognize stream a call."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from services.asr.calltelemetry import CallTelemetry
from services.asr.language import primary
from services.asr.listening import Listening
from services.asr.metrics import BAD_REQUEST, OVERLOADED, AsrMetrics
from services.asr.passes import Passes
from services.asr.recognition import Calls
from services.asr.settings import AsrSettings
from services.asr.turn_end import TurnEnds
from services.asr.vad import SileroModel
from services.common import rpc
from services.common.frameclient import FrameClient
from services.common.media.frame import SAMPLE_RATES_HZ
from services.common.telemetry import log
from services.common.telemetry.trace import context_from_traceparent
from tandem.v1 import asr_pb2, asr_pb2_grpc, brain_pb2
from tandem.v1.call_pb2 import ERROR_REASON_BAD_REQUEST, ERROR_REASON_FULL

Context = grpc.aio.ServicerContext[asr_pb2.RecognizeRequest, asr_pb2.RecognizeResponse]


class Recognizer(asr_pb2_grpc.RecognizerServicer):
    """Serves protos/tandem/v1/asr.proto. Times are local monotonic seconds."""

    def __init__(
        self,
        settings: AsrSettings,
        bus: FrameClient,
        vad: SileroModel,
        passes: Passes,
        knows: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
        turn_ends: TurnEnds | None = None,
        calls: Calls | None = None,
        metrics: AsrMetrics | None = None,
    ) -> None:
        """`bus`: the audio connection; `knows`: can the model recognize a language (ISO 639-1)?

        `turn_ends`: None where no model judges the end of turns; `calls`: None for calls like any other.
        """
        self._metrics = metrics or AsrMetrics(passes)
        self._turn_ends = turn_ends
        self._calls = calls or Calls(passes, knows)
        self._knows = knows
        self._settings = settings
        self._bus = bus
        self._vad = vad
        self._passes = passes
        self._clock = clock

    async def Recognize(
        self, requests: AsyncIterator[asr_pb2.RecognizeRequest], context: Context
    ) -> AsyncIterator[asr_pb2.RecognizeResponse]:
        """Ends when the brain ends it or is not heard for 2 s."""
        first = await anext(aiter(requests), None)
        if first is None:
            return
        mistake = mistake_in(first)
        language = primary(first.start.language or self._settings.language)
        if not mistake and not self._knows(language):
            mistake = f"start.language {first.start.language!r} is not known to {self._settings.model}"
        log.bind_call(first.start.call_id, rpc.caller_traceparent(context))
        telemetry = CallTelemetry(
            first.start.call_id, rpc.caller_context(context), self._metrics, self._settings.record_pii, self._clock
        )
        if mistake:
            telemetry.refused(mistake, BAD_REQUEST)
            await rpc.abort(context, grpc.StatusCode.INVALID_ARGUMENT, mistake, ERROR_REASON_BAD_REQUEST)
        # A call that another stream has had before is not new: it must not go deaf.
        if not first.start.from_sequence and not self._passes.admits:
            full = "finals wait too long here: no new calls for the time being"
            telemetry.refused(full, OVERLOADED)
            await rpc.abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, full, ERROR_REASON_FULL)
        told: asyncio.Queue[asr_pb2.RecognizeResponse | None] = asyncio.Queue()
        passes = self._calls.open(first.start.call_id, language)
        listening = Listening(
            first.start,
            passes.language.named,
            self._settings,
            self._bus,
            self._vad,
            passes,
            told.put_nowait,
            telemetry,
            clock=self._clock,
            turn_ends=self._turn_ends,
        )
        liveness = rpc.Liveness(self._clock())
        tasks = [
            asyncio.create_task(self._listen(listening, telemetry, told)),
            asyncio.create_task(self._read(requests, listening, liveness, told)),
            asyncio.create_task(self._beat(liveness, told)),
        ]
        self._metrics.streams += 1
        try:
            while (response := await told.get()) is not None:
                yield response
        finally:
            self._metrics.streams -= 1
            for task in tasks:
                task.cancel()
            try:
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:  # whoever cancels us once more is not to leave the span open
                telemetry.close()
                passes.close()

    async def _listen(self, listening: Listening, telemetry: CallTelemetry, told: "asyncio.Queue[Any]") -> None:
        try:
            await listening.run()
        except Exception as error:  # whatever it was, the brain must open another stream, not wait on this one
            log.logger().error("listening_failed", error=repr(error))
            telemetry.failed(error)
            told.put_nowait(None)

    async def _read(
        self,
        requests: AsyncIterator[asr_pb2.RecognizeRequest],
        listening: Listening,
        liveness: rpc.Liveness,
        told: "asyncio.Queue[Any]",
    ) -> None:
        try:
            async for request in requests:
                liveness.heard(self._clock())
                if request.HasField("turn_context"):
                    turn = request.turn_context
                    listening.turn(turn.question, context_from_traceparent(turn.traceparent))
                elif request.HasField("agent_speaks"):
                    listening.agent_speaks(request.agent_speaks.speaking)
        finally:
            told.put_nowait(None)

    async def _beat(self, liveness: rpc.Liveness, told: "asyncio.Queue[Any]") -> None:
        while not liveness.dead(self._clock()):
            told.put_nowait(asr_pb2.RecognizeResponse(heartbeat=brain_pb2.Heartbeat()))
            await asyncio.sleep(rpc.HEARTBEAT_S)
        told.put_nowait(None)


def mistake_in(request: asr_pb2.RecognizeRequest) -> str:
    """What is wrong with a stream's first message; empty when nothing is."""
    if not request.HasField("start"):
        return "the first message of Recognize must be `start`"
    if not request.start.call_id:
        return "start.call_id is empty"
    if any(letter in request.start.call_id for letter in ".*> \t\r\n"):
        return f"start.call_id {request.start.call_id!r} cannot be part of a NATS subject"
    if request.start.sample_rate_hz not in SAMPLE_RATES_HZ:
        return f"start.sample_rate_hz is {request.start.sample_rate_hz}, expected one of {SAMPLE_RATES_HZ}"
    return ""
