"""A standing queue of finals takes recognition down a step at a time; a burst does not; it comes back slowly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asr.overload import Bounds, Ladder, Step

BOUNDS = Bounds(delays_s=(0.1, 0.4, 1.0), rise_s=1.0, recover_s=5.0, relapse_s=30.0, longest_recover_s=20.0)


def steps(waits: list[tuple[float, float]]) -> list[tuple[float, str]]:
    """(time, wait) as observed → (time, step) where it changed."""
    ladder = Ladder(BOUNDS)
    return [(at, ladder.step.name) for at, wait in waits if ladder.observe(wait, at)]


def steady(wait: float, from_s: float, to_s: float) -> list[tuple[float, float]]:
    return [(at / 2, wait) for at in range(round(from_s * 2), round(to_s * 2))]


@pytest.mark.parametrize(
    ("waits", "expected"),
    [
        ([], []),
        (steady(0.05, 0, 60), []),
        ([(0, 3.0)], []),  # one burst
        ([(0, 3.0), (0.5, 0.0), (1.0, 3.0), (1.5, 3.0)], []),  # a worker was idle between
        (steady(0.2, 0, 60), [(1.0, "NO_PARTIALS")]),
        (steady(0.5, 0, 60), [(1.0, "NO_PARTIALS"), (2.5, "SMALLER_MODEL")]),
        (steady(2.0, 0, 60), [(1.0, "NO_PARTIALS"), (2.5, "SMALLER_MODEL"), (4.0, "NO_NEW_CALLS")]),
        # Between half a bound and the bound it stays.
        (steady(0.2, 0, 2) + steady(0.06, 2, 60), [(1.0, "NO_PARTIALS")]),
        (steady(0.2, 0, 2) + steady(0.04, 2, 60), [(1.0, "NO_PARTIALS"), (7.0, "NOTHING")]),
        (
            steady(2.0, 0, 5) + steady(0.0, 5, 60),
            [
                (1.0, "NO_PARTIALS"),
                (2.5, "SMALLER_MODEL"),
                (4.0, "NO_NEW_CALLS"),
                (10.0, "SMALLER_MODEL"),
                (15.5, "NO_PARTIALS"),
                (21.0, "NOTHING"),
            ],
        ),
        # A relapse: the second recovery waits twice as long.
        (
            steady(0.2, 0, 2) + steady(0.0, 2, 8) + steady(0.2, 8, 10) + steady(0.0, 10, 40),
            [(1.0, "NO_PARTIALS"), (7.0, "NOTHING"), (9.0, "NO_PARTIALS"), (20.0, "NOTHING")],
        ),
    ],
)
def test_ladder(waits: list[tuple[float, float]], expected: list[tuple[float, str]]) -> None:
    assert steps(waits) == expected


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 5)), max_size=80))
def test_it_goes_one_step_at_a_time_and_always_comes_back(gaps: list[tuple[float, float]]) -> None:
    ladder = Ladder(BOUNDS)
    now, before = 0.0, ladder.step
    for gap, wait in gaps:
        now += gap
        changed = ladder.observe(wait, now)
        assert changed == (ladder.step is not before)
        assert abs(ladder.step - before) <= 1
        before = ladder.step
    for _ in range(200):
        now += 1.0
        ladder.observe(0.0, now)
    assert ladder.step is Step.NOTHING
