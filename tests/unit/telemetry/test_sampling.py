"""Which traces are drawn, which are kept later, and that what is held stays within its bounds."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.common.telemetry.sampling import Bounds, HeldSpans, drawn

BOUNDS = Bounds(spans=6, spans_a_trace=4, traces=3, held_s=100, grace_s=5, remembered_s=20)


@pytest.mark.parametrize(
    ("low_bits", "ratio", "is_drawn"),
    [
        (0, 0.0, False),
        (0, 0.01, True),
        ((1 << 62) - 1, 0.25, True),
        (1 << 62, 0.25, False),
        ((1 << 64) - 1, 0.999, False),
        ((1 << 64) - 1, 1.0, True),
    ],
)
def test_the_trace_id_draws(low_bits: int, ratio: float, is_drawn: bool) -> None:
    assert drawn((0xABC << 64) | low_bits, ratio) is is_drawn


def held(*ended: tuple[int, str]) -> HeldSpans[str]:
    tail: HeldSpans[str] = HeldSpans(BOUNDS)
    for trace_id, span in ended:
        assert tail.ended(trace_id, span, 0.0) is None
    return tail


def test_a_kept_trace_loses_nothing_and_stays_in_order() -> None:
    tail = held((1, "a"), (2, "x"), (1, "b"), (1, "c"))
    assert list(tail.keep(1, "slow turn", 1.0)) == ["a", "b", "c"]
    assert tail.ended(1, "d", 2.0) == tail.why(1) == "slow turn"
    assert (tail.held, tail.unsampled, tail.overflowed) == (1, 0, 0)
    assert list(tail.keep(1, "transferred", 3.0)) == []
    assert tail.why(1) == "slow turn"


def test_a_call_that_nobody_wanted_goes_after_a_grace() -> None:
    tail = held((1, "a"), (1, "b"))
    tail.over(1, 10.0)
    tail.tick(14.9)
    assert tail.held == 2
    tail.tick(15.0)
    assert (tail.held, tail.unsampled) == (0, 2)
    assert tail.ended(1, "a straggler", 16.0) is None
    assert (tail.held, tail.unsampled) == (0, 3)


def test_a_late_word_within_the_grace_still_keeps() -> None:
    tail = held((1, "a"))
    tail.over(1, 10.0)
    assert tail.ended(1, "b", 12.0) is None
    assert list(tail.keep(1, "poor quality", 14.0)) == ["a", "b"]
    assert tail.ended(1, "c", 17.0) == "poor quality"
    tail.tick(30.0)
    assert tail.why(1) is None


def test_the_end_of_a_call_said_twice_is_said_once() -> None:
    tail = held((1, "a"))
    tail.over(1, 10.0)
    tail.over(1, 14.0)
    tail.tick(15.0)
    assert tail.held == 0


def test_a_trace_too_long_keeps_its_first_span_and_its_last() -> None:
    tail = held(*((1, name) for name in "abcdef"))
    assert tail.overflowed == 2
    assert list(tail.keep(1, "failed", 1.0)) == ["a", "d", "e", "f"]


def test_with_too_many_held_the_oldest_trace_goes() -> None:
    tail = held(*((1, name) for name in "abc"), *((2, name) for name in "xyz"), (3, "m"))
    assert (tail.held, tail.overflowed) == (4, 3)
    assert list(tail.keep(1, "failed", 1.0)) == []
    assert list(tail.keep(2, "failed", 1.0)) == ["x", "y", "z"]


def test_the_oldest_trace_is_not_its_own_victim() -> None:
    tail = held((1, "a"), (2, "x"), (2, "y"), (2, "z"), (1, "b"), (1, "c"), (1, "d"))
    assert list(tail.keep(1, "failed", 1.0)) == ["a", "b", "c", "d"]
    assert tail.overflowed == 3


def test_one_trace_alone_loses_single_spans() -> None:
    tail: HeldSpans[str] = HeldSpans(Bounds(spans=2, spans_a_trace=5))
    for name in "abc":
        tail.ended(1, name, 0.0)
    assert list(tail.keep(1, "failed", 1.0)) == ["a", "c"]


def test_a_trace_whose_end_nobody_tells_goes_with_its_age() -> None:
    tail = held((1, "a"))
    tail.ended(2, "x", 50.0)
    tail.tick(100.0)
    assert (tail.held, tail.overflowed) == (1, 1)


def test_only_so_many_traces_are_remembered() -> None:
    tail = held()
    for trace_id in range(10):
        tail.keep(trace_id, "failed", 0.0)
        tail.over(trace_id + 100, 0.0)
    assert [one for one in range(10) if tail.why(one)] == [7, 8, 9]
    tail.tick(1000.0)


class Held(RuleBasedStateMachine):
    """Against a model that has no bounds: what comes out is what went in, in order, and nothing is counted twice."""

    def __init__(self) -> None:
        super().__init__()
        self.tail: HeldSpans[tuple[int, int]] = HeldSpans(BOUNDS)
        self.now = 0.0
        self.ended = 0
        self.given: dict[int, list[tuple[int, int]]] = {}
        self.in_all = 0

    @rule(trace_id=st.integers(0, 5))
    def a_span_ends(self, trace_id: int) -> None:
        self.ended += 1
        span = (trace_id, self.ended)
        self.tail.tick(self.now)
        kept = self.tail.why(trace_id)
        why = self.tail.ended(trace_id, span, self.now)
        assert kept is None or why == kept
        if why is not None:
            self.give(trace_id, [span])

    @rule(trace_id=st.integers(0, 5))
    def somebody_wants_it(self, trace_id: int) -> None:
        self.give(trace_id, list(self.tail.keep(trace_id, "slow", self.now)))
        assert self.tail.why(trace_id) == "slow"

    @rule(trace_id=st.integers(0, 5))
    def the_call_ends(self, trace_id: int) -> None:
        self.tail.over(trace_id, self.now)

    @rule(seconds=st.sampled_from((0.5, 4.0, 6.0, 30.0)))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.ended > 0)
    @rule()
    def all_is_over(self) -> None:
        for trace_id in range(6):
            self.tail.over(trace_id, self.now)
        self.now += 200
        self.tail.tick(self.now)
        assert self.tail.held == 0

    def give(self, trace_id: int, spans: list[tuple[int, int]]) -> None:
        assert all(one[0] == trace_id for one in spans)
        known = self.given.setdefault(trace_id, [])
        known += spans
        assert known == sorted(set(known))
        self.in_all += len(spans)

    @invariant()
    def within_bounds_and_all_accounted_for(self) -> None:
        assert 0 <= self.tail.held <= BOUNDS.spans
        assert self.in_all + self.tail.held + self.tail.unsampled + self.tail.overflowed == self.ended


TestHeld = Held.TestCase
