"""docs/operations/ten-questions.md, read: what it tells to ask, which spans to read, and what these say."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.common.telemetry import names
from services.common.telemetry.schema.span import declared
from services.common.telemetry.storedspan import Span
from tests.unit.telemetry import storedcall

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "operations" / "ten-questions.md"
START, MS, EVENTS, LINKS = "start", "ms", "events", "links"
RARE: Final = (
    names.TOOL_RETRIED,
    names.RTP_REMOTE_LOSS_PCT,
    names.RTP_REMOTE_JITTER_MS,
    names.SIP_RINGING_MS,
    names.MODEL_COST_USD,
)
"""Not in any call: it takes a death between a tool's call and its result, an RTCP report of the other side's, a call
that rings, a price."""
OF_THE_SPAN: Final = (START, MS, EVENTS, LINKS)
"""What is read of a span besides its attributes."""


@dataclass(frozen=True, slots=True)
class Row:
    """`span` and `read` are names of the schema, or `read` is one of OF_THE_SPAN; `here` are the sample call's values,
    by the starts of the spans."""

    span: str
    read: str
    here: tuple[str, ...]


@dataclass(slots=True)
class Question:
    """`commands`, `requests` and `queries` as they are written, with CALL for the call's id."""

    title: str
    commands: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as a reader of traces shows it, whichever it is. Times in ms, `start` from the first span's."""

    name: str
    start: float
    ms: float
    attributes: Mapping[str, Any]
    events: Sequence[str] = ()
    links: Sequence[str] = ()


def questions(text: str) -> list[Question]:
    found: list[Question] = []
    language = ""
    for line in text.splitlines():
        if line.startswith("## "):
            found.append(Question(line.removeprefix("## ")))
        elif line.startswith("```"):
            language = line.removeprefix("```")
        elif not found:
            continue
        elif language:
            question = found[-1]
            {"sh": question.commands, "http": question.requests, "promql": question.queries}[language].append(line)
        elif line.startswith("| `"):
            span, read, here = (re.findall(r"`([^`]+)`", cell) for cell in line.strip("|").split(" | "))
            found[-1].rows.append(Row(span[0], read[0], tuple(here)))
    return found


def path_of(request: str) -> str:
    """Path and query of a request, of the sample call; JAEGER goes."""
    return request.removeprefix("GET JAEGER").replace("CALL", storedcall.CALL_ID)


def answer(row: Row, spans: Iterable[Seen]) -> tuple[str, ...]:
    """What these spans say, as the page would write it."""
    found: list[str] = []
    for span in sorted(spans, key=lambda one: one.start):
        schema = declared(span.name)
        if schema is None or schema.name != row.span:
            continue
        match row.read:
            case "start":
                found.append(f"{span.start / 1000:.2f}")
            case "ms":
                found.append(f"{span.ms:.0f}")
            case "events":
                found += span.events
            case "links":
                found += span.links
            case _ if row.read in span.attributes:
                found.append(_text(span.attributes[row.read]))
    return tuple(found)


def seen(spans: Sequence[Span]) -> list[Seen]:
    """Of one trace, as the store has it."""
    called = {span.span_id: span.name for span in spans}
    first = min(span.start_ns for span in spans)
    return [
        Seen(
            span.name,
            (span.start_ns - first) / 1e6,
            (span.end_ns - span.start_ns) / 1e6,
            span.attributes,
            [event.name for event in span.events],
            [called.get(link.span_id, "") for link in span.links],
        )
        for span in spans
    ]


def unanswered(asked: Iterable[Question], traces: Iterable[Sequence[Span]]) -> list[str]:
    """What none of these calls tells, of all that the questions read. RARE is left out."""
    calls = [seen(spans) for spans in traces]
    return [
        f"{question.title}: {row.span} {row.read}"
        for question in asked
        for row in question.rows
        if row.read not in RARE and not any(answer(row, call) for call in calls)
    ]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
