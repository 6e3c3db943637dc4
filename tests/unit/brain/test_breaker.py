"""A breaker opens after failures in a row, lets one trial through, and believes its end."""

from hypothesis import given
from hypothesis import strategies as st

from services.brain.breaker import Breaker, State


def breaker() -> Breaker:
    return Breaker("crm", failures=3, within_s=10, open_s=5)


def opened(at_s: float = 2.0) -> Breaker:
    one = breaker()
    for _ in range(3):
        one.failed(at_s)
    return one


def test_it_opens_after_failures_in_a_row() -> None:
    one = breaker()
    for at_s in (0, 1):
        one.failed(at_s)
        assert one.allows(at_s)
    one.failed(2)
    assert one.state is State.OPEN
    assert not one.allows(2.1)
    assert not one.would_allow(6.9)


def test_a_success_between_begins_the_count_anew() -> None:
    one = breaker()
    for at_s, good in enumerate([False, False, True, False, False, True, False, False]):
        (one.succeeded if good else one.failed)(at_s)
    assert one.state is State.CLOSED


def test_failures_far_apart_do_not_count_together() -> None:
    one = breaker()
    for at_s in (0, 6, 12, 18):
        one.failed(at_s)
    assert one.state is State.CLOSED
    one.failed(20)
    assert one.state is State.OPEN


def test_one_trial_at_a_time() -> None:
    one = opened(2)
    assert one.would_allow(7)
    assert one.allows(7)
    assert one.state is State.HALF_OPEN
    assert not one.allows(7.1)
    assert not one.would_allow(7.1)


def test_the_trial_decides() -> None:
    good, bad = opened(2), opened(2)
    assert good.allows(7)
    good.succeeded(8)
    assert good.state is State.CLOSED
    assert good.allows(8)
    assert bad.allows(7)
    bad.failed(8)
    assert bad.state is State.OPEN
    assert not bad.allows(12.9)
    assert bad.allows(13)


def test_a_trial_without_verdict_can_be_made_again() -> None:
    one = opened(2)
    assert one.allows(7)
    one.let_go(7.5)
    assert one.allows(7.6)
    assert not one.allows(7.7)


def test_a_trial_nothing_is_heard_of_is_taken_for_lost() -> None:
    one = opened(2)
    assert one.allows(7)
    assert not one.allows(11.9)
    assert one.allows(12)


def test_what_was_asked_before_it_opened_does_not_close_it() -> None:
    one = opened(2)
    one.succeeded(3)
    one.failed(4)
    one.let_go(4)
    assert not one.allows(6.9)
    assert one.allows(7)


def test_it_can_be_opened_at_once() -> None:
    one = breaker()
    one.trip(1)
    assert not one.allows(5.9)
    assert one.allows(6)


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["allows", "succeeded", "failed", "let_go", "trip"]))))
def test_whatever_happens_it_is_asked_again_in_the_end(happenings: list[tuple[float, str]]) -> None:
    one, now_s = breaker(), 0.0
    for wait_s, what in happenings:
        now_s += wait_s
        getattr(one, what)(now_s)
        assert one.would_allow(now_s + 5.01)
    assert one.allows(now_s + 5.01)
