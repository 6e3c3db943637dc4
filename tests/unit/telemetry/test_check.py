"""What the check of spans and metrics finds, as tables; and that the tests' own watch finds it too."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from services.common.telemetry import names, trace
from services.common.telemetry.schema import asr_metrics, gateway_metrics, turn_metrics
from services.common.telemetry.schema.attribute import ATTRIBUTES
from services.common.telemetry.schema.check import metric_mistakes, mistakes_of
from services.common.telemetry.schema.span import SPANS
from services.common.telemetry.storedspan import Span, SpanEvent, SpanLink
from tests import telemetry_watch


def span(number: int, parent: int, service: str, name: str, **more: Any) -> Span:
    return Span("t1", str(number), str(parent) if parent else "", service, name, 10, 20, **more)


SETUP = span(1, 0, "gateway", names.CALL_SETUP, attributes={names.CALL_ID: "c1", names.SIP_STATUS: 200})
TURN = span(2, 1, "brain", names.TURN, attributes={names.TURN_INDEX: 0, f"{names.TURN_PART_MS}.asr": 12})
GOOD = [
    SETUP,
    TURN,
    span(3, 2, "brain", f"{names.MODEL} mini", events=(SpanEvent("exception", 11, {"exception.type": "OSError"}),)),
    span(4, 1, "brain", names.TURN, links=(SpanLink("t1", "2"),)),
]


def test_all_is_as_declared() -> None:
    assert mistakes_of(GOOD) == []


def with_attributes(attributes: dict[str, Any]) -> Span:
    return span(2, 1, "brain", names.TURN, attributes=attributes)


@pytest.mark.parametrize(
    ("wrong", "mistake"),
    [
        (span(2, 1, "brain", "turnip"), "turnip (brain, 2): no span of that name is in the schema"),
        (span(2, 1, "brain", "chat"), "chat (brain, 2): no span of that name is in the schema"),
        (with_attributes({"voice.mood": 1}), "turn (brain, 2): attribute voice.mood is not in the schema"),
        (
            with_attributes({names.TURN_PART_MS: 1.0}),
            "turn (brain, 2): attribute voice.turn.part_ms is not in the schema",
        ),
        (
            with_attributes({names.TURN_INDEX: "1"}),
            "turn (brain, 2): attribute voice.turn.index is '1', of type str; it is declared as int",
        ),
        (
            with_attributes({names.TURN_INDEX: True}),
            "turn (brain, 2): attribute voice.turn.index is True, of type bool; it is declared as int",
        ),
        (
            span(2, 1, "gateway", names.CALL_RECOVERY, attributes={names.RECOVERY_RESULT: "none"}),
            "call.recovery (gateway, 2): attribute voice.recovery.result is 'none'; it may be "
            + " or ".join(ATTRIBUTES[names.RECOVERY_RESULT].values),
        ),
        (
            with_attributes({names.RTP_LOSS_PCT: 0.5}),
            "turn (brain, 2): attribute rtp.loss_pct is not among those of turn in schema/spanattributes.py",
        ),
        (
            with_attributes({names.TURN_CALLER_TEXT: "I am ill"}),
            "turn (brain, 2): attribute voice.turn.pii.caller_text tells what people said, which record_pii does not "
            "allow here",
        ),
        (span(2, 1, "asr", names.TURN), "turn (asr, 2): is brain's, not asr's"),
        (
            span(2, 0, "brain", names.ENDPOINTING),
            "voice.endpointing (brain, 2): has no parent, and is no root: it belongs below turn",
        ),
        (
            span(2, 7, "brain", names.ENDPOINTING),
            "voice.endpointing (brain, 2): its parent 7 is not there: it belongs below turn",
        ),
        (
            span(2, 1, "brain", names.ENDPOINTING),
            "voice.endpointing (brain, 2): stands below call.setup; it may stand below turn",
        ),
        (
            span(2, 1, "brain", names.TURN, events=(SpanEvent("yawn", 11),)),
            f"turn (brain, 2): event 'yawn' is not declared; it may have {' or '.join(SPANS[names.TURN].events)}",
        ),
        (
            span(2, 1, "brain", names.TURN, events=(SpanEvent("dead air", 11, {"voice.mood": 1}),)),
            "turn (brain, 2): in event 'dead air': attribute voice.mood is not in the schema",
        ),
        (
            span(2, 1, "gateway", names.CALL_HANGUP, links=(SpanLink("t1", "1"),)),
            "call.hangup (gateway, 2): links to call.setup; no links are declared",
        ),
        (
            span(2, 1, "brain", names.TURN, links=(SpanLink("t1", "1"),)),
            f"turn (brain, 2): links to call.setup; it may link to {' or '.join(SPANS[names.TURN].links)}",
        ),
        (
            span(2, 1, "brain", names.TURN, links=(SpanLink("t1", "9"),)),
            "turn (brain, 2): links to 9, which is not in its trace",
        ),
    ],
)
def test_what_is_not(wrong: Span, mistake: str) -> None:
    assert mistakes_of([SETUP, wrong]) == [mistake]


def test_a_span_that_ends_before_it_begins() -> None:
    wrong = Span("t1", "2", "1", "brain", names.TURN, 3_000_000, 1_500_000)
    assert mistakes_of([SETUP, wrong]) == ["turn (brain, 2): ends 1.500 ms before it begins"]


def test_a_call_in_two_traces() -> None:
    other = Span("t2", "9", "", "gateway", names.CALL_SETUP, 10, 20, attributes={names.CALL_ID: "c1"})
    assert mistakes_of([SETUP, other]) == ["call c1 is in 2 traces: t1, t2"]


def test_a_parent_in_another_trace() -> None:
    other = Span("t2", "9", "1", "brain", names.TURN, 10, 20)
    assert mistakes_of([SETUP, other]) == ["turn (brain, 9): is in trace t2, its parent call.setup in t1"]


def test_what_may_be() -> None:
    # The parent is of who sent the call.
    assert mistakes_of([span(1, 77, "gateway", names.CALL_SETUP)]) == []
    # The other trace was not given.
    assert mistakes_of([SETUP, span(2, 1, "brain", names.TURN, links=(SpanLink("t9", "9"),))]) == []
    assert mistakes_of([SETUP, with_attributes({names.TURN_CALLER_TEXT: "Hello"})], pii=True) == []
    assert mistakes_of([span(2, 7, "brain", names.ENDPOINTING)], whole=False) == []


# Metrics


def test_all_metrics_are_as_declared() -> None:
    registry = CollectorRegistry()
    histogram = turn_metrics.TURN_LATENCY.histogram()
    registry.register(histogram)
    histogram.labels("front_desk").observe(0.4)
    Counter("tandem_asr_passes", "Passes.", ["kind", "result"], registry=registry).labels("final", "done").inc()
    Gauge("python_anything", "Of the interpreter.", registry=registry).set(1)
    assert metric_mistakes(registry.collect()) == []


EXPOSED = """\
# HELP tandem_gateway_calls Calls.
# TYPE tandem_gateway_calls gauge
tandem_gateway_calls{trunk="local",direction="inbound"} 1.0
tandem_gateway_calls{trunk="local",direction="sideways"} 1.0
tandem_gateway_calls{trunk="local"} 1.0
# HELP tandem_asr_streams_total Streams.
# TYPE tandem_asr_streams_total counter
tandem_asr_streams_total 1.0
# HELP tandem_asr_streams Streams.
# TYPE tandem_asr_streams counter
tandem_asr_streams 1.0
"""


def test_metrics_that_are_not() -> None:
    assert metric_mistakes(text_string_to_metric_families(EXPOSED)) == [
        "metric tandem_gateway_calls: label direction is 'sideways'; it may be inbound or outbound",
        "metric tandem_gateway_calls: has the labels trunk; it is declared with direction, trunk",
        "metric tandem_asr_streams (counter) is not in the schema",
        "metric tandem_asr_streams (counter) is not in the schema",
    ]
    telemetry_watch.forget()


def test_buckets_and_kinds() -> None:
    registry = CollectorRegistry()
    Histogram(gateway_metrics.RTT.name, "Round trip.", ["trunk"], buckets=(0.1, 1), registry=registry).labels("a")
    Gauge(asr_metrics.QUEUE.name, "Waiting.", registry=registry)
    declared = f"{[*gateway_metrics.RTT.buckets]}"
    assert metric_mistakes(registry.collect(), "gateway") == [
        f"metric tandem_gateway_call_rtt_seconds: has the buckets [0.1, 1.0, inf]; it is declared with {declared}",
        "metric tandem_asr_queue_seconds: is a gauge; it is declared as a histogram",
    ]
    telemetry_watch.forget()


def test_metrics_of_another_service() -> None:
    registry = CollectorRegistry()
    registry.register(turn_metrics.TURN_LATENCY.histogram())
    assert metric_mistakes(registry.collect(), "brain") == []
    assert metric_mistakes(registry.collect(), "tts") == ["metric tandem_brain_turn_latency_seconds: is not tts's"]


# The watch over all tests


def test_the_watch_sees_spans() -> None:
    with trace.tracer().start_as_current_span("turnip") as made:
        made.set_attribute("voice.mood", 3)
    assert telemetry_watch.forget() == [
        "span turnip: attribute voice.mood is not in the schema",
        "span turnip: no span of that name is in the schema",
    ]


def test_the_watch_sees_scrapes() -> None:
    registry = CollectorRegistry()
    Gauge("tandem_gateway_mood", "Of the gateway.", registry=registry)
    list(registry.collect())
    assert telemetry_watch.forget() == ["metric tandem_gateway_mood (gauge) is not in the schema"]
    list(text_string_to_metric_families("# TYPE tandem_mood gauge\ntandem_mood 1\n"))
    assert telemetry_watch.forget() == ["metric tandem_mood (gauge) is not in the schema"]
