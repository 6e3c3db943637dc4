"""Whatever test runs: what its spans and scrapes tell is compared with the schema, and the test fails on what is not in
it.

Seen are the spans that end in the tests' own process, from whatever provider, and metrics that are collected or parsed
in it. Not seen is what other processes export (tests/integration/telemetry has a collector for that), nor where a span
stands: tests put parents of their own above it.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import prometheus_client.openmetrics.parser
import prometheus_client.parser
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family

from services.common.telemetry.schema.check import content_mistakes, metric_mistakes
from services.common.telemetry.schema.span import declared
from services.common.telemetry.storedspan import Span, SpanEvent

SCOPE: Final = "tandem"
"""The tracer's name of services.common.telemetry.trace.tracer: what it makes is a service's."""
OURS: Final = "tandem_"

_found: list[str] = []


class Watch(SpanProcessor):
    """Notes what is not in the schema."""

    def on_end(self, span: ReadableSpan) -> None:
        scope = span.instrumentation_scope
        if (scope is not None and scope.name == SCOPE) or declared(span.name) is not None:
            _found.extend(f"span {span.name}: {mistake}" for mistake in content_mistakes(stored(span), pii=True))


def stored(span: ReadableSpan) -> Span:
    """Its name, attributes and events."""
    events = tuple(SpanEvent(one.name, one.timestamp, _plain(one.attributes)) for one in span.events)
    return Span("", "", "", "", span.name, 0, 0, attributes=_plain(span.attributes), events=events)


def _plain(attributes: Any) -> dict[str, Any]:
    return dict(attributes or {})


def watched(families: Iterator[Family]) -> Iterator[Family]:
    """The same, while they are read; ours are compared with the schema."""
    for family in families:
        if family.name.startswith(OURS):
            _found.extend(metric_mistakes([family]))
        yield family


def watch() -> None:
    """Once a process, before tests are imported: from then on each provider, registry and parser is watched."""
    make = TracerProvider.__init__

    def make_watched(self: TracerProvider, *given: Any, **named: Any) -> None:
        make(self, *given, **named)
        self.add_span_processor(Watch())

    TracerProvider.__init__ = make_watched  # type: ignore[method-assign]
    collect = CollectorRegistry.collect
    CollectorRegistry.collect = lambda self: watched(iter(collect(self)))  # type: ignore[method-assign]
    parsers: list[Any] = [prometheus_client.parser, prometheus_client.openmetrics.parser]
    for module in parsers:
        module.text_string_to_metric_families = _watched_parser(module.text_string_to_metric_families)
    # So that spans are made also where a test sets nothing up.
    trace.set_tracer_provider(TracerProvider())


def _watched_parser(parse: Callable[[str], Iterator[Family]]) -> Callable[[str], Iterator[Family]]:
    return lambda text: watched(parse(text))


def forget() -> list[str]:
    """What was found since the last time; for tests that tell wrong things on purpose."""
    told = list(dict.fromkeys(_found))
    _found.clear()
    return told


@pytest.fixture(autouse=True)
def as_the_schema_has_it() -> Iterator[None]:
    """Fails the test in which something was told that the schema does not have."""
    forget()
    yield
    told = forget()
    assert not told, "not as services/common/telemetry/schema has it:\n" + "\n".join(told)
