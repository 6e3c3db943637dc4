"""A finished span, as the store keeps it and its readers see it."""

from dataclasses import dataclass, field
from typing import Any

Attribute = str | bool | int | float | list[Any] | dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class SpanEvent:
    name: str
    time_ns: int
    attributes: dict[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanLink:
    """To a span that this one follows without being its child. Ids are lower-case hex."""

    trace_id: str
    span_id: str
    attributes: dict[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """A finished span. Ids are lower-case hex, `parent_id` empty for a root; times are wall clock in ns since 1970.

    `status` is "unset", "ok" or "error"; `kind` "internal", "server", "client", "producer", "consumer" or
    "unspecified". `resource` is what is known of the process, without service.name, which is `service`.
    """

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    start_ns: int
    end_ns: int
    status: str = "unset"
    status_message: str = ""
    attributes: dict[str, Attribute] = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    kind: str = "internal"
    resource: dict[str, Attribute] = field(default_factory=dict)
