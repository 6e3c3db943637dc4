"""The most of one call, as a table: told once when near, a person or a goodbye when over."""

import pytest

from services.brain.agent.guard import Limits
from services.brain.guardrails.limits import CallLimits, Step, Use, Verdict

LIMITS = Limits(turns=10, minutes=10, cost=1.0, tool_calls=20, near=0.9)


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (Use(), Verdict(Step.GO_ON)),
        (Use(turns=8, seconds=500, cost=0.89, tool_calls=17), Verdict(Step.GO_ON)),
        (Use(turns=9), Verdict(Step.SAY_NEAR, "turns")),
        (Use(seconds=540), Verdict(Step.SAY_NEAR, "minutes")),
        (Use(cost=0.9), Verdict(Step.SAY_NEAR, "cost")),
        (Use(tool_calls=18), Verdict(Step.SAY_NEAR, "tool_calls")),
        (Use(turns=10), Verdict(Step.HAND_OVER, "turns")),
        (Use(turns=9, cost=1.5), Verdict(Step.HAND_OVER, "cost")),
    ],
)
def test_what_a_calls_use_asks_for(use: Use, expected: Verdict) -> None:
    assert CallLimits(LIMITS, has_person=True).check(use) == expected


def test_each_step_comes_once() -> None:
    limits = CallLimits(LIMITS, has_person=True)
    steps = [limits.check(Use(turns=turns)).step for turns in (8, 9, 9, 10, 11, 12)]
    assert steps == [Step.GO_ON, Step.SAY_NEAR, Step.GO_ON, Step.HAND_OVER, Step.GOODBYE, Step.GOODBYE]


def test_without_a_person_it_is_a_goodbye() -> None:
    assert CallLimits(LIMITS, has_person=False).check(Use(turns=10)) == Verdict(Step.GOODBYE, "turns")


def test_a_call_ends_at_its_cap_even_if_nobody_takes_a_turn() -> None:
    """bolna#1050: 4,591 s against a cap of 300 s. Time is a limit of its own, and it tells when to look again."""
    limits = CallLimits(Limits(minutes=5), has_person=False)
    assert limits.seconds_to_next(Use()) == 270
    assert limits.check(Use(seconds=270)).step is Step.SAY_NEAR
    assert limits.seconds_to_next(Use(seconds=270)) == 30
    assert limits.check(Use(seconds=300)).step is Step.GOODBYE
    assert limits.seconds_to_next(Use(seconds=4591)) == 0


def test_a_brain_that_takes_over_does_not_say_it_again() -> None:
    limits = CallLimits(LIMITS, has_person=True)
    limits.resume(Use(turns=9))
    assert limits.check(Use(turns=9)).step is Step.GO_ON


def test_no_limit_of_cost() -> None:
    assert CallLimits(Limits(cost=0), has_person=True).check(Use(cost=1000.0)).step is Step.GO_ON


def test_tool_calls_past_the_limit_are_not_made() -> None:
    limits = CallLimits(LIMITS, has_person=True)
    assert limits.tool_call_allowed(Use(tool_calls=19))
    assert not limits.tool_call_allowed(Use(tool_calls=20))
