"""The brain's neighbours over real gRPC, without sound: an ear and a voice for every line, and a desk where nobody is
free."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from evals.tools.line import Line, Spoken, recognition
from services.common.rpc import HEARTBEAT_S, RpcServer
from tandem.v1 import asr_pb2, brain_pb2, escalation_pb2, tts_pb2
from tandem.v1.asr_pb2_grpc import RecognizerServicer, add_RecognizerServicer_to_server
from tandem.v1.escalation_pb2_grpc import EscalationServicer, add_EscalationServicer_to_server
from tandem.v1.tts_pb2_grpc import SynthesizerServicer, add_SynthesizerServicer_to_server

SAMPLES_A_WORD = 2400  # 0.3 s
# asr counts in frames of 20 ms.
_FRAME_US = 20_000

Lines = dict[str, Line]


class Ear(RecognizerServicer):
    """Tells what the caller of the line says; what was said since the last words understood it tells again."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    async def Recognize(self, requests: Any, context: Any) -> AsyncIterator[asr_pb2.RecognizeResponse]:
        start = (await anext(aiter(requests))).start
        line = self._lines[start.call_id]
        queue: asyncio.Queue[asr_pb2.RecognizeResponse] = asyncio.Queue()
        for said in line.said:
            if said.stopped_us >= (start.from_sequence + 1) * _FRAME_US:
                for response in recognition(said, line.now_us()):
                    queue.put_nowait(response)
        line.ears.append(queue)
        reading = asyncio.create_task(_drain(requests))
        try:
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        response = await queue.get()
                except TimeoutError:
                    response = asr_pb2.RecognizeResponse(heartbeat=brain_pb2.Heartbeat())
                yield response
        finally:
            reading.cancel()
            line.ears.remove(queue)


class Voice(SynthesizerServicer):
    """Speaks a word in 0.3 s of samples, made at once."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    async def Synthesize(self, requests: Any, context: Any) -> AsyncIterator[tts_pb2.SynthesizeResponse]:
        line: Line | None = None
        spoken = Spoken()
        async for request in requests:
            match request.WhichOneof("request"):
                case "start":
                    line = self._lines[request.start.call_id]
                    spoken = line.spoken.setdefault(request.start.utterance_id, spoken)
                    spoken.cacheable = request.start.cacheable
                case "text":
                    first = not spoken.first_text_s
                    if first:
                        spoken.first_text_s = time.monotonic()
                    spoken.text += request.text
                    words = []
                    for word in request.text.split():
                        end = spoken.samples + SAMPLES_A_WORD
                        words.append(tts_pb2.SpokenWord(text=word, start_sample=spoken.samples, end_sample=end))
                        spoken.samples = end
                    if first:
                        yield tts_pb2.SynthesizeResponse(first_audio=tts_pb2.FirstAudio(synthesis_us=1000))
                    yield tts_pb2.SynthesizeResponse(word_alignment=tts_pb2.WordAlignment(words=words))
                case "end":
                    spoken.complete = True
                    if line is not None:
                        line.changed.set()
                    yield tts_pb2.SynthesizeResponse(finished=tts_pb2.SynthesizeFinished(samples=spoken.samples))
                    return


class Desk(EscalationServicer):
    """Nobody is free."""

    async def Escalate(self, requests: Any, context: Any) -> AsyncIterator[escalation_pb2.EscalateResponse]:
        async for _ in requests:
            yield escalation_pb2.EscalateResponse(
                outcome=escalation_pb2.EscalationOutcome(
                    result=escalation_pb2.ESCALATION_RESULT_RETURNED, reason="busy", sip_status=486, ticket_id="t1"
                )
            )
            return


class Neighbours:
    """All three on one port of loopback, in this process."""

    def __init__(self) -> None:
        self.lines: Lines = {}
        self.address = ""
        self._server = RpcServer("127.0.0.1:0", [])

    async def start(self) -> None:
        add_RecognizerServicer_to_server(Ear(self.lines), self._server.server)
        add_SynthesizerServicer_to_server(Voice(self.lines), self._server.server)
        add_EscalationServicer_to_server(Desk(), self._server.server)
        self.address = f"127.0.0.1:{await self._server.start()}"

    async def stop(self) -> None:
        await self._server.stop(0.2)


async def _drain(requests: Any) -> None:
    async for _ in requests:
        pass
