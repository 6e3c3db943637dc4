"""One utterance of the agent: text to tts while it is generated, and what came of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import grpc

from services.brain.heard import AlignedWord, HeardText
from services.common.rpc import trace_metadata
from services.common.telemetry.log import logger
from tandem.v1.tts_pb2 import FirstAudio, SynthesizeEnd, SynthesizeRequest, SynthesizeResponse, SynthesizeStart

if TYPE_CHECKING:
    from tandem.v1.tts_pb2_grpc import SynthesizerAsyncStub

# Kokoro on a busy CPU takes 1.3 s to the first clause; past this tts is not slow but stuck.
FIRST_AUDIO_WITHIN_S = 4.0


class Utterance:
    """Open until it was played, stopped, or failed. `first_audio` is called when the first frame is on the bus."""

    def __init__(
        self,
        stub: "SynthesizerAsyncStub",
        start: SynthesizeStart,
        traceparent: str,
        first_audio: Callable[["Utterance", FirstAudio], None],
    ) -> None:
        self.id = start.utterance_id
        self.traceparent = traceparent
        self.heard = HeardText()
        self.written = ""
        self.released = False
        self.audible = asyncio.Event()  # set when there is audio, or when there will be none
        self.closed = asyncio.Event()  # set when nothing more of it will be heard
        self.failed = False
        self._first_audio = first_audio
        self._requests: asyncio.Queue[SynthesizeRequest | None] = asyncio.Queue()
        self._requests.put_nowait(SynthesizeRequest(start=start))
        self._stub = stub
        self._task = asyncio.create_task(self._run())

    def feed(self, text: str) -> None:
        self.written += text
        self._requests.put_nowait(SynthesizeRequest(text=text))

    def end(self) -> None:
        """No more text comes."""
        self._requests.put_nowait(SynthesizeRequest(end=SynthesizeEnd()))
        self._requests.put_nowait(None)

    def cancel(self) -> None:
        """Nothing more is published."""
        self._task.cancel()
        self.audible.set()

    async def _run(self) -> None:
        call = self._stub.Synthesize(self._outgoing(), metadata=trace_metadata(self.traceparent))
        try:
            async with asyncio.timeout(FIRST_AUDIO_WITHIN_S) as patience:
                async for response in call:
                    patience.reschedule(None)
                    self._take(response)
        except (grpc.aio.AioRpcError, TimeoutError) as error:
            logger().warning("synthesis failed", utterance_id=self.id, error=repr(error))
            self.failed = True
        finally:
            call.cancel()
            self.audible.set()

    async def _outgoing(self) -> AsyncIterator[SynthesizeRequest]:
        while (request := await self._requests.get()) is not None:
            yield request

    def _take(self, response: SynthesizeResponse) -> None:
        match response.WhichOneof("response"):
            case "first_audio":
                self._first_audio(self, response.first_audio)
                self.audible.set()
            case "word_alignment":
                self.heard.words += [
                    AlignedWord(one.text, one.start_sample, one.end_sample) for one in response.word_alignment.words
                ]
