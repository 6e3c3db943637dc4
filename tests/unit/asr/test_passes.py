"""Passes run in their order, and every one of them settles: those that fail, are shed or dropped too."""

import asyncio
import threading
from collections.abc import Callable

import numpy as np

from services.asr.language import CallLanguage
from services.asr.overload import Bounds, Ladder, Step
from services.asr.passes import CallPasses, Passes, Smaller
from services.asr.schedule import Kind
from services.asr.segment import Segment
from services.asr.whisper import NOTHING, Transcript


def segment(number: int) -> Segment:
    return Segment(np.full(8, number, np.int16), 8000, ((0, 0),))


class Gate:
    """A model that answers with the segment's number, when it is let."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.first_begun = threading.Event()
        self.go = threading.Event()

    def __call__(self, segment: Segment, language: str, prompt: str) -> Transcript:
        number = int(segment.samples[0])
        self.begun.append(number)
        self.first_begun.set()
        assert self.go.wait(5)
        if number == 2:
            raise RuntimeError("the model fell over")
        return Transcript(str(number), (), 1.0, language)


async def test_order_failure_and_dropping() -> None:
    model = Gate()
    passes = Passes(model, 1)
    assert passes.idle
    asked = [passes.ask(segment(number), "en") for number in (1, 2, 3, 4)]
    assert passes.ask_if_idle(segment(9), "en") is None
    asked[2].drop()
    await asyncio.to_thread(model.first_begun.wait, 5)
    model.go.set()
    outcomes = [await one.outcome() for one in asked]
    assert model.begun == [1, 2, 4]
    assert [one.transcript.text for one in outcomes] == ["1", "", "", "4"]
    assert str(outcomes[1].error) == "the model fell over"
    assert outcomes[1].transcript == NOTHING
    assert all(one.queue_us >= 0 and one.decode_us >= 0 for one in outcomes)
    assert passes.idle
    late = passes.ask_if_idle(segment(5), "en")
    assert late is not None
    assert (await late.outcome()).transcript.text == "5"
    passes.close()


async def test_the_wait_for_a_worker_is_measured() -> None:
    times = iter([1.0, 2.0, 2.5, 4.0])
    passes = Passes(lambda segment, language, prompt: NOTHING, 1, clock=lambda: next(times))
    outcome = await passes.ask(segment(1), "en").outcome()
    assert (outcome.queue_us, outcome.decode_us) == (1_000_000, 500_000)
    passes.close()


async def test_the_most_urgent_first_and_a_head_start_that_becomes_the_final() -> None:
    model = Gate()
    passes = Passes(model, 1, most_early=3)
    running = passes.ask(segment(1), "en")
    await asyncio.to_thread(model.first_begun.wait, 5)
    partial = passes.ask_early(Kind.PARTIAL, segment(3), "en")
    lull = passes.ask_early(Kind.HEAD_START, segment(4), "en")
    newer = passes.ask_early(Kind.PARTIAL, segment(5), "en")
    final = passes.ask(segment(6), "en")
    later = passes.ask_early(Kind.HEAD_START, segment(7), "en")
    assert partial is not None
    assert lull is not None
    assert newer is not None
    assert later is not None
    assert (await partial.outcome()).shed
    assert later.promote()
    assert not partial.promote()
    assert passes.ask_early(Kind.HEAD_START, segment(8), "en") is not None
    model.go.set()
    for one in (running, lull, final, later):
        assert not (await one.outcome()).shed
    assert model.begun[:4] == [1, 6, 7, 4]
    assert later.promote()  # done: its outcome serves
    assert [(await one.outcome()).kind for one in (final, later, lull)] == [Kind.FINAL, Kind.FINAL, Kind.HEAD_START]
    passes.close()


async def test_a_shed_pass_settles_and_there_is_no_room_without_end() -> None:
    model = Gate()
    passes = Passes(model, 1, most_early=1)
    passes.ask(segment(1), "en")
    await asyncio.to_thread(model.first_begun.wait, 5)
    lull = passes.ask_early(Kind.HEAD_START, segment(3), "en")
    assert lull is not None
    assert passes.ask_early(Kind.PARTIAL, segment(4), "en") is None
    lull.drop()
    outcome = await lull.outcome()
    assert (outcome.shed, outcome.transcript, outcome.queue_us) == (True, NOTHING, 0)
    model.go.set()
    passes.close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def named(name: str, language: str = "en") -> Callable[[Segment, str, str], Transcript]:
    return lambda segment, wanted, prompt: Transcript(name, (), 1.0, language, 0.9)


async def test_overload_takes_what_is_least_needed_first_and_finals_never() -> None:
    ladder = Ladder(Bounds(delays_s=(0.1, 0.2, 0.3), rise_s=0.0))
    passes = Passes(
        named("large"),
        1,
        Clock(),
        smaller=Smaller(named("small"), lambda language: language == "en", "tiny.en"),
        ladder=ladder,
        model="base",
    )
    assert passes.ask_early(Kind.PARTIAL, segment(1), "en") is not None
    ladder.observe(1.0, 0.0)
    assert passes.ask_early(Kind.PARTIAL, segment(1), "en") is None
    assert (await passes.ask(segment(1), "en").outcome()).transcript.text == "large"
    assert passes.admits
    ladder.observe(1.0, 0.0)
    assert ladder.step is Step.SMALLER_MODEL
    assert passes.ask_early(Kind.HEAD_START, segment(1), "en") is None
    made = await passes.ask(segment(1), "en").outcome()
    assert (made.transcript.text, made.model, made.overload) == ("small", "tiny.en", 2)
    assert (await passes.ask(segment(1), "de").outcome()).model == "base"
    assert (await passes.ask(segment(1), "de").outcome()).transcript.text == "large"
    ladder.observe(1.0, 0.0)
    assert not passes.admits
    assert (await passes.ask(segment(1), "en").outcome()).transcript.text == "small"
    passes.close()


async def test_finals_that_wait_are_what_overload_is_told_by() -> None:
    model, clock = Gate(), Clock()
    ladder = Ladder(Bounds(delays_s=(0.1, 0.2, 0.3), rise_s=0.0))
    passes = Passes(model, 1, clock, ladder=ladder)
    first = passes.ask(segment(1), "en")
    await asyncio.to_thread(model.first_begun.wait, 5)
    second = passes.ask(segment(3), "en")
    assert passes.step is Step.NOTHING
    clock.now = 0.15
    assert passes.step is Step.NO_PARTIALS
    model.go.set()
    await first.outcome()
    assert (await second.outcome()).queue_us == 150_000
    passes.close()


async def test_after_a_quiet_while_the_first_call_is_not_refused() -> None:
    clock = Clock()
    ladder = Ladder(Bounds(delays_s=(0.1, 0.2, 0.3), rise_s=0.0, recover_s=5.0))
    passes = Passes(named("large"), 1, clock, ladder=ladder)
    for _ in range(3):
        ladder.observe(1.0, 0.0)
    await passes.ask(segment(1), "en").outcome()
    assert not passes.admits
    clock.now = 60.0
    assert passes.admits
    passes.close()


async def test_a_call_speaks_the_language_of_its_first_words() -> None:
    told = []

    def recognize(segment: Segment, language: str, prompt: str) -> Transcript:
        told.append(language)
        return Transcript("guten Tag", (), 0.9, "de", 0.95)

    passes = Passes(recognize, 1)
    call = CallPasses(passes, "call", CallLanguage("auto", "en", 0.7))
    for _ in range(2):
        await call.ask(segment(1), "en").outcome()
    assert told == ["auto", "de"]
    call.close()
    passes.close()


async def test_a_call_with_a_recognizer_of_its_own() -> None:
    """A stream's partial is what had come by then: it cannot serve as the final."""

    class Stream:
        closed = False

        def __call__(self, kind: Kind, segment: Segment, language: str, prompt: str) -> Transcript:
            return Transcript(kind.name, (), 1.0, language)

        def close(self) -> None:
            self.closed = True

    passes, stream = Passes(named("local"), 1), Stream()
    call = CallPasses(passes, "call", CallLanguage("en", "en", 0.7), stream)
    assert (await call.ask(segment(1)).outcome()).transcript.text == "FINAL"
    partial = call.ask_early(Kind.PARTIAL, segment(1))
    lull = call.ask_early(Kind.HEAD_START, segment(1))
    assert partial is not None
    assert lull is not None
    await partial.outcome()
    await lull.outcome()
    assert not partial.promote()
    assert lull.promote()
    call.close()
    assert stream.closed
    passes.close()
