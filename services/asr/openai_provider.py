"""Passes done by a server with OpenAI's transcription interface: POST {url}/audio/transcriptions, a WAV a pass."""

import io
import json
import math
import time
import wave
from collections.abc import Callable
from typing import Any

import httpx

from services.asr.language import AUTO
from services.asr.phantoms import phantom
from services.asr.provider import Guarded, ProviderFailed, ProviderOptions, laid_out
from services.asr.segment import Segment
from services.asr.whisper import Transcript, WordHeard, silent

LONGEST_ANSWER = 1_000_000
"""Bytes. 30 s of speech with word times take some 10 000."""
UNRATED_CONFIDENCE = 0.8
"""For a server that gives none: above what the brain asks again for, below what it takes for certain."""
LANGUAGES = {
    "english": "en",
    "german": "de",
    "french": "fr",
    "spanish": "es",
    "italian": "it",
    "portuguese": "pt",
    "dutch": "nl",
    "polish": "pl",
    "turkish": "tr",
    "russian": "ru",
    "japanese": "ja",
    "chinese": "zh",
}
"""As verbose_json names them; some servers give the code."""


class OpenAiPass:
    """Recognizes a clip in a worker thread. Threads may share it."""

    def __init__(self, options: ProviderOptions, guarded: Guarded, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._guarded = guarded
        self._clock = clock
        self._verbose = True
        headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
        timeout = httpx.Timeout(options.timeout_s, connect=options.connect_s)
        self._client = httpx.Client(timeout=timeout, headers=headers)

    def __call__(self, segment: Segment, language: str, prompt: str) -> Transcript:
        """Raises ProviderFailed when there is no fallback."""
        return self._guarded.run(lambda: self._recognize(segment, language, prompt), segment, language, prompt)

    def close(self) -> None:
        self._client.close()

    def _recognize(self, segment: Segment, language: str, prompt: str) -> Transcript:
        deadline = self._clock() + self._options.timeout_s
        sound = wav(segment)
        status, body = self._post(sound, language, prompt, deadline)
        if status == 400 and self._verbose and b"response_format" in body:
            self._verbose = False  # gpt-4o-transcribe and its like know plain json only
            status, body = self._post(sound, language, prompt, deadline)
        if status != 200:
            raise ProviderFailed(f"{self._url} answered {status}{_hint(status)}: {body[:200].decode(errors='replace')}")
        try:
            return transcript_of(json.loads(body), segment.duration_ms / 1000, language)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            # Neither the body nor its parser's words: they may hold what the caller said.
            what = f"{type(error).__name__} in an answer of {len(body)} bytes"
            raise ProviderFailed(f"{self._url} gave no transcription: {what}") from None

    @property
    def _url(self) -> str:
        return f"{self._options.url.rstrip('/')}/audio/transcriptions"

    def _post(self, sound: bytes, language: str, prompt: str, deadline: float) -> tuple[int, bytes]:
        form: dict[str, Any] = {"model": self._options.model, "temperature": "0"}
        form["response_format"] = "verbose_json" if self._verbose else "json"
        if self._verbose:
            form["timestamp_granularities[]"] = ["word", "segment"]
        if language != AUTO:
            form["language"] = language
        if prompt:
            form["prompt"] = prompt
        for last_try in (False, True):
            try:
                return self._exchange(sound, form, deadline)
            except httpx.TimeoutException as error:
                raise ProviderFailed(f"{self._url} did not answer in time: {error!r}") from error
            except httpx.TransportError as error:  # also a kept connection that the server has closed
                if last_try or self._clock() >= deadline:
                    raise ProviderFailed(f"{self._url} cannot be reached: {error}") from error
            except httpx.HTTPError as error:
                raise ProviderFailed(f"{self._url}: {error!r}") from error
        raise AssertionError("unreachable")

    def _exchange(self, sound: bytes, form: dict[str, Any], deadline: float) -> tuple[int, bytes]:
        body = b""
        files = {"file": ("clip.wav", sound, "audio/wav")}
        with self._client.stream("POST", self._url, data=form, files=files) as response:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > LONGEST_ANSWER:
                    raise ProviderFailed(f"{self._url}: the answer is longer than {LONGEST_ANSWER} bytes")
                if self._clock() > deadline:  # the client's own time-out is for each read
                    raise ProviderFailed(f"{self._url} did not finish its answer in {self._options.timeout_s:g} s")
            return response.status_code, body


def wav(segment: Segment) -> bytes:
    """The clip as a WAV file, 16 bit mono."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(segment.sample_rate_hz)
        file.writeframes(segment.samples.astype("<i2").tobytes())
    return held.getvalue()


def transcript_of(answer: Any, seconds: float, language: str) -> Transcript:
    """A json or verbose_json answer about a clip of that length. Raises ValueError, TypeError, KeyError."""
    text = answer["text"]
    if not isinstance(text, str):
        raise ValueError("`text` is no text")
    text = text.strip()
    found, probability = language, 0.0
    if language == AUTO:
        named = str(answer.get("language") or "en").lower()
        found, probability = LANGUAGES.get(named, named), 1.0
    segments = answer.get("segments") or []
    rated = [one for one in segments if "avg_logprob" in one]
    logprob = sum(float(one["avg_logprob"]) for one in rated) / len(rated) if rated else None
    no_speech = max((float(one.get("no_speech_prob", 0.0)) for one in rated), default=0.0)
    confidence = UNRATED_CONFIDENCE if logprob is None else math.exp(min(logprob, 0.0))
    nothing = logprob is not None and silent(no_speech, logprob)
    if nothing or not text or phantom(text, found, confidence, no_speech, seconds):
        return Transcript("", (), min(confidence, 0.1), found, probability)
    timed = tuple(
        WordHeard(
            str(one["word"]).strip(),
            min(max(float(one["start"]), 0.0), seconds),
            min(max(float(one["end"]), 0.0), seconds),
            confidence,
        )
        for one in answer.get("words") or []
    )
    words = matched(text, timed) or laid_out(text, 0.0, seconds, confidence)
    return Transcript(text, words, confidence, found, probability)


def matched(text: str, timed: tuple[WordHeard, ...]) -> tuple[WordHeard, ...]:
    """Word times come without punctuation: the text's words with their times. Empty when they don't go together."""
    spoken = text.split()
    if len(spoken) != len(timed):
        return ()
    return tuple(
        WordHeard(word, one.start_s, one.end_s, one.confidence) for word, one in zip(spoken, timed, strict=True)
    )


def _hint(status: int) -> str:
    match status:
        case 401 | 403:
            return " (look at asr.provider_key)"
        case 404:
            return " (look at asr.provider_url and asr.provider_model)"
        case 429:
            return " (its rate limit)"
        case _:
            return ""
