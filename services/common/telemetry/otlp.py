"""Spans as OTLP carries them (opentelemetry-proto, trace/v1/trace.proto) into the store's."""

import math
from collections.abc import Iterable, Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from services.common.telemetry.storedspan import Attribute, Span, SpanEvent, SpanLink

SERVICE = "service.name"
_KIND = {
    OtlpSpan.SPAN_KIND_INTERNAL: "internal",
    OtlpSpan.SPAN_KIND_SERVER: "server",
    OtlpSpan.SPAN_KIND_CLIENT: "client",
    OtlpSpan.SPAN_KIND_PRODUCER: "producer",
    OtlpSpan.SPAN_KIND_CONSUMER: "consumer",
}
_STATUS = {Status.STATUS_CODE_OK: "ok", Status.STATUS_CODE_ERROR: "error"}


def spans_of(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """Every span of an export; one without ids is left out, as the protocol has it (it is invalid)."""
    for of_resource in request.resource_spans:
        resource = attributes_of(of_resource.resource.attributes)
        service = str(resource.pop(SERVICE, "unknown_service"))
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                if len(span.trace_id) == 16 and len(span.span_id) == 8:
                    yield _span(span, service, resource)


def _span(span: OtlpSpan, service: str, resource: dict[str, Attribute]) -> Span:
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        service=service,
        name=span.name,
        start_ns=_signed(span.start_time_unix_nano),
        end_ns=_signed(span.end_time_unix_nano),
        status=_STATUS.get(span.status.code, "unset"),
        status_message=span.status.message,
        attributes=attributes_of(span.attributes),
        events=tuple(
            SpanEvent(one.name, _signed(one.time_unix_nano), attributes_of(one.attributes)) for one in span.events
        ),
        links=tuple(
            SpanLink(one.trace_id.hex(), one.span_id.hex(), attributes_of(one.attributes)) for one in span.links
        ),
        kind=_KIND.get(span.kind, "unspecified"),
        resource=resource,
    )


def _signed(time_ns: int) -> int:
    """fixed64 on the wire, but SQLite's integers end at 2**63-1."""
    return min(time_ns, 2**63 - 1)


def attributes_of(attributes: Iterable[KeyValue]) -> dict[str, Attribute]:
    return {one.key: value_of(one.value) for one in attributes}


def value_of(value: AnyValue) -> Attribute:
    """As JSON knows it; bytes as hex."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            # JSON has no NaN: a browser would refuse the whole answer.
            return value.double_value if math.isfinite(value.double_value) else str(value.double_value)
        case "array_value":
            return [value_of(one) for one in value.array_value.values]
        case "kvlist_value":
            return dict(attributes_of(value.kvlist_value.values))
        case "bytes_value":
            return value.bytes_value.hex()
    return None
