"""At most so many at once, first come, first served, and nobody waits for ever."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.brain.tools.bulkhead import Bulkhead, BulkheadFull


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Caller:
    def __init__(self, bulkhead: Bulkhead, order: list[int], number: int) -> None:
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._run(bulkhead, order, number))

    async def _run(self, bulkhead: Bulkhead, order: list[int], number: int) -> None:
        async with bulkhead.slot():
            order.append(number)
            await self.leave.wait()


async def test_who_came_first_goes_first() -> None:
    bulkhead, order = Bulkhead("crm", 1, 60), list[int]()
    callers = [Caller(bulkhead, order, number) for number in range(3)]
    await _settle()
    assert (order, bulkhead.running, bulkhead.waiting) == ([0], 1, 2)
    callers[1].task.cancel()  # gives up in line
    callers[0].leave.set()
    await _settle()
    assert (order, bulkhead.running, bulkhead.waiting) == ([0, 2], 1, 0)
    callers[2].leave.set()
    await _settle()
    assert bulkhead.running == 0


async def test_a_wait_that_is_over_frees_its_place_in_line() -> None:
    bulkhead = Bulkhead("crm", 1, 0.01)
    async with bulkhead.slot():
        with pytest.raises(BulkheadFull, match="1 calls to crm run already"):
            async with bulkhead.slot():
                pass
        assert bulkhead.waiting == 0
    assert bulkhead.running == 0


async def test_the_line_has_an_end() -> None:
    bulkhead, order = Bulkhead("crm", 2, 60), list[int]()
    callers = [Caller(bulkhead, order, number) for number in range(2 + 8)]
    await _settle()
    with pytest.raises(BulkheadFull):
        async with bulkhead.slot():
            pass
    for caller in callers:
        caller.task.cancel()
    await asyncio.gather(*[caller.task for caller in callers], return_exceptions=True)
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)


async def test_one_that_is_let_in_and_cancelled_at_once_gives_its_place_on() -> None:
    bulkhead, order = Bulkhead("crm", 1, 60), list[int]()
    callers = [Caller(bulkhead, order, number) for number in range(3)]
    await _settle()
    callers[0].leave.set()
    await callers[0].task  # lets the second in, which has not run yet
    callers[1].task.cancel()
    await _settle()
    assert order[-1] == 2
    callers[2].leave.set()
    await callers[2].task
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)


async def test_a_higher_limit_lets_in_those_in_line() -> None:
    bulkhead, order = Bulkhead("crm", 1, 60), list[int]()
    callers = [Caller(bulkhead, order, number) for number in range(3)]
    await _settle()
    bulkhead.limit(3, 60)
    await _settle()
    assert order == [0, 1, 2]
    for caller in callers:
        caller.leave.set()
    await asyncio.gather(*[caller.task for caller in callers])


@given(st.lists(st.sampled_from(["come", "leave", "give up"]), max_size=40), st.integers(1, 3))
def test_never_more_than_the_limit_and_none_is_lost(steps: list[str], at_once: int) -> None:
    async def play() -> None:
        bulkhead, order, callers = Bulkhead("crm", at_once, 60), list[int](), list[Caller]()
        async with AsyncExitStack():
            for number, step in enumerate(steps):
                if step == "come":
                    callers.append(Caller(bulkhead, order, number))
                elif callers and step == "leave":
                    callers[0].leave.set()
                elif callers:
                    callers[number % len(callers)].task.cancel()
                await asyncio.sleep(0)
                callers = [one for one in callers if not one.task.done()]
                assert bulkhead.running <= at_once
            await _settle()
            inside = min(at_once, sum(not one.task.done() for one in callers))
            assert bulkhead.running == inside
            for caller in callers:
                caller.task.cancel()
            await asyncio.gather(*[caller.task for caller in callers], return_exceptions=True)
        assert (bulkhead.running, bulkhead.waiting) == (0, 0)

    asyncio.run(play())
