"""What the store answers: calls by their summaries, traces by what is in them."""

from dataclasses import replace
from pathlib import Path

import pytest

from services.common.telemetry import names
from services.common.telemetry.store import TraceStore
from services.common.telemetry.storedspan import Span
from services.common.telemetry.tracereader import SearchTooWide, TraceQuery, TraceReader

NOW_NS = 1_800_000_000_000_000_000
SECOND = 10**9


def span(trace: int, number: int, name: str, at_s: float = 0, ms: float = 100, **fields: object) -> Span:
    start = NOW_NS + int(at_s * SECOND)
    made = Span(f"{trace:032x}", f"{number:016x}", "" if number == 1 else f"{1:016x}", "brain", name, start, start)
    return replace(made, end_ns=start + int(ms * 1e6), **fields)  # type: ignore[arg-type]


def call(trace: int, call_id: str, at_s: float, *latencies_ms: float) -> list[Span]:
    root = span(trace, 1, names.CALL_SETUP, at_s, service="gateway", attributes={names.CALL_ID: call_id})
    turns = [
        span(
            trace,
            index + 2,
            names.TURN,
            at_s + 1 + index,
            attributes={
                names.TURN_INDEX: index,
                names.TURN_EAR_LATENCY_MS: ms,
                f"{names.TURN_PART_MS}.asr": ms / 4,
                f"{names.TURN_PART_MS}.tool": ms / 2,
            },
        )
        for index, ms in enumerate(latencies_ms)
    ]
    return [root, *turns]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    store = TraceStore(tmp_path / "t.db")
    store.add(call(1, "c1", 0, 300.0, 900.0, 500.0), NOW_NS / 1e9)
    store.add(call(2, "c2", 100, 4000.0), NOW_NS / 1e9)
    store.add(call(3, "c3", 200), NOW_NS / 1e9)
    refused = span(4, 1, names.CALL_SETUP, 300, attributes={names.CALL_ID: "c4", names.SIP_STATUS: 503}, status="error")
    tool = {
        "service": "brain",
        "kind": "client",
        "attributes": {names.TOOL_OK: False, names.TOOL_ATTEMPTS: 2, "b": "c:d"},
        "status": "error",
        "resource": {"service.instance.id": "brain-7"},
    }
    store.add([refused, span(1, 9, "execute_tool book", 2, 3100, **tool)], NOW_NS / 1e9)
    return tmp_path / "t.db"


def test_slow_calls_by_their_worst_turn(database: Path) -> None:
    with TraceReader(database) as reader:
        slow = reader.slow_calls()
        late = reader.slow_calls(since_ns=NOW_NS + 50 * SECOND)
    told = [(one.call_id, one.summary.worst_ms, one.summary.worst_turn, one.summary.worst_part) for one in slow]
    assert told == [("c2", 4000.0, 0, "tool"), ("c1", 900.0, 1, "tool")]
    assert [one.call_id for one in late] == ["c2"]


def test_a_failed_tool_is_an_error_and_a_refused_call_a_failure(database: Path) -> None:
    with TraceReader(database) as reader:
        assert [(one.call_id, one.summary.failed) for one in reader.failed_calls()] == [("c4", "call.setup: 503")]
        assert {one.call_id: one.errors for one in reader.recent_calls()} == {"c1": 1, "c2": 0, "c3": 0, "c4": 1}


