"""Traces as Jaeger's query API writes them: `/api/…` in the UI's own JSON, `/api/v3/…` in OTLP's.

Shapes: internal/uimodel of jaegertracing/jaeger, and opentelemetry-proto's JSON mapping (ids in hex, 64-bit integers as
strings, enums as numbers).
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from services.common.telemetry.storedspan import Attribute, Span, SpanEvent

SERVICE = "service.name"
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUS_CODES = {"ok": 1, "error": 2}
# Beyond this a JavaScript number is no integer.
_SAFE_INTEGER = 2**53 - 1


def ui_trace(spans: Sequence[Span]) -> dict[str, Any]:
    """One trace, by start. A link is a reference of the kind FOLLOWS_FROM."""
    processes: dict[str, str] = {}
    written: dict[str, dict[str, Any]] = {}
    made = []
    for span in spans:
        process = json.dumps([span.service, span.resource], sort_keys=True)
        if (key := processes.get(process)) is None:
            key = processes[process] = f"p{len(processes) + 1}"
            written[key] = {"serviceName": span.service, "tags": _tags(span.resource)}
        made.append(_ui_span(span, key))
    return {"traceID": spans[0].trace_id, "spans": made, "processes": written, "warnings": None}


def _ui_span(span: Span, process: str) -> dict[str, Any]:
    references = [(span.trace_id, span.parent_id, "CHILD_OF")] if span.parent_id else []
    references += [(link.trace_id, link.span_id, "FOLLOWS_FROM") for link in span.links]
    tags = _tags(span.attributes)
    if span.kind != "unspecified":
        tags.append(_tag("span.kind", span.kind))
    if span.status != "unset":
        tags.append(_tag("otel.status_code", span.status.upper()))
    if span.status_message:
        tags.append(_tag("otel.status_description", span.status_message))
    if span.status == "error":
        tags.append(_tag("error", True))
    return {
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "operationName": span.name,
        "references": [
            {"refType": kind, "traceID": trace_id, "spanID": span_id} for trace_id, span_id, kind in references
        ],
        "startTime": span.start_ns // 1_000,
        "duration": max(0, span.end_ns - span.start_ns) // 1_000,
        "tags": tags,
        "logs": [
            {"timestamp": one.time_ns // 1_000, "fields": [_tag("event", one.name), *_tags(one.attributes)]}
            for one in span.events
        ],
        "processID": process,
        "warnings": None,
    }


def _tags(attributes: dict[str, Attribute]) -> list[dict[str, Any]]:
    return [_tag(key, value) for key, value in attributes.items()]


def _tag(key: str, value: Attribute) -> dict[str, Any]:
    match value:
        case bool():
            return {"key": key, "type": "bool", "value": value}
        case int():
            return {"key": key, "type": "int64", "value": value if abs(value) <= _SAFE_INTEGER else str(value)}
        case float():
            return {"key": key, "type": "float64", "value": value}
        case str():
            return {"key": key, "type": "string", "value": value}
    return {"key": key, "type": "string", "value": json.dumps(value, ensure_ascii=False)}


def otlp(spans: Iterable[Span]) -> dict[str, Any]:
    """`{"resourceSpans": …}`, of one trace or several."""
    resources: dict[str, dict[str, Any]] = {}
    for span in spans:
        key = json.dumps([span.trace_id, span.service, span.resource], sort_keys=True)
        if key not in resources:
            attributes = _otlp_attributes({SERVICE: span.service, **span.resource})
            resources[key] = {"resource": {"attributes": attributes}, "scopeSpans": [{"scope": {}, "spans": []}]}
        resources[key]["scopeSpans"][0]["spans"].append(_otlp_span(span))
    return {"resourceSpans": list(resources.values())}


def _otlp_span(span: Span) -> dict[str, Any]:
    """What is empty is left out, as protobuf's JSON has it."""
    made: dict[str, Any] = {"traceId": span.trace_id, "spanId": span.span_id, "name": span.name}
    status: dict[str, Any] = {"code": _STATUS_CODES[span.status]} if span.status in _STATUS_CODES else {}
    optional = {
        "parentSpanId": span.parent_id,
        "kind": _KINDS.index(span.kind),
        "attributes": _otlp_attributes(span.attributes),
        "events": [_otlp_event(one) for one in span.events],
        "links": [
            {"traceId": one.trace_id, "spanId": one.span_id}
            | ({"attributes": _otlp_attributes(one.attributes)} if one.attributes else {})
            for one in span.links
        ],
    }
    made |= {key: value for key, value in optional.items() if value}
    made |= {"startTimeUnixNano": str(span.start_ns), "endTimeUnixNano": str(span.end_ns)}
    return made | {"status": status | ({"message": span.status_message} if span.status_message else {})}


def _otlp_event(event: SpanEvent) -> dict[str, Any]:
    made: dict[str, Any] = {"timeUnixNano": str(event.time_ns), "name": event.name}
    return made | ({"attributes": _otlp_attributes(event.attributes)} if event.attributes else {})


def _otlp_attributes(attributes: dict[str, Attribute]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _otlp_value(value)} for key, value in attributes.items()]


def _otlp_value(value: Attribute) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case list():
            return {"arrayValue": {"values": [_otlp_value(one) for one in value]}}
        case dict():
            return {"kvlistValue": {"values": _otlp_attributes(value)}}
    return {}


def trace_summary(spans: Sequence[Span]) -> dict[str, Any]:
    """Of one trace, as `/api/v3/trace-summaries` lists it."""
    known = {span.span_id for span in spans}
    root = next((span for span in spans if not span.parent_id), None)
    root = root or next((span for span in spans if span.parent_id not in known), spans[0])
    services: dict[str, list[Span]] = {}
    for span in spans:
        services.setdefault(span.service, []).append(span)
    made: dict[str, Any] = {
        "traceId": spans[0].trace_id,
        "rootServiceName": root.service,
        "rootOperationName": root.name,
        "minStartTimeUnixNano": str(min(span.start_ns for span in spans)),
        "maxEndTimeUnixNano": str(max(span.end_ns for span in spans)),
        **_counts(spans),
    }
    made["services"] = [{"name": name, **_counts(group)} for name, group in sorted(services.items())]
    orphans = sum(bool(span.parent_id) and span.parent_id not in known for span in spans)
    return made | ({"orphanSpanCount": orphans} if orphans else {})


def _counts(spans: Sequence[Span]) -> dict[str, int]:
    errors = sum(span.status == "error" for span in spans)
    return {"spanCount": len(spans)} | ({"errorSpanCount": errors} if errors else {})
