"""The caller's own pauses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.brain.pauses import Pauses


def after(*pauses_ms: int) -> Pauses:
    pauses = Pauses()
    for pause in pauses_ms:
        pauses.went_on(pause)
    return pauses


def test_nothing_heard_shifts_nothing() -> None:
    assert Pauses().shift_ms() == 0


def test_slow_callers_are_waited_for_within_bounds() -> None:
    assert 0 < after(900, 1000).shift_ms() <= after(900, 1000, 1100, 1200).shift_ms() <= 350
    assert after(*[2900] * 16).shift_ms() == 350


def test_quick_callers_are_answered_sooner_within_bounds() -> None:
    assert after(*[200] * 16).shift_ms() == -40


def test_a_few_short_pauses_hurry_nobody() -> None:
    assert after(300, 300, 300).shift_ms() == 0


def test_one_long_pause_moves_little() -> None:
    """Somebody looked for a card once."""
    assert after(2500).shift_ms() <= 200


@pytest.mark.parametrize("pause_ms", [0, -20, 119, 3001, 60_000])
def test_what_is_no_pause_is_not_counted(pause_ms: int) -> None:
    assert after(pause_ms).count == 0


def test_the_latest_count() -> None:
    assert after(*[1200] * 16, *[300] * 16).shift_ms() == after(*[300] * 16).shift_ms()


@given(st.lists(st.integers(-1000, 100_000), max_size=40), st.integers(120, 3000))
def test_bounded_whatever_comes(pauses: list[int], one: int) -> None:
    assert -40 <= after(*pauses, one).shift_ms() <= 350
