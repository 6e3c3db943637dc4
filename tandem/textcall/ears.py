"""Recognition that is typed: a line of text as asr would tell it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tandem.textcall.handoff import Handoff
from tandem.textcall.stream import LocalStream
from tandem.v1.asr_pb2 import FinalTranscript, RecognizeResponse, SpeechStarted, SpeechStopped, TurnEnd
from tandem.v1.brain_pb2 import Heartbeat

# Typed words are as sure as can be.
CONFIDENCE = 0.99
# After the last sample, until speech is taken for over: about what asr takes.
DECIDED_AFTER_US = 300_000


class TypedEars:
    """Stands where the brain has its RecognizerStub. `language` is what the caller is taken to speak, BCP 47."""

    def __init__(self, over: asyncio.Event, language: str) -> None:
        self._language = language
        self._handoff: Handoff[RecognizeResponse] = Handoff(over)
        self._count = 0

    def Recognize(  # the name in the contract
        self, requests: AsyncIterator[Any], metadata: Any = None
    ) -> LocalStream[RecognizeResponse]:
        """The brain's requests are not read: there is nothing to tune a keyboard by."""
        return LocalStream(self._handoff.messages(RecognizeResponse(heartbeat=Heartbeat())))

    async def began(self, at_us: int) -> int:
        """The caller begins to speak at that call time; the utterance's number."""
        self._count += 1
        started = SpeechStarted(utterance=self._count, call_time_us=at_us)
        await self._handoff.tell(RecognizeResponse(speech_started=started))
        return self._count

    async def stopped(self, utterance: int, at_us: int) -> None:
        stopped = SpeechStopped(utterance=utterance, call_time_us=at_us, decided_after_us=DECIDED_AFTER_US)
        await self._handoff.tell(RecognizeResponse(speech_stopped=stopped))

    async def judged(self, utterance: int, at_us: int) -> None:
        """Who presses return has finished."""
        end = TurnEnd(utterance=utterance, call_time_us=at_us, probability=CONFIDENCE)
        await self._handoff.tell(RecognizeResponse(turn_end=end))

    async def understood(self, utterance: int, text: str, start_us: int, end_us: int, now_us: int) -> None:
        """The words."""
        final = FinalTranscript(
            utterance=utterance,
            text=text,
            start_us=start_us,
            end_us=end_us,
            confidence=CONFIDENCE,
            language=self._language,
            requested_call_time_us=now_us,
            sent_call_time_us=now_us,
        )
        await self._handoff.tell(RecognizeResponse(final=final))
