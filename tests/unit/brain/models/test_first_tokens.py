"""When a hedge is due: at the p90 of what a deployment took, within bounds."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.brain.models.first_tokens import COLD_US, ENOUGH, LAST, LEAST_US, FirstTokens

MOST_US = 700_000


def after(times_ms: list[float], given_up: int = 0, most_us: int = MOST_US) -> float:
    seen = FirstTokens()
    for ms in times_ms:
        seen.took(ms * 1000)
    for _ in range(given_up):
        seen.given_up()
    return seen.hedge_after_us(most_us) / 1000


@pytest.mark.parametrize(
    ("times_ms", "given_up", "expected_ms"),
    [
        ([], 0, COLD_US / 1000),
        ([100.0] * (ENOUGH - 1), 0, COLD_US / 1000),
        ([300.0] * ENOUGH, 0, 300),
        ([10.0] * 50, 0, LEAST_US / 1000),  # however fast it is
        (list(range(201, 301)), 0, 291),
        ([300.0] * 80 + [2000.0] * 20, 0, 700),  # the p90 is a stall: not waited for
        ([300.0] * 89, 11, 700),
        ([300.0] * 95, 5, 300),
        ([1000.0] * 60, 0, 1000),  # a slow one is not asked beside another one each time
        ([1000.0] * 60, 40, 1000),
        ([300.0] * 20, 80, 700),  # mostly given up: nothing is known but that it is late
    ],
)
def test_the_table(times_ms: list[float], given_up: int, expected_ms: float) -> None:
    assert after(times_ms, given_up) == expected_ms


def test_it_forgets() -> None:
    assert after([1000.0] * LAST + [300.0] * LAST) == 300


def test_the_cold_start_is_within_the_bound() -> None:
    assert after([], most_us=400_000) == 400


@given(st.lists(st.one_of(st.floats(1, 10_000), st.none()), max_size=300), st.integers(100, 5000))
def test_it_is_never_absurd(times_ms: list[float | None], most_ms: int) -> None:
    seen = FirstTokens()
    for ms in times_ms:
        if ms is None:
            seen.given_up()
        else:
            seen.took(ms * 1000)
    spoken = [ms for ms in times_ms if ms is not None]
    assert 0 < seen.hedge_after_us(most_ms * 1000) / 1000 <= max([most_ms, LEAST_US / 1000, *spoken])


def test_hedging_does_not_eat_up_its_own_record() -> None:
    """Were the attempts that lost left out, each round would cut off another tenth, down to the bound."""
    chance, seen = random.Random(7), FirstTokens()
    hedged = 0
    for _ in range(2000):
        took_us = chance.uniform(200_000, 600_000)
        if took_us > seen.hedge_after_us(MOST_US):
            hedged += 1
            seen.given_up()
        else:
            seen.took(took_us)
    assert hedged < 2000 * 0.15
    assert seen.hedge_after_us(MOST_US) > 500_000
