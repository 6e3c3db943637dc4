"""What a hand-over leaves in its call's trace: the whole of it, each try of a destination, and why it failed."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

from services.common.telemetry import names
from services.common.telemetry.trace import context_from_traceparent
from services.escalation import transferspan
from services.escalation.metrics import EscalationMetrics
from services.escalation.transfer import Outcome, Result, Transfer
from services.escalation.transferspan import TransferSpan
from tandem.v1.call_pb2 import CallFacts
from tandem.v1.escalation_pb2 import EscalateStart

TURN = context_from_traceparent("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01")
DESK = "sip:desk@pbx.example"
START = EscalateStart(facts=CallFacts(call_id="c1", agent="front_desk"), destination=DESK)


class Trace:
    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter
        self.registry = CollectorRegistry()
        self.metrics = EscalationMetrics(self.registry)
        self.kept: list[str] = []

    def hand_over(self) -> TransferSpan:
        times = iter((10.0, 22.0))
        return TransferSpan(START, TURN, self.metrics, clock=lambda: next(times))

    def one(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self._exporter.get_finished_spans() if span.name == name]
        return found

    @property
    def names(self) -> list[str]:
        return [span.name for span in self._exporter.get_finished_spans()]

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"tandem_escalation_{name}", labels)


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> Trace:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(transferspan, "tracer", lambda: provider.get_tracer("test"))
    one = Trace(exporter)
    monkeypatch.setattr("services.common.telemetry.trace.keep", lambda traceparent, why: one.kept.append(why))
    return one


def parent(span: ReadableSpan) -> str:
    assert span.parent is not None
    return format(span.parent.span_id, "016x")


def test_a_person_who_is_busy(trace: Trace) -> None:
    hand_over = trace.hand_over()
    assert trace.kept == ["transferred"], "from the wish on, whatever comes of it"
    hand_over.step("ticket filed", 0)
    leg_traceparent = hand_over.leg_began(DESK)
    hand_over.step("ringing", 180)
    hand_over.outcome(Outcome(Result.RETURNED, "busy", 486), "T-1")
    hand_over.close()
    transfer, leg = trace.one(names.TRANSFER), trace.one(names.TRANSFER_LEG)
    assert (parent(transfer), parent(leg)) == ("00f067aa0ba902b7", hand_over.traceparent.split("-")[2])
    assert leg_traceparent.split("-")[2] == format(leg.context.span_id, "016x")
    assert dict(leg.attributes or {}) == {
        names.CALL_ID: "c1",
        names.TRANSFER_LEG_INDEX: 0,
        names.TRANSFER_DESTINATION: DESK,
        names.TRANSFER_RESULT: "returned",
        names.TRANSFER_REASON: "busy",
        names.TRANSFER_PRESUMED: False,
        names.SIP_STATUS: 486,
        names.RPC_SYSTEM: "grpc",
        names.RPC_METHOD: "tandem.v1.CallControl/Refer",
    }
    assert dict(transfer.attributes or {}) == {
        names.CALL_ID: "c1",
        names.AGENT: "front_desk",
        names.TRANSFER_DESTINATION: DESK,
        names.TRANSFER_RESULT: "returned",
        names.TRANSFER_REASON: "busy",
        names.TRANSFER_PRESUMED: False,
        names.TICKET_ID: "T-1",
        names.SIP_STATUS: 486,
        names.RPC_SYSTEM: "grpc",
        names.RPC_METHOD: "tandem.v1.Escalation/Escalate",
    }
    assert [(one.status.status_code, one.status.description) for one in (transfer, leg)] == [
        (StatusCode.ERROR, "busy")
    ] * 2
    assert [(one.name, dict(one.attributes or {})) for one in transfer.events] == [
        ("ticket filed", {}),
        ("ringing", {names.SIP_STATUS: 180}),
    ]
    assert trace.count("transfers_total", result="returned") == 1
    assert trace.count("transfer_seconds_sum", result="returned") == 12.0
    assert trace.count("transfers_running") == 0


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(Result.TRANSFERRED, "answered", 200),
        Outcome(Result.CANCELLED, "the caller would rather stay"),
        Outcome(Result.CALL_GONE, "BYE"),
    ],
    ids=lambda one: one.result.value,
)
def test_what_is_no_failure(trace: Trace, outcome: Outcome) -> None:
    hand_over = trace.hand_over()
    hand_over.leg_began(DESK)
    hand_over.outcome(outcome, "")
    hand_over.close()
    for name in (names.TRANSFER, names.TRANSFER_LEG):
        assert trace.one(name).status.status_code is StatusCode.UNSET


def test_without_a_try_there_is_no_leg(trace: Trace) -> None:
    hand_over = trace.hand_over()
    hand_over.outcome(Outcome(Result.RETURNED, "the call's gateway does not answer"), "")
    hand_over.close()
    assert trace.names == [names.TRANSFER]


def test_the_service_is_stopped_meanwhile(trace: Trace) -> None:
    hand_over = trace.hand_over()
    hand_over.leg_began(DESK)
    hand_over.close()
    for name in (names.TRANSFER, names.TRANSFER_LEG):
        span = trace.one(name)
        assert span.status.description == "the escalation service was stopped"
        assert (span.attributes or {})[names.TRANSFER_RESULT] == "given_up"
    assert trace.count("transfers_total", result="given_up") == 1


def test_the_service_itself_fails(trace: Trace) -> None:
    hand_over = trace.hand_over()
    hand_over.failed(RuntimeError("a defect"))
    hand_over.outcome(Outcome(Result.RETURNED, "the escalation service failed"), "")
    hand_over.close()
    transfer = trace.one(names.TRANSFER)
    assert [event.name for event in transfer.events] == ["exception"]
    assert (transfer.attributes or {})[names.ERROR_TYPE] == "RuntimeError"


def test_every_step_of_the_machine_is_a_declared_event() -> None:
    from services.common.telemetry.schema.span import SPANS
    from services.common.telemetry.schema.spans import TRANSFER
    from services.escalation.transfer import Progress

    first, second, third = Transfer(DESK, 30), Transfer(DESK, 30), Transfer(DESK, 30)
    outputs = [*first.start(0), *first.ticket_filed(0), *first.watch_started(0), *first.refer_answered(202, "", 1)]
    for status in (100, 180, 200):
        outputs += first.notified(status, "", False, 2)
    outputs += [*second.start(0), *second.ticket_failed(0)]
    outputs += [*third.start(0), *third.expire(2)]
    steps = {one.step for one in outputs if isinstance(one, Progress)}
    assert steps == set(SPANS[TRANSFER].events)
