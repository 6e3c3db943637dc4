"""Passes run first come, first served; one that fails settles all the same."""

import asyncio
import threading

import numpy as np

from services.asr.passes import Passes
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
