"""The words in which traces are asserted: what they notice."""

import pytest

from services.common.telemetry import names
from services.common.telemetry.schema.turn import TURN_PART_MS
from services.common.telemetry.storedspan import Span, SpanLink
from tests.integration.telemetry.edges import does_not_add_up, edges, edges_under, links, orphans, roots


def span(ident: str, parent: str, service: str, name: str, **attributes: float) -> Span:
    return Span("t", ident, parent, service, name, 0, 1, attributes=dict(attributes))


TRACE = (
    span("1", "", "gateway", "call.setup"),
    span("2", "1", "brain", "turn"),
    span("3", "2", "asr", "asr.final"),
    span("4", "9", "tts", "tts.utterance"),
)


def test_edges() -> None:
    assert edges(TRACE) == {
        "gateway:call.setup > brain:turn",
        "brain:turn > asr:asr.final",
        "? > tts:tts.utterance",
    }
    assert edges_under(TRACE, TRACE[1]) == {"brain:turn > asr:asr.final"}
    assert orphans(TRACE) == {"? > tts:tts.utterance"}
    assert roots(TRACE) == {"gateway:call.setup"}


def test_a_parent_of_another_trace_is_none() -> None:
    other = Span("u", "5", "1", "brain", "turn", 0, 1)
    assert edges([TRACE[0], other]) == {"? > brain:turn"}


def test_links() -> None:
    follows = Span("t", "5", "1", "brain", "turn", 0, 1, links=(SpanLink("t", "2"), SpanLink("t", "9")))
    assert links([*TRACE, follows]) == {"brain:turn ~ brain:turn", "brain:turn ~ ?"}


@pytest.mark.parametrize(
    ("whole", "parts", "left", "wrong"),
    [
        (500.0, (200.0, 290.0), 10.0, ""),
        (500.0, (200.0, 320.0), -20.0, ""),
        (500.0, (200.0, 270.0), 30.0, "too much unexplained"),
        (500.0, (200.0, 330.0), -30.0, "too much unexplained"),
        (500.0, (200.0, 200.0), 10.0, "the parts are not the whole"),
        (500.0, (), 0.0, "no parts"),
        (500.0, (500.0,), None, "no parts"),
        (None, (), None, ""),
    ],
)
def test_sums(whole: float | None, parts: tuple[float, ...], left: float | None, wrong: str) -> None:
    attributes = {f"{TURN_PART_MS}.{name}": value for name, value in zip(("asr", "tool"), parts, strict=False)}
    given = {names.TURN_EAR_LATENCY_MS: whole, names.TURN_UNEXPLAINED_MS: left}
    attributes |= {name: value for name, value in given.items() if value is not None}
    found = does_not_add_up([span("2", "1", "brain", "turn", **attributes)], 20)
    assert [line.rpartition(": ")[2] for line in found] == ([wrong] if wrong else [])
