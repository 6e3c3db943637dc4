"""A flood of one line leaves room for the others, and says how much is missing."""

from hypothesis import given
from hypothesis import strategies as st

from services.common.telemetry.log_limit import LineLimit


def test_a_burst_then_one_a_second_with_what_was_left_out() -> None:
    limit = LineLimit(burst=3, a_second=1.0)
    assert [limit.admit("late", 0.0) for _ in range(6)] == [0, 0, 0, None, None, None]
    assert limit.admit("other", 0.0) == 0
    assert limit.admit("late", 0.5) is None
    assert limit.admit("late", 1.0) == 4
    assert limit.admit("late", 1.0) is None
    assert limit.admit("late", 60.0) == 1
    assert [limit.admit("late", 60.0) for _ in range(3)] == [0, 0, None]
    assert limit.suppressed == 6


def test_only_so_many_kinds_are_counted() -> None:
    limit = LineLimit(burst=1, kinds=2)
    assert limit.admit("a", 0.0) == 0
    assert limit.admit("b", 0.0) == 0
    assert limit.admit("a", 0.0) is None
    assert limit.admit("c", 0.0) == 0
    assert limit.admit("a", 0.0) is None
    assert limit.admit("b", 0.0) == 0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3)), max_size=200))
def test_never_more_than_the_bucket_holds_and_none_uncounted(lines: list[tuple[str, float]]) -> None:
    limit, now = LineLimit(burst=5, a_second=2.0), 0.0
    written, told = {"a": 0, "b": 0}, 0
    for kind, later in lines:
        now += later
        missing = limit.admit(kind, now)
        if missing is not None:
            written[kind] += 1
            told += missing
        assert written[kind] <= 5 + 2.0 * now + 1e-6
    assert sum(written.values()) + limit.suppressed == len(lines)
    assert told <= limit.suppressed
