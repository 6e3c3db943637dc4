from hypothesis import given
from hypothesis import strategies as st

from tandem.processes import RestartPolicy


def test_waits_longer_each_time_and_gives_up_at_the_fifth_death_in_a_minute():
    policy = RestartPolicy()
    assert [policy.died(at) for at in (0, 1, 2, 3, 4)] == [0.5, 1, 2, 4, None]


def test_deaths_far_apart_are_forgiven():
    policy = RestartPolicy()
    assert [policy.died(at) for at in (0, 61, 122, 183, 244, 305)] == [0.5] * 6


@given(st.lists(st.floats(0, 1e5), max_size=50))
def test_gives_up_only_after_five_within_a_minute(times):
    policy = RestartPolicy()
    seen: list[float] = []
    for at in sorted(times):
        seen.append(at)
        near = [one for one in seen if at - one < 60]
        assert (policy.died(at) is None) == (len(near) >= 5)
