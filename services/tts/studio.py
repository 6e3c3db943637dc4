"""Where clauses are made: the engine, its threads, the phrase cache."""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from services.tts.lexicon import EMPTY, Lexicon
from services.tts.phrasecache import PhraseCache, PhraseKey
from services.tts.rendering import ClauseAudio, render
from services.tts.settings import TtsSettings
from services.tts.speech import Engine
from services.tts.turnstile import Turnstile

_WARM_UP = ("One moment, please.", "I am looking for it now, it will be there in a moment.")
# hibari needs 0.01 to 0.03; at 0.1 the longest clause (200 letters, 13 s) is made in the 1.3 s of a short first one.
_COST_HEARD = 0.1
# Of each new measure in the running mean: some five clauses are remembered.
_NEW_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Take:
    """One clause made. `started` and `ended` are time.monotonic() of the synthesis (or of the cache's answer)."""

    audio: ClauseAudio
    started: float
    ended: float
    from_cache: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """What to make: a clause's text, and how the utterance wants it."""

    text: str
    voice: str
    language: str
    rate_hz: int
    cacheable: bool
    # The utterance's first clause: its caller hears nothing yet.
    urgent: bool = False
    lexicon: Lexicon = EMPTY


class Studio:
    """Makes clauses on a few threads: first clauses first, then in the order asked for."""

    def __init__(self, settings: TtsSettings, engine: Engine) -> None:
        self.engine = engine
        self._settings = settings
        self._cache = PhraseCache(settings.phrase_cache, settings.phrase_cache_mb * 1_000_000)
        count = settings.syntheses_at_once or len(os.sched_getaffinity(0))
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="synthesis")
        self._turnstile = Turnstile(count)
        self._cost = 0.0

    @property
    def cost(self) -> float:
        """Seconds of synthesis a second of speech, lately. 0 below what can ever be heard: the cuts stay as written."""
        return self._cost if self._cost >= _COST_HEARD else 0.0

    async def warm_up(self) -> None:
        """The first synthesis pays for what is loaded lazily; the second tells the pace."""
        for text in _WARM_UP:
            take = await self.make(Wish(text, self.voice(""), "", 8000, cacheable=False))
            self._cost = _cost_of(take) or 0.0

    def voice(self, name: str) -> str:
        """Raises VoiceUnknown."""
        return self.engine.voice(name or self._settings.voice)

    async def make(self, wish: Wish) -> Take:
        """Raises whatever the engine raises. Cancelled while it waits, it never starts."""
        key = self._key(wish)
        asked = time.monotonic()
        if wish.cacheable and (found := self._cache.remembered(key)):
            return Take(found, asked, time.monotonic(), from_cache=True)
        loop = asyncio.get_running_loop()
        if wish.cacheable and (found := await loop.run_in_executor(None, self._cache.get, key)):
            # Not behind the syntheses: a greeting must not wait for somebody's long answer.
            return Take(found, asked, time.monotonic(), from_cache=True)
        async with self._turnstile.place(wish.urgent):
            take = await loop.run_in_executor(self._threads, self._synthesize, wish)
        if (cost := _cost_of(take)) is not None:
            self._cost += _NEW_SHARE * (cost - self._cost)
        if wish.cacheable:
            loop.run_in_executor(None, self._cache.put, key, take.audio)
        return take

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _synthesize(self, wish: Wish) -> Take:
        started = time.monotonic()
        audio = render(
            wish.text,
            self.engine,
            wish.voice,
            wish.rate_hz,
            self._settings.level_dbfs,
            wish.language,
            wish.lexicon,
        )
        return Take(audio, started, time.monotonic(), from_cache=False)

    def _key(self, wish: Wish) -> PhraseKey:
        return PhraseKey(
            engine=self.engine.name,
            model_sha256=self.engine.model_sha256,
            voice=wish.voice,
            speed=self._settings.speed,
            level_dbfs=self._settings.level_dbfs,
            language=wish.language.lower(),
            rate_hz=wish.rate_hz,
            text=wish.text,
            lexicon=wish.lexicon.used_in(wish.text),
        )


def _cost_of(take: Take) -> float | None:
    """None for a take without sound."""
    sounding = len(take.audio.samples) / take.audio.rate_hz
    return (take.ended - take.started) / sounding if sounding else None
