"""A voice without sound: it has each word as soon as it is written, and tells where in the samples it would lie."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from tandem.textcall.stream import LocalStream
from tandem.v1.tts_pb2 import (
    FirstAudio,
    SpokenWord,
    SynthesizeFinished,
    SynthesizeRequest,
    SynthesizeResponse,
    WordAlignment,
)

RATE_HZ = 8000
# 170 words a minute, as voices speak on the telephone.
SAMPLES_A_WORD = 2800


@dataclass(slots=True)
class Spoken:
    """One utterance in the making. `changed` is set when there are more words or the last one is there."""

    words: list[str] = field(default_factory=list)
    complete: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def samples(self) -> int:
        return len(self.words) * SAMPLES_A_WORD

    def text(self, samples: int) -> str:
        """The words of which at least half lies in so many samples."""
        return " ".join(self.words[: (samples + SAMPLES_A_WORD // 2) // SAMPLES_A_WORD])


class TextVoice:
    """Stands where the brain has its SynthesizerStub. `first_word` is called when an utterance has its first."""

    def __init__(self, first_word: Callable[[int], None]) -> None:
        self._first_word = first_word
        self._spoken: dict[int, Spoken] = {}

    def spoken(self, utterance_id: int) -> Spoken:
        """An empty one when nothing was written of it yet."""
        return self._spoken.setdefault(utterance_id, Spoken())

    def Synthesize(  # the name in the contract
        self, requests: AsyncIterator[SynthesizeRequest], metadata: Any = None
    ) -> LocalStream[SynthesizeResponse]:
        current: list[Spoken] = []

        def ended() -> None:
            for spoken in current:
                spoken.complete = True
                spoken.changed.set()

        return LocalStream(self._speak(requests, current), ended)

    async def _speak(
        self, requests: AsyncIterator[SynthesizeRequest], current: list[Spoken]
    ) -> AsyncIterator[SynthesizeResponse]:
        ident, told, rest = 0, False, ""
        async for request in requests:
            kind = request.WhichOneof("request")
            if kind == "start":
                ident = request.start.utterance_id
                # Anew when the utterance is spoken a second time.
                self.spoken(ident).words.clear()
                current.append(self.spoken(ident))
                continue
            # Models send parts of words: a word is whole when something stands behind it.
            *whole, rest = (rest + request.text).split(" ") if kind == "text" else (rest, "")
            words = " ".join(whole).split()
            if not told and (words or kind == "end"):
                told = True
                self._first_word(ident)
                yield SynthesizeResponse(first_audio=FirstAudio(synthesis_us=1000))
            if words:
                yield self._aligned(ident, words)
            if kind == "end":
                self.spoken(ident).complete = True
                self.spoken(ident).changed.set()
                yield SynthesizeResponse(finished=SynthesizeFinished(samples=self.spoken(ident).samples))
                return

    def _aligned(self, ident: int, words: list[str]) -> SynthesizeResponse:
        spoken, aligned = self.spoken(ident), []
        for word in words:
            at = spoken.samples
            aligned.append(SpokenWord(text=word, start_sample=at, end_sample=at + SAMPLES_A_WORD))
            spoken.words.append(word)
        spoken.changed.set()
        return SynthesizeResponse(word_alignment=WordAlignment(words=aligned))
