"""Caps of calls out: whom, how often, how many minutes a day."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.numbers import NumberPlan
from services.gateway.toll_fraud import DAY_S, OutboundCaps, OutboundRefused, Placed
from services.gateway.trunk_settings import OutboundSettings

GERMANY = NumberPlan("49", send_plus=False)
R = OutboundRefused


def caps(numbers: NumberPlan | None = None, **settings: Any) -> OutboundCaps:
    given = {"caller": "+4930123", "destinations": ["+49*"], "max_calls_per_minute": 1000, **settings}
    return OutboundCaps(OutboundSettings(**given), numbers)


@pytest.mark.parametrize(
    ("destinations", "number", "result"),
    [
        (["+49*"], "+49301234567", Placed("49301234567")),
        (["+49*"], "0301234567", Placed("49301234567")),
        (["+49*"], "0049301234567", Placed("49301234567")),
        (["+4930*"], "0401234567", R.DESTINATION),
        (["+49*"], "00881234567890", R.DESTINATION),
        (["+49*"], "112", R.DESTINATION),
        (["*"], "112", R.DESTINATION),
        (["*"], "0301234567", Placed("49301234567")),
        (["*10"], "110", R.DESTINATION),
        (["/^\\+49(?!900)/"], "0900123456", R.DESTINATION),
        (["/^\\+49(?!900)/"], "030123456", Placed("4930123456")),
        (["112"], "112", Placed("112")),
        (["/^11[02]$/"], "110", Placed("110")),
        (["reception"], "reception", Placed("reception")),
        ([], "+49301234567", R.DESTINATION),
        (["*"], "", R.BAD_NUMBER),
        (["*"], "+49301234567@evil.example", R.BAD_NUMBER),
        (["*"], "+49301234567;x=y", R.BAD_NUMBER),
        (["*"], "+4930\r\nX: y", R.BAD_NUMBER),
        (["*"], "+" + "1" * 99, R.BAD_NUMBER),
    ],
)
def test_whom(destinations: list[str], number: str, result: Placed | OutboundRefused) -> None:
    assert caps(GERMANY, destinations=destinations).admit(number, 0.0) == result


def test_without_a_number_plan_only_what_has_a_plus_fits_a_star() -> None:
    assert caps().admit("+4930", 0.0) == Placed("+4930")
    assert caps().admit("004930", 0.0) is R.DESTINATION
    assert caps(destinations=["*"]).admit("00881234567", 0.0) is R.DESTINATION


def test_nobody_is_called_where_it_is_not_set_up() -> None:
    assert OutboundCaps(None).admit("+4930", 0.0) is R.NOT_SET_UP
    assert OutboundCaps(None).deadline(0.0) is None


def test_every_refusal_explains_itself() -> None:
    assert all(one.explanation for one in OutboundRefused)


def test_calls_a_minute_are_those_of_any_sixty_seconds() -> None:
    few = caps(max_calls_per_minute=2)
    assert [isinstance(few.admit("+49301", at), Placed) for at in (0, 59, 59.9, 60, 118, 119)] == [
        True, True, False, True, False, True,
    ]  # fmt: skip


def test_a_refused_number_costs_no_attempt() -> None:
    few = caps(max_calls_per_minute=1)
    assert few.admit("+331", 0.0) is R.DESTINATION
    assert few.admit("+49301", 0.0) == Placed("+49301")
    assert few.admit("+49301", 1.0) is R.RATE


def test_minutes_are_used_up_by_all_calls_together_and_running_ones_must_end() -> None:
    ten = caps(max_minutes_per_day=10)
    assert ten.deadline(0.0) is None
    ten.answered("a", 0.0)
    assert ten.deadline(0.0) == 600
    ten.answered("b", 100.0)
    assert ten.deadline(100.0) == 100 + 500 / 2
    ten.ended("a", 200.0)
    assert ten.deadline(200.0) == 200 + 300
    assert ten.left_s(200.0) == 300
    assert isinstance(ten.admit("+49301", 499.0), Placed)
    assert ten.admit("+49301", 500.0) is R.MINUTES
    assert ten.deadline(510.0) == 510
    ten.ended("b", 510.0)
    ten.ended("b", 900.0)
    assert (ten.left_s(1000.0), ten.running) == (-10, 0)


def test_the_day_ends_at_midnight_utc() -> None:
    # Ten minutes before midnight.
    settings = OutboundSettings(caller="1", destinations=["*"], max_minutes_per_day=30)
    day = OutboundCaps(settings, unix_offset_s=20_000 * DAY_S - 600.0)
    day.answered("a", 0.0)
    assert day.deadline(0.0) == 600 + 1800, "the new day has 30 minutes of its own"
    assert day.left_s(600.0) == 1800
    assert day.left_s(660.0) == 1740
    assert day.left_s(600.0 + 2 * DAY_S) == 1800


def test_a_budget_that_no_call_can_use_up_ends_none() -> None:
    day = caps(max_minutes_per_day=100_000)
    day.answered("a", 0.0)
    assert day.deadline(0.0) is None


@given(
    st.integers(1, 100),
    st.lists(st.tuples(st.sampled_from(["answer", "end", "wait"]), st.integers(0, 5), st.floats(0, 4000)), max_size=60),
)
def test_calls_that_end_at_the_deadline_never_use_more_than_the_day_has(
    minutes: int, steps: list[tuple[str, int, float]]
) -> None:
    day, now, running = caps(max_minutes_per_day=minutes), 0.0, set[int]()
    used: dict[int, float] = {}

    def pass_to(then: float) -> None:
        nonlocal now
        while now < then:
            deadline = day.deadline(now)
            midnight = (now // DAY_S + 1) * DAY_S
            until = min(then, midnight, deadline if deadline is not None else then)
            today = int(now // DAY_S)
            used[today] = used.get(today, 0.0) + (until - now) * len(running)
            now = until
            if deadline is not None and now >= deadline:
                for call in tuple(running):
                    day.ended(call, now)
                running.clear()

    for what, call, pause in steps:
        pass_to(now + pause)
        if what == "answer" and isinstance(day.admit("+49301", now), Placed):
            day.answered(call, now)
            running.add(call)
        elif what == "end":
            day.ended(call, now)
            running.discard(call)
        assert day.running == len(running)
    assert all(seconds <= minutes * 60 + 1e-3 for seconds in used.values())


@pytest.mark.parametrize("dialled", ["+49900123456", "0900123456", "+490900123456", "00490900123456", "+4900900123456"])
def test_a_premium_number_is_not_hidden_behind_a_zero(dialled: str) -> None:
    settings = OutboundSettings.model_validate({"caller": "1", "destinations": [r"/^\+49(?!900)/"]})
    assert OutboundCaps(settings, NumberPlan("49")).admit(dialled, 0.0) is OutboundRefused.DESTINATION
