"""A trace as Jaeger's UI and its API version 3 write it. The examples follow internal/uimodel's fixtures and OTLP's."""

import json

from google.protobuf.json_format import Parse
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from services.common.telemetry.jaegerjson import otlp, trace_summary, ui_trace
from services.common.telemetry.storedspan import Span, SpanEvent, SpanLink

TRACE, OTHER = "0" * 31 + "1", "0" * 31 + "2"
SETUP = Span(
    TRACE,
    "00000000000000a1",
    "",
    "gateway",
    "call.setup",
    1_485_467_191_639_875_123,
    1_485_467_191_639_880_123,
    attributes={"sip.status": 200, "big": 2**60, "f": 72.5, "yes": True, "list": ["a", 1], "none": None},
    kind="server",
    resource={"service.instance.id": "gateway-0"},
)
TURN = Span(
    TRACE,
    "00000000000000a2",
    "00000000000000a1",
    "brain",
    "turn",
    1_485_467_191_639_900_000,
    1_485_467_191_639_950_000,
    "error",
    "nobody answered",
    {},
    (SpanEvent("dead air", 1_485_467_191_639_910_000, {"ms": 3}),),
    (SpanLink(OTHER, "00000000000000b1"), SpanLink(TRACE, "00000000000000a1", {"why": "x"})),
)


def test_a_trace_for_the_ui() -> None:
    assert ui_trace([SETUP, TURN]) == {
        "traceID": TRACE,
        "spans": [
            {
                "traceID": TRACE,
                "spanID": "00000000000000a1",
                "operationName": "call.setup",
                "references": [],
                "startTime": 1_485_467_191_639_875,
                "duration": 5,
                "tags": [
                    {"key": "sip.status", "type": "int64", "value": 200},
                    {"key": "big", "type": "int64", "value": "1152921504606846976"},
                    {"key": "f", "type": "float64", "value": 72.5},
                    {"key": "yes", "type": "bool", "value": True},
                    {"key": "list", "type": "string", "value": '["a", 1]'},
                    {"key": "none", "type": "string", "value": "null"},
                    {"key": "span.kind", "type": "string", "value": "server"},
                ],
                "logs": [],
                "processID": "p1",
                "warnings": None,
            },
            {
                "traceID": TRACE,
                "spanID": "00000000000000a2",
                "operationName": "turn",
                "references": [
                    {"refType": "CHILD_OF", "traceID": TRACE, "spanID": "00000000000000a1"},
                    {"refType": "FOLLOWS_FROM", "traceID": OTHER, "spanID": "00000000000000b1"},
                    {"refType": "FOLLOWS_FROM", "traceID": TRACE, "spanID": "00000000000000a1"},
                ],
                "startTime": 1_485_467_191_639_900,
                "duration": 50,
                "tags": [
                    {"key": "span.kind", "type": "string", "value": "internal"},
                    {"key": "otel.status_code", "type": "string", "value": "ERROR"},
                    {"key": "otel.status_description", "type": "string", "value": "nobody answered"},
                    {"key": "error", "type": "bool", "value": True},
                ],
                "logs": [
                    {
                        "timestamp": 1_485_467_191_639_910,
                        "fields": [
                            {"key": "event", "type": "string", "value": "dead air"},
                            {"key": "ms", "type": "int64", "value": 3},
                        ],
                    }
                ],
                "processID": "p2",
                "warnings": None,
            },
        ],
        "processes": {
            "p1": {
                "serviceName": "gateway",
                "tags": [{"key": "service.instance.id", "type": "string", "value": "gateway-0"}],
            },
            "p2": {"serviceName": "brain", "tags": []},
        },
        "warnings": None,
    }


def test_a_trace_of_version_3() -> None:
    (gateway, brain) = otlp([SETUP, TURN])["resourceSpans"]
    assert gateway["resource"]["attributes"] == [
        {"key": "service.name", "value": {"stringValue": "gateway"}},
        {"key": "service.instance.id", "value": {"stringValue": "gateway-0"}},
    ]
    (setup,) = gateway["scopeSpans"][0]["spans"]
    assert setup == {
        "traceId": TRACE,
        "spanId": "00000000000000a1",
        "name": "call.setup",
        "kind": 2,
        "attributes": [
            {"key": "sip.status", "value": {"intValue": "200"}},
            {"key": "big", "value": {"intValue": "1152921504606846976"}},
            {"key": "f", "value": {"doubleValue": 72.5}},
            {"key": "yes", "value": {"boolValue": True}},
            {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}]}}},
            {"key": "none", "value": {}},
        ],
        "startTimeUnixNano": "1485467191639875123",
        "endTimeUnixNano": "1485467191639880123",
        "status": {},
    }
    (turn,) = brain["scopeSpans"][0]["spans"]
    assert turn["parentSpanId"] == "00000000000000a1"
    assert turn["status"] == {"code": 2, "message": "nobody answered"}
    assert turn["links"][0] == {"traceId": OTHER, "spanId": "00000000000000b1"}
    assert turn["events"][0]["timeUnixNano"] == "1485467191639910000"


def test_it_is_otlp_but_for_the_ids_that_are_in_hex() -> None:
    read = Parse(json.dumps(otlp([SETUP, TURN])), TracesData())
    spans = [span for one in read.resource_spans for scope in one.scope_spans for span in scope.spans]
    assert [span.name for span in spans] == ["call.setup", "turn"]
    assert spans[1].status.message == "nobody answered"


def test_a_summary() -> None:
    assert trace_summary([SETUP, TURN]) == {
        "traceId": TRACE,
        "rootServiceName": "gateway",
        "rootOperationName": "call.setup",
        "minStartTimeUnixNano": "1485467191639875123",
        "maxEndTimeUnixNano": "1485467191639950000",
        "spanCount": 2,
        "errorSpanCount": 1,
        "services": [
            {"name": "brain", "spanCount": 1, "errorSpanCount": 1},
            {"name": "gateway", "spanCount": 1},
        ],
    }
    assert trace_summary([TURN])["orphanSpanCount"] == 1
