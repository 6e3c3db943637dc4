"""One utterance: text in pieces, clauses made side by side, frames and answers in order."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from services.common.telemetry.log import logger
from services.tts.alignment import placed
from services.tts.clauses import Break, Clause, ClauseSplitter
from services.tts.languages import GERMAN, language_of
from services.tts.lexicon import EMPTY, Lexicon
from services.tts.publishing import FramePublisher
from services.tts.rendering import unsaid
from services.tts.settings import TtsSettings
from services.tts.studio import Studio, Take, Wish
from services.tts.utterancespan import UtteranceSpan
from tandem.v1.tts_pb2 import (
    FirstAudio,
    SpokenWord,
    SynthesizeFinished,
    SynthesizeResponse,
    SynthesizeStart,
    WordAlignment,
)

# Clauses made before they can be published. One plays for seconds and is made in milliseconds; a long text must not
# fill the threads before another caller's first clause.
_MADE_AHEAD = 2

Send = Callable[[SynthesizeResponse], Awaitable[None]]


class TextTooLong(ValueError):
    """The utterance's text has no end."""


@dataclass(frozen=True, slots=True)
class _Asked:
    clause: Clause
    there_at: float
    take: "asyncio.Task[Take | None]"


class Utterance:
    """`text` and `end` take what the brain sends; `speak` publishes until the utterance is over.

    Times are time.monotonic().
    """

    def __init__(
        self,
        start: SynthesizeStart,
        voice: str,
        studio: Studio,
        frames: FramePublisher,
        send: Send,
        settings: TtsSettings,
        span: UtteranceSpan,
        lexicon: Lexicon = EMPTY,
    ) -> None:
        self._start = start
        self._voice = voice
        self._studio = studio
        self._frames = frames
        self._send = send
        self._settings = settings
        self._span = span
        self._lexicon = lexicon
        # A cached clause costs nothing, and is found again only when it is cut the same way.
        cost = 0.0 if start.cacheable else studio.cost
        self._splitter = ClauseSplitter(cost, ordinal_dots=language_of(start.language) is GERMAN)
        self._asked: asyncio.Queue[_Asked | None] = asyncio.Queue()
        self._ahead = asyncio.Semaphore(_MADE_AHEAD)
        self._tasks: list[asyncio.Task[Take | None]] = []
        self._characters = 0
        self._text_at: float | None = None
        self._told_first = False

    def text(self, text: str, now: float) -> None:
        """The next piece. Raises TextTooLong."""
        if self._text_at is None:
            self._text_at = now
            self._span.begin()
        self._characters += len(text)
        if self._characters > self._settings.longest_text:
            raise TextTooLong(f"the utterance has more than {self._settings.longest_text} characters")
        for clause in self._splitter.feed(text):
            self._ask(clause, now)

    def end(self, now: float) -> None:
        """No more text comes."""
        for clause in self._splitter.flush():
            self._ask(clause, now)
        self._asked.put_nowait(None)

    async def speak(self) -> None:
        """Publishes clause after clause as they are made, and the last frame. Raises AudioLost."""
        pause_ms = 0
        while (asked := await self._asked.get()) is not None:
            take = await asked.take
            self._ahead.release()
            if take is not None:
                await self._say(asked, take, pause_ms if self._told_first else 0)
                if len(take.audio.samples):
                    pause_ms = self._pause_ms(asked.clause.ends)
        await self._frames.finish()
        if not self._told_first:
            # Nothing to be heard, but the brain waits for a word.
            await self._send(SynthesizeResponse(first_audio=FirstAudio()))
        await self._send(SynthesizeResponse(finished=SynthesizeFinished(samples=self._frames.samples)))
        self._span.finished()

    def close(self) -> None:
        """Ends what is still being made, and the span. Call it however the utterance ended."""
        for task in self._tasks:
            task.cancel()
        self._span.close(self._ms(self._frames.samples))

    async def _say(self, asked: _Asked, take: Take, pause_ms: int) -> None:
        samples = take.audio.samples
        if len(samples):
            samples = np.concatenate([np.zeros(pause_ms * take.audio.rate_hz // 1000, np.int16), samples])
        offset = self._frames.position + len(samples) - len(take.audio.samples)
        # The first frame alone, so that word of it goes out before the rest is published.
        first = max(take.audio.rate_hz // 50, 1) if not self._told_first else 0
        if first and len(samples) >= first:
            await self._frames.add(samples[:first])
            await self._tell_first(asked, take)
            samples = samples[first:]
        words = [
            SpokenWord(text=w.text, start_sample=w.start, end_sample=w.end) for w in placed(take.audio.words, offset)
        ]
        await self._send(SynthesizeResponse(word_alignment=WordAlignment(words=words)))
        await self._frames.add(samples)
        if len(take.audio.samples):
            self._span.spoken(take.from_cache)

    async def _tell_first(self, asked: _Asked, take: Take) -> None:
        self._told_first = True
        first = FirstAudio(
            queue_us=_us(take.started - asked.there_at),
            synthesis_us=_us(time.monotonic() - take.started),
            clause_wait_us=_us(asked.there_at - (self._text_at or asked.there_at)),
            from_cache=take.from_cache,
        )
        self._span.first_audio(first)
        await self._send(SynthesizeResponse(first_audio=first))

    def _ask(self, clause: Clause, now: float) -> None:
        task = asyncio.create_task(self._make(clause, urgent=not self._tasks))
        self._tasks.append(task)
        self._asked.put_nowait(_Asked(clause, now, task))

    async def _make(self, clause: Clause, urgent: bool) -> Take | None:
        """None when the engine failed on this clause: the others are still worth hearing."""
        await self._ahead.acquire()
        if clause.silent:
            now = time.monotonic()
            return Take(unsaid(clause.text, self._start.sample_rate_hz), now, now, from_cache=False)
        wish = Wish(
            text=clause.text,
            voice=self._voice,
            language=self._start.language,
            rate_hz=self._start.sample_rate_hz,
            cacheable=self._start.cacheable,
            urgent=urgent,
            lexicon=self._lexicon,
        )
        span, asked = self._span.clause(), time.monotonic()
        try:
            take = await self._studio.make(wish)
        except asyncio.CancelledError:
            self._span.not_made(span, None)
            raise
        except Exception as error:
            self._span.not_made(span, error)
            logger().error("clause not synthesized", call_id=self._start.call_id, error=repr(error))
            return None
        self._span.made(span, take, asked)
        return take

    def _pause_ms(self, ends: Break) -> int:
        return {
            Break.SENTENCE: self._settings.sentence_pause_ms,
            Break.COMMA: self._settings.comma_pause_ms,
            Break.NONE: 0,
        }[ends]

    def _ms(self, samples: int) -> float:
        return samples * 1000 / self._start.sample_rate_hz


def _us(seconds: float) -> int:
    return max(round(seconds * 1e6), 0)
