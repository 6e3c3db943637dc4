"""OTLP's spans become the store's, whatever is in them."""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from services.common.telemetry.otlp import spans_of, value_of
from services.common.telemetry.store import SpanEvent


def request(*spans: Span, service: str = "tts") -> ExportTraceServiceRequest:
    name = [KeyValue(key="service.name", value=AnyValue(string_value=service))] if service else []
    of_resource = ResourceSpans(resource=Resource(attributes=name), scope_spans=[ScopeSpans(spans=spans)])
    return ExportTraceServiceRequest(resource_spans=[of_resource])


def otlp_span(**fields: object) -> Span:
    return Span(**({"trace_id": b"\x01" * 16, "span_id": b"\x02" * 8, "name": "x"} | fields))  # type: ignore[arg-type]


def test_all_of_a_span() -> None:
    values = {
        "s": AnyValue(string_value="ä"),
        "b": AnyValue(bool_value=False),
        "i": AnyValue(int_value=-3),
        "d": AnyValue(double_value=0.5),
        "a": AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="x")])),
        "k": AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="n", value=AnyValue(int_value=1))])),
        "y": AnyValue(bytes_value=b"\xff"),
        "none": AnyValue(),
    }
    (span,) = spans_of(
        request(
            otlp_span(
                parent_span_id=b"\x03" * 8,
                start_time_unix_nano=5,
                end_time_unix_nano=9,
                status=Status(code=Status.STATUS_CODE_ERROR, message="no"),
                attributes=[KeyValue(key=key, value=value) for key, value in values.items()],
                events=[Span.Event(name="e", time_unix_nano=7)],
            )
        )
    )
    assert (span.trace_id, span.span_id, span.parent_id) == ("01" * 16, "02" * 8, "03" * 8)
    assert (span.service, span.name, span.start_ns, span.end_ns) == ("tts", "x", 5, 9)
    assert (span.status, span.status_message) == ("error", "no")
    assert span.attributes == {
        "s": "ä",
        "b": False,
        "i": -3,
        "d": 0.5,
        "a": [1, "x"],
        "k": {"n": 1},
        "y": "ff",
        "none": None,
    }
    assert span.events == (SpanEvent("e", 7),)


def test_spans_without_ids_are_left_out() -> None:
    assert list(spans_of(request(otlp_span(trace_id=b""), otlp_span(span_id=b"\x01")))) == []


def test_a_resource_without_a_name_and_a_time_beyond_sqlite() -> None:
    (span,) = spans_of(request(otlp_span(end_time_unix_nano=2**64 - 1), service=""))
    assert (span.service, span.end_ns) == ("unknown_service", 2**63 - 1)


def test_what_json_has_no_number_for_is_text() -> None:
    assert [value_of(AnyValue(double_value=float(one))) for one in ("nan", "-inf")] == ["nan", "-inf"]
