"""What the bench of telemetry makes of its runs, and the calls that it copies."""

import pytest

from bench.telemetryload.overhead import Run, summary
from bench.telemetryload.query import copies
from services.common.telemetry import names
from services.common.telemetry.store import Span, SpanEvent, SpanLink


def run(traced: bool, services_s: float, seconds: float = 10.0, failed: int = 0) -> Run:
    return Run(traced, seconds, services_s, {"brain": services_s}, 0.1 if traced else 0.0, 50, failed, 300, 100)


def test_the_median_of_the_pairs_in_whichever_order() -> None:
    runs = [run(False, 5.0), run(True, 5.1), run(True, 5.2), run(False, 5.0), run(False, 5.0), run(True, 10.8, 20.0)]
    told = summary(runs)
    assert told["cpu_overhead_pct"] == pytest.approx(4.0)
    assert told["cpu_overhead_pct_of_pairs"] == pytest.approx([2.0, 4.0, 8.0])
    assert told["cpu_pct_of_a_core"]["receiver"] == 1.0
    assert told["pairs_with_failed_calls"] == 0


def test_a_pair_with_failed_calls_is_left_out() -> None:
    told = summary([run(False, 5.0), run(True, 5.1), run(True, 2.0, failed=3), run(False, 5.0)])
    assert told["cpu_overhead_pct_of_pairs"] == pytest.approx([2.0])
    assert told["pairs_with_failed_calls"] == 1
    assert summary([run(False, 5.0, failed=1), run(True, 5.1)])["cpu_overhead_pct"] == pytest.approx(2.0)


def test_a_copied_call_is_whole_and_its_own() -> None:
    root = Span("aa" * 16, "01" * 8, "", "gateway", names.CALL_SETUP, 1000, 2000, attributes={names.CALL_ID: "c1"})
    turn = Span(
        "aa" * 16,
        "02" * 8,
        "01" * 8,
        "brain",
        names.TURN,
        1500,
        1800,
        events=(SpanEvent("dead air", 1600),),
        links=(SpanLink("aa" * 16, "01" * 8),),
    )
    first, second = copies([root, turn], 2, 10**18)
    assert len({one.trace_id for one in first}) == 1
    assert first[0].trace_id != second[0].trace_id != root.trace_id
    for its_root, its_turn in (first, second):
        assert its_turn.parent_id == its_root.span_id == its_turn.links[0].span_id
        assert its_turn.links[0].trace_id == its_turn.trace_id
        assert its_turn.start_ns - its_root.start_ns == 500
        assert its_turn.events[0].time_ns - its_turn.start_ns == 100
        assert its_root.attributes[names.CALL_ID] != "c1"
    assert first[0].start_ns < second[0].start_ns < 10**18
