"""An early pass is told as a partial, serves as the final when only silence followed, and is dropped otherwise."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from services.asr.early import EarlyPasses
from services.asr.passes import NOTHING, Outcome
from services.asr.schedule import Kind
from services.asr.segment import Segment

WORDS = Outcome(NOTHING, 0.0, 0.0, 0.0)
FAILED = Outcome(NOTHING, 0.0, 0.0, 0.0, error=RuntimeError("the model fell over"))
SHED = Outcome(NOTHING, 0.0, 0.0, 0.0, shed=True)


def clip(to_ms: int) -> Segment:
    return Segment(np.zeros(to_ms * 8, np.int16), 8000, ((0, 0),))


class FakePass:
    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.dropped = False
        self.promoted = False
        self.came: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def drop(self) -> None:
        self.dropped = True

    def promote(self) -> bool:
        self.promoted = True
        return True

    def then(self, tell: Callable[[Outcome], None]) -> None:
        self.came.add_done_callback(lambda settled: tell(settled.result()))


class FakePasses:
    """Hands out passes that the test settles."""

    def __init__(self) -> None:
        self.idle = True
        self.asked: list[FakePass] = []
        self.kinds: list[Kind] = []

    def ask_if_idle(self, segment: Segment, language: str, prompt: str, kind: Kind) -> FakePass | None:
        if not self.idle:
            return None
        self.kinds.append(kind)
        self.asked.append(FakePass(segment))
        return self.asked[-1]


class Call:
    def __init__(self) -> None:
        self.passes = FakePasses()
        self.told: list[tuple[int, int]] = []
        self.over: list[tuple[int, int]] = []
        passes: Any = self.passes
        self.early = EarlyPasses(
            passes,
            lambda utterance, segment, _: self.told.append((utterance, segment.end_us)),
            lambda utterance, segment, _: self.over.append((utterance, segment.end_us)),
        )

    async def settle(self, number: int, outcome: Outcome = WORDS) -> None:
        self.passes.asked[number].came.set_result(outcome)
        for _ in range(3):
            await asyncio.sleep(0)


async def test_a_partial_is_told_and_then_serves_as_the_final() -> None:
    call = Call()
    assert call.early.ask(Kind.PARTIAL, 1, clip(1000), "en", "")
    assert call.early.under_way
    await call.settle(0)
    assert not call.early.under_way
    assert call.told == [(1, 1_000_000)]
    assert call.early.take(900_000) is call.passes.asked[0]
    assert call.passes.asked[0].promoted
    assert not call.passes.asked[0].dropped
    assert call.early.take(900_000) is None


async def test_a_pass_taken_before_it_came_is_told_as_the_final_only() -> None:
    call = Call()
    call.early.ask(Kind.HEAD_START, 1, clip(1000), "en", "")
    assert call.early.take(900_000) is call.passes.asked[0]
    await call.settle(0)
    assert call.told == []


async def test_speech_behind_a_partial_makes_it_useless_as_a_final() -> None:
    call = Call()
    call.early.ask(Kind.PARTIAL, 1, clip(1000), "en", "")
    assert call.early.take(1_400_000) is None
    assert call.passes.asked[0].dropped
    await call.settle(0)
    assert call.told == []


async def test_a_newer_pass_drops_the_one_before() -> None:
    call = Call()
    call.early.ask(Kind.PARTIAL, 1, clip(1000), "en", "")
    call.early.ask(Kind.HEAD_START, 1, clip(1400), "en", "")
    assert [one.dropped for one in call.passes.asked] == [True, False]
    assert call.passes.kinds == [Kind.PARTIAL, Kind.HEAD_START]
    await call.settle(0)
    await call.settle(1)
    assert call.told == [(1, 1_400_000)]
    assert call.over == [(1, 1_000_000), (1, 1_400_000)]


async def test_nothing_is_asked_of_busy_workers() -> None:
    call = Call()
    call.passes.idle = False
    assert not call.early.ask(Kind.PARTIAL, 1, clip(1000), "en", "")
    assert not call.early.under_way
    assert call.early.take(0) is None


@pytest.mark.parametrize("outcome", [FAILED, SHED])
async def test_a_pass_that_failed_or_never_ran_is_neither_told_nor_used(outcome: Outcome) -> None:
    call = Call()
    call.early.ask(Kind.PARTIAL, 1, clip(1000), "en", "")
    await call.settle(0, outcome)
    assert call.told == []
    assert not call.early.under_way
    assert call.early.take(900_000) is None
