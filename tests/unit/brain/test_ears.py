"""The line to asr is opened again whatever breaks it, and the conversation is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.brain import ears
from services.brain.ears import Ears
from tandem.v1.asr_pb2 import RecognizeResponse, SpeechStarted
from tandem.v1.audio_pb2 import AudioFormat
from tandem.v1.call_pb2 import CallFacts


class Stream:
    """Tells of speech, and ends."""

    async def __aiter__(self) -> AsyncIterator[RecognizeResponse]:
        yield RecognizeResponse(speech_started=SpeechStarted(utterance=1, call_time_us=5))

    def cancel(self) -> None:
        pass


class Stub:
    def Recognize(self, requests: Any, metadata: Any) -> Stream:
        return Stream()


@pytest.mark.parametrize("error", [None, ValueError("not foreseen")])
async def test_a_stream_that_ends_is_told_and_replaced(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ears, "_REOPEN_S", 0.0)
    told: list[Any] = []
    twice = asyncio.Event()

    def take(response: RecognizeResponse) -> None:
        told.append(response.speech_started.utterance)
        if len(told) >= 3:
            twice.set()
        if error is not None:
            raise error

    stub: Any = Stub()
    facts = CallFacts(call_id="a", audio=AudioFormat(sample_rate_hz=8000))
    line = Ears(stub, facts, "en", [], "", take, lambda: told.append("lost"), lambda: None)
    line.open()
    await asyncio.wait_for(twice.wait(), 1)
    line.close()
    assert told[:3] == [1, "lost", 1_000_001]
