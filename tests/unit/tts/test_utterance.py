"""The next clauses are made while one plays, in order, and each as its utterance wants it. No engine, no clock."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from opentelemetry.context import Context

from services.tts.alignment import AlignedWord
from services.tts.lexicon import Lexicon
from services.tts.metrics import TtsMetrics
from services.tts.rendering import ClauseAudio
from services.tts.settings import TtsSettings
from services.tts.studio import Take, Wish
from services.tts.utterance import Utterance
from services.tts.utterancespan import UtteranceSpan
from tandem.v1.tts_pb2 import SynthesizeResponse, SynthesizeStart

RATE_HZ = 8000
# Durations to now are told; what they are is no matter here.
NOW = time.monotonic()


class FakeStudio:
    """A clause is a second of sound, made as soon as it is asked for."""

    def __init__(self, cost: float = 0.0) -> None:
        self.engine = SimpleNamespace(name="fake")
        self.cost = cost
        self.wishes: list[Wish] = []

    async def make(self, wish: Wish) -> Take:
        self.wishes.append(wish)
        words = tuple(AlignedWord(word, 0, RATE_HZ) for word in wish.text.split()[:1])
        return Take(ClauseAudio(np.ones(RATE_HZ, np.int16), RATE_HZ, words), NOW, NOW, from_cache=False)


class FakeFrames:
    """Takes the first frame and then nothing until told: a line on which a clause is playing."""

    def __init__(self, stuck_after: int) -> None:
        self.samples = 0
        self.position = 0
        self.finished = False
        self.go_on = asyncio.Event()
        self._stuck_after = stuck_after

    async def add(self, samples: NDArray[np.int16]) -> None:
        if self.position >= self._stuck_after:
            await self.go_on.wait()
        self.position += len(samples)
        self.samples = self.position

    async def finish(self) -> None:
        self.finished = True


def utterance(
    studio: FakeStudio,
    frames: FakeFrames,
    answers: list[SynthesizeResponse],
    lexicon: Lexicon | None = None,
    **start: Any,
) -> Utterance:
    async def send(response: SynthesizeResponse) -> None:
        answers.append(response)

    call = SynthesizeStart(call_id="call", utterance_id=1, sample_rate_hz=RATE_HZ, **start)
    return Utterance(
        call,
        "heart",
        studio,  # type: ignore[arg-type]
        frames,  # type: ignore[arg-type]
        send,
        TtsSettings(phrase_cache=None),
        UtteranceSpan(call, Context(), "fake", TtsMetrics("fake")),
        lexicon or Lexicon(),
    )


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_the_next_clauses_are_made_while_one_plays() -> None:
    studio, frames, answers = FakeStudio(), FakeFrames(stuck_after=160), []  # type: ignore[var-annotated]
    one = utterance(studio, frames, answers)
    one.text("First. Second. Third. Fourth. Fifth. Sixth. ", NOW)
    one.end(NOW)
    speaking = asyncio.create_task(one.speak())
    await settled()
    assert frames.position == 160, "the first clause plays"
    assert [wish.text for wish in studio.wishes] == ["First.", "Second.", "Third."], "two ahead, and not the whole text"
    assert [wish.urgent for wish in studio.wishes] == [True, False, False]
    frames.go_on.set()
    await speaking
    one.close()
    assert [wish.text for wish in studio.wishes][3:] == ["Fourth.", "Fifth.", "Sixth."]
    assert frames.finished


async def test_code_has_words_and_no_sound() -> None:
    studio, frames, answers = FakeStudio(), FakeFrames(stuck_after=10**9), []  # type: ignore[var-annotated]
    one = utterance(studio, frames, answers)
    one.text("Run this.\n```\nls -l\n```\nDone. ", NOW)
    one.end(NOW)
    await one.speak()
    one.close()
    assert [wish.text for wish in studio.wishes] == ["Run this.", "Done."]
    words = [word for answer in answers for word in answer.word_alignment.words]
    assert [word.text for word in words] == ["Run", "```", "ls", "-l", "```", "Done."]
    assert [word.end_sample - word.start_sample for word in words] == [RATE_HZ, 0, 0, 0, 0, RATE_HZ]
    starts = [word.start_sample for word in words]
    assert starts == sorted(starts)


async def test_each_clause_carries_the_lexicon_and_the_language() -> None:
    studio, frames, answers = FakeStudio(), FakeFrames(stuck_after=10**9), []  # type: ignore[var-annotated]
    lexicon = Lexicon({"Siobhan": "shiv AWN"})
    one = utterance(studio, frames, answers, lexicon, language="en-GB")
    one.text("Siobhan is here. Bye. ", NOW)
    one.end(NOW)
    await one.speak()
    one.close()
    assert [(wish.lexicon, wish.language) for wish in studio.wishes] == [(lexicon, "en-GB")] * 2


async def test_a_slow_engine_gets_short_clauses_but_a_cached_phrase_is_cut_as_ever() -> None:
    text = "One moment. I am looking for the calendar of the doctor that you asked for, it may take a little while. "
    cut = []
    for cost, cacheable in ((0.7, False), (0.7, True), (0.0, False)):
        studio, frames = FakeStudio(cost), FakeFrames(stuck_after=10**9)
        one = utterance(studio, frames, [], cacheable=cacheable)
        one.text(text, NOW)
        one.end(NOW)
        await one.speak()
        one.close()
        cut.append([wish.text for wish in studio.wishes])
    assert cut[1] == cut[2]
    assert len(cut[0]) > len(cut[1])
