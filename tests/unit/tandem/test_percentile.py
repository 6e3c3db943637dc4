import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.percentile import percentile


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7], 50, 7),
        ([1, 2], 50, 1),
        ([1, 2, 3], 50, 2),
        ([3, 1, 2], 100, 3),
        (list(range(1, 21)), 95, 19),
        ([5, 1], 0, 1),
    ],
)
def test_nearest_rank(values, percent, expected):
    assert percentile(values, percent) == expected


def test_nothing_has_no_percentile():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.integers(1, 100))
def test_is_a_value_that_was_measured_and_covers_its_share(values, percent):
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= math.ceil(percent / 100 * len(values))
