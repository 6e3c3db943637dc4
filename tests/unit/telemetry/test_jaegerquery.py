"""Parameters of Jaeger's API: what is read from them, and what is refused with which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.telemetry.jaegerquery import (
    MAX_TRACES,
    BadQuery,
    dependency_range,
    duration_ns,
    moment_ns,
    search,
    search_v3,
    trace_id_of,
)
from services.common.telemetry.tracereader import TraceQuery

NOW_NS = 1_800_000_000_000_000_000
HOUR_NS = 3600 * 10**9
TWO_DAYS_NS = 48 * HOUR_NS
V3 = {"query.startTimeMin": "2026-11-23T14:30:00Z", "query.startTimeMax": "2026-11-23T15:30:00.5Z"}
MIN_NS, MAX_NS = 1_795_444_200_000_000_000, 1_795_447_800_500_000_000


@pytest.mark.parametrize(
    ("given", "query"),
    [
        # Grafana's search: no times, tags as JSON.
        (
            {"service": "brain", "tags": '{"error":"true"}', "limit": "20"},
            TraceQuery("brain", "", {"error": "true"}, NOW_NS - TWO_DAYS_NS, NOW_NS),
        ),
        # Jaeger UI's: times in µs, and a lookback that they already hold.
        (
            {
                "service": "gateway",
                "operation": "call.setup",
                "start": "1799996400000000",
                "end": "1800000000000000",
                "lookback": "custom",
                "minDuration": "1.5s",
                "maxDuration": "1m",
                "limit": "5",
            },
            TraceQuery("gateway", "call.setup", {}, NOW_NS - HOUR_NS, NOW_NS, 1_500_000_000, 60_000_000_000, 5),
        ),
        ({"service": "x", "lookback": "1h"}, TraceQuery("x", start_ns=NOW_NS - HOUR_NS, end_ns=NOW_NS)),
        ({"service": "x", "lookback": "2d"}, TraceQuery("x", start_ns=NOW_NS - TWO_DAYS_NS, end_ns=NOW_NS)),
        (
            {"service": "x", "limit": "1500"},
            TraceQuery("x", start_ns=NOW_NS - TWO_DAYS_NS, end_ns=NOW_NS, limit=MAX_TRACES),
        ),
    ],
)
def test_a_search_as_uis_send_it(given: dict[str, str], query: TraceQuery) -> None:
    assert search(given, [], [], NOW_NS).query == query


def test_tags_one_by_one_and_traces_by_id() -> None:
    assert search({"service": "x"}, ["a:b:c", "d:"], [], NOW_NS).query.tags == {"a": "b:c", "d": ""}
    assert search({}, [], ["ab", "CD"], NOW_NS).trace_ids == ("0" * 30 + "ab", "0" * 30 + "cd")


@pytest.mark.parametrize(
    ("given", "tags", "message"),
    [
        ({}, [], "parameter 'service' is required"),
        ({"service": "x", "limit": "many"}, [], "unable to parse param 'limit': expected a whole number, not 'many'"),
        ({"service": "x", "limit": "0"}, [], "unable to parse param 'limit': expected a number from 1 to"),
        ({"service": "x", "start": "yesterday"}, [], "unable to parse param 'start'"),
        ({"service": "x", "start": "9", "end": "8"}, [], "'start' should be before 'end'"),
        ({"service": "x", "minDuration": "3"}, [], "unable to parse param 'minDuration': expected a duration such as"),
        ({"service": "x", "minDuration": "2s", "maxDuration": "1s"}, [], "'maxDuration' should be greater than 'minD"),
        ({"service": "x", "tags": "a=b"}, [], "malformed 'tags' parameter, expected JSON of strings by name"),
        ({"service": "x", "tags": '{"a":1}'}, [], "malformed 'tags' parameter"),
        ({"service": "x", "tags": "[" * 5000}, [], "malformed 'tags' parameter"),
        ({"service": "x", "tags": '{"a": "\\ud800"}'}, [], "malformed 'tags' parameter"),
        ({"service": "x"}, ["novalue"], "malformed 'tag' parameter, expected key:value, not 'novalue'"),
        ({"service": "x", "lookback": "long"}, [], "unable to parse param 'lookback'"),
    ],
)
def test_what_is_refused(given: dict[str, str], tags: list[str], message: str) -> None:
    with pytest.raises(BadQuery) as refused:
        search(given, tags, [], NOW_NS)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    "given",
    [
        {
            "query.serviceName": "brain",
            "query.operationName": "turn",
            "query.searchDepth": "7",
            "query.durationMin": "100ms",
            "query.attributes": '{"a":"b"}',
        },
        {
            "query.service_name": "brain",
            "query.operation_name": "turn",
            "query.num_traces": "7",
            "query.duration_min": "100ms",
            "query.attributes": '{"a":"b"}',
        },
    ],
)
def test_a_search_of_version_3_in_both_spellings(given: dict[str, str]) -> None:
    query = TraceQuery("brain", "turn", {"a": "b"}, MIN_NS, MAX_NS, 100_000_000, None, 7)
    assert search_v3(V3 | given) == query


def test_version_3_wants_times_and_knows_no_filter() -> None:
    assert search_v3(V3).limit == 100
    with pytest.raises(BadQuery, match="are required"):
        search_v3({"query.serviceName": "brain"})
    with pytest.raises(BadQuery, match="filter is not supported here"):
        search_v3(V3 | {"query.filter": "{}"})
    with pytest.raises(BadQuery, match="startTimeMax: expected a time such as"):
        search_v3(V3 | {"query.startTimeMax": "now"})


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1s", 10**9),
        ("1.2s", 1_200_000_000),
        ("100ms", 10**8),
        ("500us", 500_000),
        ("7µs", 7_000),
        ("1m30s", 9 * 10**10),
        ("9" * 400 + "s", 2**63 - 1),
    ],
)
def test_durations_as_go_writes_them(text: str, ns: int) -> None:
    assert duration_ns("minDuration", text) == ns


@pytest.mark.parametrize(
    ("text", "trace_id"),
    [
        ("abc", "0" * 29 + "abc"),
        ("A" * 32, "a" * 32),
        ("AAAAAAAAAAAAAAAAAAAAAQ==", "0" * 31 + "1"),
        ("_____________________w", "f" * 32),
    ],
)
def test_trace_ids_in_hex_and_base64(text: str, trace_id: str) -> None:
    assert trace_id_of(text) == trace_id


@pytest.mark.parametrize("text", ["", "xyz", "é" * 22, "a" * 33, "../etc", "%00"])
def test_what_is_no_trace_id(text: str) -> None:
    with pytest.raises(BadQuery, match="expected a trace id of up to 32 hex digits"):
        trace_id_of(text)


def test_the_time_of_dependencies() -> None:
    assert dependency_range({"endTs": "1800000000000", "lookback": "3600000"}, 1) == (NOW_NS - HOUR_NS, NOW_NS)
    assert dependency_range({}, NOW_NS) == (NOW_NS - 24 * HOUR_NS, NOW_NS)


def test_a_zone_whose_plus_was_not_escaped() -> None:
    assert moment_ns("t", "2026-11-23T15:30:00 01:00") == MIN_NS


@given(
    st.dictionaries(
        st.sampled_from(["service", "start", "end", "limit", "minDuration", "maxDuration", "tags", "lookback"]),
        st.text(max_size=30) | st.integers().map(str),
    ),
    st.lists(st.text(max_size=8), max_size=2),
    st.lists(st.text(max_size=33), max_size=2),
)
def test_whatever_comes_is_read_or_refused(given: dict[str, str], tags: list[str], ids: list[str]) -> None:
    try:
        query = search(given, tags, ids, NOW_NS).query
    except BadQuery:
        return
    assert 1 <= query.limit <= MAX_TRACES
    assert max(query.start_ns, query.end_ns) < 2**63


def test_a_time_beyond_the_last_is_the_last() -> None:
    assert moment_ns("x", "9999-12-31T00:00:00Z") == 2**63 - 1
    assert moment_ns("x", "0001-01-01T00:00:00Z") == -1
