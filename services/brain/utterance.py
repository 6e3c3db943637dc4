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

# After the newest text: Kokoro on a busy CPU takes 1.3 s to the first clause; past this tts is not slow but stuck.
FIRST_AUDIO_WITHIN_S = 4.0
# While nothing was heard of it, an utterance is as well spoken by another tts as by the one that died.
ATTEMPTS = 2


class Utterance:
    """Open until it was played, stopped, or failed.

    `first_audio` is called when the first frame is on the bus, `unheard` when tts failed before there was one. `broke`
    is told of each failure, in a word, and whether something will not be heard for it.
    """

    def __init__(
        self,
        stub: "SynthesizerAsyncStub",
        start: SynthesizeStart,
        traceparent: str,
        first_audio: Callable[["Utterance", FirstAudio], None],
        unheard: Callable[["Utterance"], None],
        broke: Callable[[str, bool], None] = lambda _error, _lost: None,
    ) -> None:
        self.id = start.utterance_id
        self.traceparent = traceparent
        self.heard = HeardText()
        self.written = ""
        self.released = False
        self.audible = asyncio.Event()  # set when there is audio, or when there will be none
        self.closed = asyncio.Event()  # set when nothing more of it will be heard
        self._first_audio = first_audio
        self._unheard = unheard
        self._broke = broke
        self._fed_at = 0.0
        self.lost_us = 0
        """From its first text until a tts was given up, and another one asked."""
        self._requests = [SynthesizeRequest(start=start)]
        self._more = asyncio.Event()
        self._patience: asyncio.Timeout | None = None
        self._stub = stub
        self._task = asyncio.create_task(self._run())

    def feed(self, text: str) -> None:
        self._fed_at = self._fed_at or asyncio.get_running_loop().time()
        self.written += text
        self._send(SynthesizeRequest(text=text))

    def end(self) -> None:
        """No more text comes."""
        self._send(SynthesizeRequest(end=SynthesizeEnd()))

    def cancel(self) -> None:
        """Nothing more is published."""
        self._task.cancel()
        self.audible.set()

    def _send(self, request: SynthesizeRequest) -> None:
        self._requests.append(request)
        self._more.set()
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time() + FIRST_AUDIO_WITHIN_S)

    async def _run(self) -> None:
        for attempt in range(ATTEMPTS):
            try:
                await self._synthesize()
                break
            except (grpc.aio.AioRpcError, TimeoutError) as error:
                logger().warning("synthesis failed", utterance_id=self.id, error=repr(error), attempt=attempt)
                last = self.audible.is_set() or attempt + 1 == ATTEMPTS
                self._broke(f"tts: {_reason(error)}", last)
                if last:
                    break
                if self._fed_at:
                    self.lost_us = round((asyncio.get_running_loop().time() - self._fed_at) * 1e6)
        if not self.audible.is_set():
            self._unheard(self)
            self.audible.set()

    async def _synthesize(self) -> None:
        call = self._stub.Synthesize(self._outgoing(), metadata=trace_metadata(self.traceparent))
        try:
            async with asyncio.timeout(FIRST_AUDIO_WITHIN_S) as self._patience:
                async for response in call:
                    self._take(response)
        finally:
            self._patience = None
            call.cancel()

    async def _outgoing(self) -> AsyncIterator[SynthesizeRequest]:
        at = 0
        while True:
            while at == len(self._requests):
                self._more.clear()
                await self._more.wait()
            request = self._requests[at]
            at += 1
            yield request
            if request.HasField("end"):
                return

    def _take(self, response: SynthesizeResponse) -> None:
        match response.WhichOneof("response"):
            case "first_audio":
                if self._patience is not None:
                    self._patience.reschedule(None)
                    self._patience = None
                self._first_audio(self, response.first_audio)
                self.audible.set()
            case "word_alignment":
                self.heard.words += [
                    AlignedWord(one.text, one.start_sample, one.end_sample) for one in response.word_alignment.words
                ]


def _reason(error: Exception) -> str:
    return error.code().name.lower() if isinstance(error, grpc.aio.AioRpcError) else "silent"
