"""A recognizer elsewhere, in place of the model here: how it fails, and who stands in for it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from services.asr.passes import Recognize
from services.asr.segment import Segment
from services.asr.whisper import Transcript, WordHeard
from services.common.telemetry import log

FAILURES_TO_PAUSE = 3
PAUSE_S = 15.0
"""After three failures on end the provider is left alone for a while: each try costs the caller its time-out."""


class ProviderFailed(Exception):
    """The provider gave no transcript; says which one, what happened and what to look at."""


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """Where it is and how long it may take. `timeout_s` is for a whole pass, connecting included."""

    name: str
    url: str
    model: str
    key: str = field(default="", repr=False)
    connect_s: float = 2.0
    timeout_s: float = 4.0


class Guarded:
    """Runs passes of a provider; `fallback` does those that fail. Threads may share it."""

    def __init__(
        self, name: str, fallback: Recognize | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._fallback = fallback
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._paused_until = 0.0

    def run(self, recognize: Callable[[], Transcript], segment: Segment, language: str, prompt: str) -> Transcript:
        """The provider's transcript, or the fallback's. Raises ProviderFailed when there is no fallback."""
        with self._lock:
            paused = self._clock() < self._paused_until
        if paused and self._fallback is not None:
            return self._fallback(segment, language, prompt)
        try:
            transcript = recognize()
        except ProviderFailed as error:
            self._note_failure(error)
            if self._fallback is None:
                raise
            return replace(self._fallback(segment, language, prompt), failure=error)
        with self._lock:
            self._failures = 0
        return transcript

    def _note_failure(self, error: ProviderFailed) -> None:
        with self._lock:
            self._failures += 1
            pause = self._failures >= FAILURES_TO_PAUSE and self._fallback is not None
            if pause:
                self._failures = 0
                self._paused_until = self._clock() + PAUSE_S
        log.logger().error(
            "asr_provider_failed",
            provider=self._name,
            error=str(error),
            fallback=self._fallback is not None,
            paused_s=PAUSE_S if pause else 0,
        )


def laid_out(text: str, start_s: float, end_s: float, confidence: float) -> tuple[WordHeard, ...]:
    """The words of a text without word times, laid over its time by their lengths."""
    spoken = text.split()
    letters = sum(len(word) for word in spoken)
    words: list[WordHeard] = []
    for word in spoken:
        until_s = start_s + (end_s - start_s) * len(word) / letters
        letters -= len(word)
        words.append(WordHeard(word, start_s, until_s, confidence))
        start_s = until_s
    return tuple(words)
