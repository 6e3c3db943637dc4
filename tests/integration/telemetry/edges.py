"""What a trace looks like, in words: `gateway:call.setup > brain:turn` is a span and its child."""

from collections.abc import Iterable

from services.common.telemetry import names
from services.common.telemetry.schema.turn import TURN_PART_MS
from services.common.telemetry.storedspan import Span

LOST = "?"
"""The parent of a span whose parent was never exported."""


def edges(spans: Iterable[Span]) -> set[str]:
    """Each parent and child by service and name. A root has no edge; one whose parent is missing is a child of `?`."""
    every = list(spans)
    return _edges(every, [span for span in every if span.parent_id])


def links(spans: Iterable[Span]) -> set[str]:
    """Each span that follows another without being its child: `brain:turn ~ gateway:call.recovery`."""
    every = list(spans)
    named = _named(every)
    return {
        f"{span.service}:{span.name} ~ {named.get((link.trace_id, link.span_id), LOST)}"
        for span in every
        for link in span.links
    }


def edges_under(spans: Iterable[Span], top: Span) -> set[str]:
    """The edges of all that is below one span."""
    every = list(spans)
    below = {top.span_id}
    for _ in every:
        found = {span.span_id for span in every if span.parent_id in below}
        if found <= below:
            break
        below |= found
    return _edges(every, [span for span in every if span.parent_id in below])


def _edges(every: list[Span], children: list[Span]) -> set[str]:
    named = _named(every)
    return {f"{named.get((span.trace_id, span.parent_id), LOST)} > {span.service}:{span.name}" for span in children}


def _named(spans: list[Span]) -> dict[tuple[str, str], str]:
    return {(span.trace_id, span.span_id): f"{span.service}:{span.name}" for span in spans}


def roots(spans: Iterable[Span]) -> set[str]:
    return {f"{span.service}:{span.name}" for span in spans if not span.parent_id}


def orphans(spans: Iterable[Span]) -> set[str]:
    """Edges whose parent was never exported."""
    return {edge for edge in edges(spans) if edge.startswith(f"{LOST} >")}


def does_not_add_up(spans: Iterable[Span], margin_ms: float) -> list[str]:
    """Turns with an ear's latency whose parts, the unexplained one among them, are not it; or that leave over more than
    the margin. A line each, for people."""
    wrong = []
    for span in spans:
        whole = span.attributes.get(names.TURN_EAR_LATENCY_MS)
        if span.name != names.TURN or not isinstance(whole, int | float):
            continue
        parts = {key: value for key, value in span.attributes.items() if key.startswith(f"{TURN_PART_MS}.")}
        left = span.attributes.get(names.TURN_UNEXPLAINED_MS)
        told = f"turn {span.attributes.get(names.TURN_INDEX)}: {whole} ms, {parts}, unexplained {left}"
        if not isinstance(left, int | float) or not parts:
            wrong.append(f"{told}: no parts")
        elif abs(left) > margin_ms:
            wrong.append(f"{told}: too much unexplained")
        elif abs(whole - sum(float(str(value)) for value in parts.values()) - left) > 1.0:
            wrong.append(f"{told}: the parts are not the whole")
    return wrong
