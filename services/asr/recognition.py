"""Who recognizes, put together from the settings: the local model, a smaller one under overload, or a provider."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePath

import aiohttp

from services.asr.deepgram_provider import DeepgramCall
from services.asr.language import CallLanguage, primary
from services.asr.openai_provider import OpenAiPass
from services.asr.overload import Bounds, Ladder
from services.asr.passes import CallPasses, CallRecognize, Passes, Smaller
from services.asr.provider import Guarded, ProviderOptions
from services.asr.segment import Segment
from services.asr.settings import PROVIDER_MODELS, PROVIDER_URLS, AsrSettings
from services.asr.whisper import NOTHING, Transcript, Whisper

LAST_PASSES_S = 2.0
SOCKETS = 1_000
"""Far more than calls: who has none must not wait for another call's."""


class WhisperPass:
    """One pass of the loaded model; `name` is what telemetry calls it."""

    def __init__(self, whisper: Whisper, name: str = "") -> None:
        self._whisper = whisper
        self.name = name

    def __call__(self, segment: Segment, language: str, prompt: str) -> Transcript:
        heard = self._whisper.transcribe(segment.samples, segment.sample_rate_hz, language, prompt)
        return replace(heard, model=self.name)


@dataclass(frozen=True, slots=True)
class Calls:
    """Opens and closes what a call asks its passes of. `own`: makes a recognizer for one call alone."""

    passes: Passes
    knows: Callable[[str], bool]
    undecided_language: str = "en"
    least_language_probability: float = 0.7
    own: Callable[[], CallRecognize] | None = None

    def open(self, call_id: str, language: str) -> CallPasses:
        """`language`: ISO 639-1 or "auto". To be closed when the call is over."""
        chosen = CallLanguage(language, self.undecided_language, self.least_language_probability)
        return CallPasses(self.passes, call_id, chosen, self.own() if self.own else None)


class Recognition:
    """The threads and the connections. Made on the event loop."""

    def __init__(self, settings: AsrSettings, whisper: Whisper | None, smaller: Whisper | None) -> None:
        """`whisper`: None only where a provider recognizes and nothing stands in for it."""
        self._session: aiohttp.ClientSession | None = None
        self._client: OpenAiPass | None = None
        local = WhisperPass(whisper, short(settings.model)) if whisper else None
        own: Callable[[], CallRecognize] | None = None
        at_once = settings.passes_at_once if settings.provider == "local" else settings.provider_at_once
        recognize = local or _nothing
        if settings.provider != "local":
            options = provider_options(settings)
            guarded = Guarded(settings.provider, local)
            if settings.provider == "openai":
                recognize = self._client = OpenAiPass(options, guarded)
            else:
                self._session = session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=SOCKETS))

                def own() -> CallRecognize:
                    return DeepgramCall(options, guarded, session)

        bounds = Bounds(
            (settings.partials_off_ms / 1000, settings.smaller_model_ms / 1000, settings.refuse_calls_ms / 1000)
        )
        lesser = short(settings.overload_model)
        self.passes = Passes(
            recognize,
            at_once,
            smaller=Smaller(WhisperPass(smaller, lesser), smaller.knows, lesser) if smaller else None,
            ladder=Ladder(bounds),
            model=short(settings.model) if settings.provider == "local" else settings.provider,
        )
        knows = whisper.knows if whisper and settings.provider == "local" else _any_language
        self.calls = Calls(
            self.passes, knows, primary(settings.undecided_language), settings.least_language_probability, own
        )

    async def close(self) -> None:
        """Waits a moment for passes under way."""
        self.passes.close()
        await asyncio.to_thread(self.passes.join, LAST_PASSES_S)
        if self._client is not None:
            self._client.close()
        if self._session is not None:
            await self._session.close()


def short(model: str) -> str:
    """A model's name without the folder, or the hub's user, that it is in."""
    return PurePath(model).name


def provider_options(settings: AsrSettings) -> ProviderOptions:
    """Of a provider that is not local."""
    return ProviderOptions(
        settings.provider,
        settings.provider_url or PROVIDER_URLS[settings.provider],
        settings.provider_model or PROVIDER_MODELS[settings.provider],
        settings.provider_key.get_secret_value() if settings.provider_key else "",
        settings.provider_connect_ms / 1000,
        settings.provider_timeout_ms / 1000,
    )


def _nothing(segment: Segment, language: str, prompt: str) -> Transcript:
    return NOTHING


def _any_language(language: str) -> bool:
    return True
