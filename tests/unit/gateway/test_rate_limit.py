"""Token buckets and the limit of messages a source."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.rate_limit import SourceLimit, TokenBucket

steps = st.lists(st.floats(0, 3), max_size=200)


@given(st.floats(0.1, 50), steps)
def test_a_bucket_gives_no_more_than_its_burst_and_its_rate(rate: float, pauses: list[float]) -> None:
    bucket, now, taken = TokenBucket(rate), 0.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now)
        assert taken <= bucket.burst + rate * now + 1e-6


def test_a_bucket_fills_up_to_its_burst_only() -> None:
    bucket = TokenBucket(2)
    assert [bucket.take(100.0) for _ in range(3)] == [True, True, False]
    assert bucket.take(100.5)
    assert not bucket.take(99.0), "a clock that goes back brings nothing"


def test_a_slow_bucket_holds_one() -> None:
    bucket = TokenBucket(0.1)
    assert [bucket.take(at) for at in (0, 9.9, 10.1)] == [True, False, True]


def test_a_source_that_sends_more_is_not_heard_for_the_rest_of_the_second() -> None:
    limit = SourceLimit(2)
    heard = [limit.allows("192.0.2.1", now) for now in (10.0, 10.1, 10.2, 10.99, 11.0)]
    assert heard == [True, True, False, False, True]
    assert limit.refused == 2
    assert limit.allows("192.0.2.2", 10.2)


def test_a_host_with_a_whole_ipv6_network_is_one_source() -> None:
    limit = SourceLimit(2)
    sources = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1", "fe80::1%eth0", "::ffff:192.0.2.1"]
    assert [limit.allows(source, 1.0) for source in sources] == [True, True, False, True, True, True]
    assert limit.allows("192.0.2.1", 1.0)
    assert not limit.allows("192.0.2.1", 1.0), "it is the one above"


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 0.4)), max_size=200))
def test_sources_beyond_the_table_share_one_count(sent: list[tuple[int, float]]) -> None:
    limit, now = SourceLimit(3, max_sources=5), 0.0
    for source, pause in sent:
        now += pause
        limit.allows(f"192.0.2.{source}", now)
        assert len(limit._heard) <= 6
    limit = SourceLimit(3, max_sources=1)
    assert [limit.allows(source, 1.0) for source in ("a", "b", "c", "d", "e", "a", "a", "a")] == [
        True, True, True, True, False, True, True, False,
    ]  # fmt: skip
