"""The urgent pass the patient; a place is never lost."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from services.tts.turnstile import Turnstile


async def test_urgent_goes_first_and_each_kind_in_order() -> None:
    turnstile = Turnstile(1)
    order: list[str] = []

    async def work(name: str, urgent: bool) -> None:
        async with turnstile.place(urgent):
            order.append(name)
            await asyncio.sleep(0)

    async with turnstile.place(urgent=False):
        waiting = [asyncio.create_task(work(name, name.startswith("u"))) for name in ("p1", "u1", "p2", "u2")]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert order == ["u1", "u2", "p1", "p2"]


@given(st.integers(1, 3), st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 6)), max_size=12))
async def test_cancelling_never_loses_a_place(places: int, workers: list[tuple[bool, int, int]]) -> None:
    """(urgent, ticks of work, ticks until cancelled) each; afterwards all places are free."""
    turnstile = Turnstile(places)
    inside = 0

    async def work(urgent: bool, ticks: int) -> None:
        nonlocal inside
        async with turnstile.place(urgent):
            inside += 1
            assert inside <= places
            try:
                for _ in range(ticks):
                    await asyncio.sleep(0)
            finally:
                inside -= 1

    tasks = [asyncio.create_task(work(urgent, ticks)) for urgent, ticks, _ in workers]
    for tick in range(7):
        for task, (_, _, until) in zip(tasks, workers, strict=True):
            if until == tick and until < 6:
                task.cancel()
        await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [one for one in results if isinstance(one, AssertionError)]
    async with asyncio.timeout(1):
        for _ in range(places):
            await turnstile._enter(False)
