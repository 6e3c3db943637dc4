"""The call's line to asr: opened again, from the last word understood, when it breaks."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

import grpc

from services.common.rpc import HEARTBEAT_S, SILENCE_MEANS_DEAD_S, trace_metadata
from services.common.telemetry.log import logger
from tandem.v1.asr_pb2 import (
    AgentSpeaks,
    FinalTranscript,
    RecognizeRequest,
    RecognizeResponse,
    RecognizeStart,
    TurnContext,
)
from tandem.v1.brain_pb2 import Heartbeat
from tandem.v1.call_pb2 import CallFacts

if TYPE_CHECKING:
    from tandem.v1.asr_pb2_grpc import RecognizerAsyncStub

FRAME_US = 20_000
_REOPEN_S = 0.2
# Every asr refuses new calls; so long a caller may be kept waiting for one that does not.
_FULL_TRIES = 10
# A worker counts its utterances from 1; ours go on counting over workers.
_UTTERANCES_A_WORKER = 1_000_000


class Ears:
    """Tells `take` every response but heartbeats, until closed; `lost` when a stream broke; `full`, once, when no asr
    takes the call for 2 s.

    Another worker hears again what was said since the last transcript, under other utterance numbers.
    """

    def __init__(
        self,
        stub: "RecognizerAsyncStub",
        facts: CallFacts,
        language: str,
        hints: Sequence[str],
        traceparent: str,
        take: Callable[[RecognizeResponse], None],
        lost: Callable[[], None],
        full: Callable[[], None],
        hearing: Callable[[], None] = lambda: None,
    ) -> None:
        """`traceparent`: of conversation.start, below which every recogniser of the call is seen. `hearing`: a stream
        was taken."""
        self._stub = stub
        self._facts = facts
        self._language = language
        self._hints = hints
        self._traceparent = traceparent
        self._take = take
        self._lost = lost
        self._full = full
        self._hearing = hearing
        self.broke = False
        """The last stream did not end in good order, as it does when an asr hands its calls over."""
        self._refused = 0
        self._understood_us = 0
        self._worker = 0
        self._context: TurnContext | None = None
        self._agent_speaks = False
        self._requests: asyncio.Queue[RecognizeRequest] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def open(self, from_call_time_us: int = 0) -> None:
        """Listens from that call time on."""
        self._understood_us = from_call_time_us
        self._task = asyncio.create_task(self._run())

    def turn_context(self, context: TurnContext) -> None:
        """What the next words answer."""
        self._context = context
        self._requests.put_nowait(RecognizeRequest(turn_context=context))

    def agent_speaks(self, speaking: bool) -> None:
        """Whether the agent is heard: the caller's words may be an interruption then. Told when it changes."""
        if speaking != self._agent_speaks:
            self._agent_speaks = speaking
            self._requests.put_nowait(RecognizeRequest(agent_speaks=AgentSpeaks(speaking=speaking)))

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            self.broke = True
            try:
                await self._listen()
                self.broke = False
            except (grpc.aio.AioRpcError, TimeoutError) as error:
                self._count_refusal(error)
                logger().warning("asr stream lost, opening another", call_id=self._facts.call_id, error=repr(error))
            except Exception:  # of what was made of a response: the call must not go deaf for it
                logger().exception("asr response not taken, opening another stream", call_id=self._facts.call_id)
            self._worker += 1
            self._lost()
            await asyncio.sleep(_REOPEN_S)

    def _count_refusal(self, error: Exception) -> None:
        full = isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        self._refused = self._refused + 1 if full else 0
        if self._refused == _FULL_TRIES:
            self._full()

    async def _listen(self) -> None:
        self._requests = asyncio.Queue()
        call = self._stub.Recognize(self._outgoing(self._requests), metadata=trace_metadata(self._traceparent))
        try:
            async with asyncio.timeout(SILENCE_MEANS_DEAD_S) as patience:
                loop = asyncio.get_running_loop()
                taken = False
                async for response in call:
                    if not taken:
                        taken = True
                        self._hearing()
                    patience.reschedule(loop.time() + SILENCE_MEANS_DEAD_S)
                    self._hear(response)
        finally:
            call.cancel()

    def _hear(self, response: RecognizeResponse) -> None:
        kind = response.WhichOneof("response")
        if kind is None or kind == "heartbeat":
            return
        getattr(response, kind).utterance += self._worker * _UTTERANCES_A_WORKER
        if kind == "final":
            self._note(response.final)
        self._take(response)

    def _note(self, final: FinalTranscript) -> None:
        self._understood_us = max(self._understood_us, final.end_us)

    async def _outgoing(self, requests: asyncio.Queue[RecognizeRequest]) -> AsyncIterator[RecognizeRequest]:
        yield RecognizeRequest(
            start=RecognizeStart(
                call_id=self._facts.call_id,
                sample_rate_hz=self._facts.audio.sample_rate_hz,
                from_sequence=self._understood_us // FRAME_US,
                language=self._language,
                hints=self._hints,
            )
        )
        if self._context is not None:
            yield RecognizeRequest(turn_context=self._context)
        if self._agent_speaks:
            yield RecognizeRequest(agent_speaks=AgentSpeaks(speaking=True))
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    request = await requests.get()
            except TimeoutError:
                request = RecognizeRequest(heartbeat=Heartbeat())
            yield request
