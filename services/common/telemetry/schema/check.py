"""What is not as the schema has it, in spans that were exported and in metrics that were scraped.

Each mistake is one line for people. Of a trace that is cut (a process was killed, a batch was lost) `whole=False`
leaves out the spans that stand there without their parents.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

# Declares all attributes and spans.
from services.common.telemetry import names
from services.common.telemetry.schema.attribute import declared as declared_attribute
from services.common.telemetry.schema.labels import LABELS
from services.common.telemetry.schema.metric import Metric
from services.common.telemetry.schema.metrics import BY_SERVICE, METRICS
from services.common.telemetry.schema.span import SpanSchema
from services.common.telemetry.schema.span import declared as declared_span
from services.common.telemetry.schema.spanattributes import may_stand
from services.common.telemetry.storedspan import Span

EXCEPTION: Final = "exception"
"""The event by which OpenTelemetry records one; it may be on any span, with attributes that begin alike."""
EVERY_PROCESS: Final = "every process"
FOREIGN_FAMILIES: Final = ("python_", "process_")
"""Of prometheus_client's own collectors; Prometheus's own dashboards know them."""
# `_created` comes from registries where nobody has said disable_created_metrics.
_SUFFIXES: Final = {
    "counter": ("_total", "_created"),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
}


def mistakes_of(spans: Iterable[Span], pii: bool = False, whole: bool = True) -> list[str]:
    """Mistakes of finished spans, of one trace or more; [] when all is as declared.

    `pii`: attributes of what people said may be there (`record_pii`). `whole`: all spans of these traces are there, so
    that a parent that is not found is a mistake.
    """
    by_id = {span.span_id: span for span in spans}
    found: list[str] = []
    for span in by_id.values():
        where = f"{span.name} ({span.service}, {span.span_id})"
        found += [f"{where}: {mistake}" for mistake in content_mistakes(span, pii)]
        found += [f"{where}: {mistake}" for mistake in _place(span, by_id, whole)]
    return [*found, *_torn_calls(by_id.values())]


def content_mistakes(span: Span, pii: bool = False) -> list[str]:
    """Of what a span says by itself: its name, attributes and events; not of where it stands and who made it."""
    schema = declared_span(span.name)
    found = [*_attributes(span, schema, pii)]
    if schema is None:
        return [*found, "no span of that name is in the schema"]
    strange = [event.name for event in span.events if event.name not in (*schema.events, EXCEPTION)]
    return [*found, *(f"event {one!r} is not declared; it may have {_either(schema.events)}" for one in strange)]


def _place(span: Span, by_id: Mapping[str, Span], whole: bool) -> Iterator[str]:
    if span.end_ns < span.start_ns:
        yield f"ends {(span.start_ns - span.end_ns) / 1e6:.3f} ms before it begins"
    schema = declared_span(span.name)
    if schema is None:
        return
    if span.service != schema.service:
        yield f"is {schema.service}'s, not {span.service}'s"
    yield from _parent(span, schema, by_id, whole)
    yield from _links(span, schema, by_id, whole)


def _attributes(span: Span, schema: SpanSchema | None, pii: bool) -> Iterator[str]:
    for key, value in span.attributes.items():
        yield from _attribute(key, value, pii)
        attribute = declared_attribute(key)
        if schema and attribute and not may_stand(attribute.name, schema.name):
            yield f"attribute {key} is not among those of {schema.name} in schema/spanattributes.py"
    for event in span.events:
        for key, value in event.attributes.items():
            if not (event.name == EXCEPTION and key.startswith(f"{EXCEPTION}.")):
                yield from (f"in event {event.name!r}: {one}" for one in _attribute(key, value, pii))


def _attribute(key: str, value: object, pii: bool) -> Iterator[str]:
    attribute = declared_attribute(key)
    if attribute is None:
        yield f"attribute {key} is not in the schema"
        return
    if attribute.pii and not pii:
        yield f"attribute {key} tells what people said, which record_pii does not allow here"
    if attribute.allows(value):
        return
    if attribute.values and not attribute.family:
        yield f"attribute {key} is {value!r}; it may be {_either(attribute.values)}"
    else:
        yield f"attribute {key} is {value!r}, of type {type(value).__name__}; it is declared as {attribute.type}"


def _parent(span: Span, schema: SpanSchema, by_id: Mapping[str, Span], whole: bool) -> Iterator[str]:
    parent = by_id.get(span.parent_id) if span.parent_id else None
    if parent is None:
        if schema.root:
            # Without a parent it begins the trace; one that is not ours is of who sent the call.
            return
        if not span.parent_id:
            yield f"has no parent, and is no root: it belongs below {_either(schema.parents)}"
        elif whole:
            yield f"its parent {span.parent_id} is not there: it belongs below {_either(schema.parents)}"
        return
    if parent.trace_id != span.trace_id:
        yield f"is in trace {span.trace_id}, its parent {parent.name} in {parent.trace_id}"
    if _declared_name(parent.name) not in schema.parents:
        yield f"stands below {parent.name}; it may stand below {_either(schema.parents)}"


def _links(span: Span, schema: SpanSchema, by_id: Mapping[str, Span], whole: bool) -> Iterator[str]:
    for link in span.links:
        target = by_id.get(link.span_id)
        if not schema.links:
            yield f"links to {target.name if target else link.span_id}; no links are declared"
        elif target is None:
            # It may be in a trace that was not given.
            if whole and any(one.trace_id == link.trace_id for one in by_id.values()):
                yield f"links to {link.span_id}, which is not in its trace"
        elif _declared_name(target.name) not in schema.links:
            yield f"links to {target.name}; it may link to {_either(schema.links)}"


def _torn_calls(spans: Iterable[Span]) -> Iterator[str]:
    traces: dict[str, set[str]] = {}
    for span in spans:
        if call_id := span.attributes.get(names.CALL_ID):
            traces.setdefault(str(call_id), set()).add(span.trace_id)
    for call_id, ids in traces.items():
        if len(ids) > 1:
            yield f"call {call_id} is in {len(ids)} traces: {', '.join(sorted(ids))}"


def _declared_name(name: str) -> str:
    schema = declared_span(name)
    return schema.name if schema else name


def _either(allowed: Iterable[str]) -> str:
    return " or ".join(allowed) or "none"


# Metrics


def metric_mistakes(families: Iterable[Family], service: str | None = None) -> list[str]:
    """Mistakes of metrics' families, of a registry (`collect`) or of a scrape (prometheus_client's parsers).

    `service` is a key of BY_SERVICE; with it, another service's metrics are mistakes.
    """
    found: list[str] = []
    for family in families:
        if family.name.startswith(FOREIGN_FAMILIES):
            continue
        metric = METRICS.get(f"{family.name}_total" if family.type == "counter" else family.name)
        if metric is None:
            found.append(f"metric {family.name} ({family.type}) is not in the schema")
            continue
        mistakes = [*_metric(family, metric, service)]
        # Each sample would tell the same.
        found += [f"metric {metric.name}: {one}" for one in dict.fromkeys(mistakes)]
    return found


def _metric(family: Family, metric: Metric, service: str | None) -> Iterator[str]:
    if family.type != metric.kind:
        yield f"is a {family.type}; it is declared as a {metric.kind}"
        return
    if service is not None and metric not in (*BY_SERVICE[service], *BY_SERVICE[EVERY_PROCESS]):
        yield f"is not {service}'s"
    for sample in family.samples:
        yield from _sample(family, sample, metric)
    if metric.buckets and metric.kind == "histogram":
        bounds = {float(sample.labels["le"]) for sample in family.samples if sample.name.endswith("_bucket")}
        if bounds and bounds != {*metric.buckets, float("inf")}:
            yield f"has the buckets {sorted(bounds)}; it is declared with {sorted(metric.buckets)}"


def _sample(family: Family, sample: Sample, metric: Metric) -> Iterator[str]:
    if sample.name.removeprefix(family.name) not in _SUFFIXES[metric.kind]:
        yield f"has a sample {sample.name}"
    labels = {key: value for key, value in sample.labels.items() if key != "le"}
    if set(labels) != set(metric.labels):
        yield f"has the labels {_listed(labels)}; it is declared with {_listed(metric.labels)}"
    for key, value in labels.items():
        label = LABELS.get(key)
        if label is None:
            yield f"label {key} is not in labels.py"
        elif label.values and value not in label.values:
            yield f"label {key} is {value!r}; it may be {_either(label.values)}"


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(sorted(labels)) or "(none)"