def test_a_leg_with_an_id_of_its_own_is_found_but_not_listed(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db")
    leg = span(1, 5, names.CALL_SETUP, 30, attributes={names.CALL_ID: "leg"})
    store.add([leg], NOW_NS / 1e9)
    store.add(call(1, "c1", 0, 100.0), NOW_NS / 1e9)
    with TraceReader(tmp_path / "t.db") as reader:
        assert [one.call_id for one in reader.recent_calls()] == ["c1"]
        assert reader.trace_of_call("leg") == reader.trace_of_call("c1")


def test_two_traces_of_a_call_are_one_line(tmp_path: Path) -> None:
    store = TraceStore(tmp_path / "t.db")
    store.add(call(1, "c1", 10, 100.0), NOW_NS / 1e9)
    store.add(call(2, "c1", 0, 700.0, 50.0), NOW_NS / 1e9)
    with TraceReader(tmp_path / "t.db") as reader:
        (one,) = reader.recent_calls()
        assert len(reader.trace_of_call("c1")) == 5
    assert (one.trace_id, one.turns, one.spans, one.summary.worst_ms) == (f"{2:032x}", 3, 5, 700.0)
    assert (one.started_ns, one.duration_ns) == (NOW_NS, 11 * SECOND + SECOND // 10)


@pytest.mark.parametrize(
    ("query", "traces"),
    [
        (TraceQuery("gateway"), [3, 2, 1]),
        (TraceQuery("gateway", limit=2), [3, 2]),
        (TraceQuery("gateway", names.CALL_SETUP), [3, 2, 1]),
        (TraceQuery("gateway", names.TURN), []),
        (TraceQuery("nobody"), []),
        (TraceQuery(), [4, 3, 2, 1]),
        (TraceQuery("brain", min_ns=3 * SECOND), [1]),
        (TraceQuery("brain", names.TURN, min_ns=3 * SECOND), []),
        (TraceQuery("brain", max_ns=SECOND), [4, 2, 1]),
        (TraceQuery("brain", tags={"error": "true"}), [4, 1]),
        (TraceQuery("brain", tags={"error": "false"}), []),
        (TraceQuery("brain", tags={"otel.status_code": "ERROR"}), [4, 1]),
        (TraceQuery("brain", tags={"span.kind": "client"}), [1]),
        (TraceQuery("brain", tags={names.TOOL_OK: "false", names.TOOL_ATTEMPTS: "2"}), [1]),
        (TraceQuery("brain", tags={names.TOOL_OK: "true"}), []),
        (TraceQuery("brain", tags={"b": "c:d", "service.instance.id": "brain-7"}), [1]),
        (TraceQuery("brain", tags={names.CALL_ID: "c2"}), [2]),
        (TraceQuery("brain", tags={names.TURN_EAR_LATENCY_MS: "900.0"}), [1]),
        (TraceQuery("gateway", start_ns=NOW_NS + 150 * SECOND), [3]),
        (TraceQuery("gateway", end_ns=NOW_NS + 150 * SECOND), [2, 1]),
        # Begun before, and still under way.
        (TraceQuery("brain", start_ns=NOW_NS + SECOND, end_ns=NOW_NS + 4 * SECOND), [1]),
    ],
)
def test_traces_with_a_span_that_is_all_of_this(database: Path, query: TraceQuery, traces: list[int]) -> None:
    with TraceReader(database) as reader:
        assert reader.find(query) == [f"{number:032x}" for number in traces]


def test_a_search_that_takes_too_long_is_given_up(database: Path) -> None:
    store = TraceStore(database)
    store.add([span(5, number, names.TURN) for number in range(1, 4000)], NOW_NS / 1e9)
    with TraceReader(database) as reader:
        with pytest.raises(SearchTooWide, match="gave up after 0 s: ask for less time"):
            reader.find(TraceQuery("brain", tags={"x": "y"}, min_ns=1), within_s=0)
        # The reader can still be used.
        assert len(reader.find(TraceQuery("gateway"))) == 3


def test_services_operations_and_who_calls_whom(database: Path) -> None:
    with TraceReader(database) as reader:
        assert reader.services() == ["brain", "gateway"]
        assert reader.operations("brain") == [
            ("call.setup", "internal"),
            ("execute_tool book", "client"),
            ("turn", "internal"),
        ]
        assert reader.operations("brain", "client") == [("execute_tool book", "client")]
        assert reader.dependencies(0, 2**62) == [("gateway", "brain", 5)]
        assert reader.dependencies(0, NOW_NS - 1) == []
