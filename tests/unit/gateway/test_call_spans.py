"""What is traced of a call that lives: lost brains, what was played, transfers, and how it ended."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from services.common.media.frame import END_OF_UTTERANCE, AudioFrame
from services.common.telemetry import names
from services.common.telemetry.schema.attribute import declared as declared_attribute
from services.common.telemetry.schema.span import declared as declared_span
from services.common.telemetry.trace import context_from_traceparent
from services.gateway import live_call, playout_spans, recovery
from services.gateway.agent_call import AgentCall
from services.gateway.blind_transfer import refer_span
from services.gateway.call_record import bad_quality
from services.gateway.call_setup import NO_CONTEXT
from services.gateway.playout import End, PlayoutFinished, PlayoutStarted
from services.gateway.playout_reports import PlayoutReports
from services.gateway.playout_spans import PlayoutSpans
from services.gateway.recordings import CONSENT_ID
from services.gateway.recovery import Recovery
from services.gateway.sip.events import ReferAnswered, ReferNotified
from tandem.v1 import brain_pb2
from tandem.v1.audio_pb2 import AudioFormat
from tandem.v1.call_pb2 import CallFacts

CALL = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TURN = "00-0af7651916cd43dd8448eb211c80319c-00000000000000aa-01"
FACTS = CallFacts(call_id="c1", answered_unix_us=1_000_000_000, audio=AudioFormat(sample_rate_hz=8000))


class Observer:
    def __init__(self) -> None:
        self.actions: list[str] = []

    def first_audio(self, call_time_us: int) -> None:
        self.actions.append(f"first audio {call_time_us}")

    def lease(self, action: str) -> None:
        self.actions.append(action)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for module in (playout_spans, recovery):
        monkeypatch.setattr(module, "tracer", lambda: provider.get_tracer("test"))
    return exporter


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    for module in (recovery, live_call):
        monkeypatch.setattr(module, "keep", lambda traceparent, why: found.append(why))
    return found


def one(exporter: InMemorySpanExporter, name: str) -> tuple[ReadableSpan, dict[str, Any]]:
    (span,) = [span for span in exporter.get_finished_spans() if span.name == name]
    schema = declared_span(name)
    assert schema is not None
    assert {event.name for event in span.events} <= set(schema.events)
    for key, value in (span.attributes or {}).items():
        attribute = declared_attribute(key)
        assert attribute is not None, key
        assert attribute.allows(value), (key, value)
    return span, dict(span.attributes or {})


def parent_of(span: ReadableSpan) -> str:
    return "" if span.parent is None else format(span.parent.span_id, "016x")


# Recovery


def test_another_brain_takes_over(made: InMemorySpanExporter, kept: list[str]) -> None:
    observer = Observer()
    one_call = Recovery(FACTS, CALL, observer)
    one_call.lost("UNAVAILABLE: gone", 4_000_000, 4_200_000)
    one_call.asked(4_200_000)
    assert one_call.traceparent.split("-")[1] == CALL.split("-")[1]
    assert one_call.traceparent != CALL
    one_call.taken_over(4_500_000)
    span, attributes = one(made, names.CALL_RECOVERY)
    assert parent_of(span) == CALL.split("-")[2]
    assert (attributes[names.RECOVERY_RESULT], attributes[names.RECOVERY_WHY]) == ("taken over", "UNAVAILABLE: gone")
    assert [event.name for event in span.events] == ["brain lost", "asked another"]
    assert (span.start_time, span.end_time) == (1_004_000_000_000, 1_004_500_000_000)
    assert span.status.status_code is StatusCode.UNSET
    assert observer.actions == ["asked another", "taken over"]
    assert kept == ["brain lost"]


def test_nobody_takes_over(made: InMemorySpanExporter, kept: list[str]) -> None:
    observer = Observer()
    one_call = Recovery(FACTS, CALL, observer)
    one_call.lost("nothing heard for 2.0 s", 0, 2_000_000)
    one_call.asked(2_000_000)
    one_call.lost("nothing heard for 1.0 s", 0, 3_000_000)
    one_call.fell_back(3_000_000)
    span, attributes = one(made, names.CALL_RECOVERY)
    assert attributes[names.RECOVERY_RESULT] == "fall-back"
    assert attributes[names.RECOVERY_WHY] == "nothing heard for 1.0 s"
    assert span.status.status_code is StatusCode.ERROR
    assert observer.actions == ["asked another", "fall-back"]


def test_the_call_ends_meanwhile(made: InMemorySpanExporter, kept: list[str]) -> None:
    one_call = Recovery(FACTS, CALL)
    one_call.lost("gone", 0, 1)
    one_call.call_ended(2)
    assert one(made, names.CALL_RECOVERY)[1][names.RECOVERY_RESULT] == "call ended"


def test_where_no_brain_was_lost_there_is_nothing(made: InMemorySpanExporter, kept: list[str]) -> None:
    observer = Observer()
    one_call = Recovery(FACTS, CALL, observer)
    one_call.asked(1)
    one_call.taken_over(1)
    one_call.fell_back(1)
    one_call.call_ended(1)
    assert (made.get_finished_spans(), observer.actions, kept, one_call.traceparent) == ((), [], [], "")


# Playout


def test_playout_belongs_to_the_turn(made: InMemorySpanExporter) -> None:
    reports = PlayoutReports(FACTS, CALL)
    reports.released(1, TURN)
    reports.report(PlayoutStarted(1, 90_000), 100_000)
    reports.report(PlayoutFinished(1, 1600, End.COMPLETED), 300_000)
    span, attributes = one(made, names.PLAYOUT)
    assert parent_of(span) == "00000000000000aa"
    assert attributes[names.PLAYOUT_PLAYED_MS] == 200
    assert names.PLAYOUT_PROMPT not in attributes
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("prompt", ["consent", "apology"])
def test_what_the_gateway_says_belongs_to_the_call(made: InMemorySpanExporter, prompt: str) -> None:
    reports = PlayoutReports(FACTS, CALL)
    reports.released(7, "", prompt)
    reports.report(PlayoutStarted(7, 0), 0)
    reports.close(50_000)
    span, attributes = one(made, names.PLAYOUT)
    assert parent_of(span) == CALL.split("-")[2]
    assert attributes[names.PLAYOUT_PROMPT] == prompt


def test_a_prompt_goes_on_when_the_brain_is_lost(made: InMemorySpanExporter) -> None:
    reports = PlayoutReports(FACTS, CALL)
    for utterance_id in (1, CONSENT_ID):
        reports.released(utterance_id, "")
        reports.report(PlayoutStarted(utterance_id, 0), 0)
    reports.close(20_000, "brain lost", CONSENT_ID)
    assert one(made, names.PLAYOUT)[1][names.PLAYOUT_UTTERANCE_ID] == 1
    reports.report(PlayoutFinished(CONSENT_ID, 160, End.COMPLETED), 40_000)
    assert [(span.attributes or {})[names.PLAYOUT_END] for span in made.get_finished_spans()] == [
        "brain lost",
        "completed",
    ]


def test_the_first_audio_is_the_agents(made: InMemorySpanExporter) -> None:
    clock, observer = [0], Observer()
    prompt = [AudioFrame(0, 0, 8000, bytes(320), CONSENT_ID, END_OF_UTTERANCE)]
    agent = AgentCall(FACTS, CALL, lambda: clock[0], Mock(), Mock(), Mock(), Mock(), first=prompt, observer=observer)
    agent.dialogue, agent.bus = Mock(), Mock()
    for utterance_id in (1, 2):
        agent._agent_frame(AudioFrame(0, 0, 8000, b"\x11" * 320, utterance_id, END_OF_UTTERANCE))
        agent._command(brain_pb2.CallCommand(play=brain_pb2.Play(utterance_id=utterance_id, traceparent=TURN)))
    for clock[0] in (0, 20_000, 40_000):
        agent.speak(clock[0])
        agent.sent()
    assert observer.actions == ["first audio 20000"]
    assert [parent_of(span) for span in made.get_finished_spans()] == [CALL.split("-")[2], *["00000000000000aa"] * 2]


def test_a_play_without_a_trace_belongs_to_the_call(made: InMemorySpanExporter) -> None:
    spans = PlayoutSpans(FACTS, CALL)
    spans.started(1, 0, 0)
    spans.finished(1, 1, 0.0, "completed")
    assert parent_of(one(made, names.PLAYOUT)[0]) == CALL.split("-")[2]


def test_frames_that_never_came_are_an_error(made: InMemorySpanExporter) -> None:
    reports = PlayoutReports(FACTS, CALL)
    reports.released(1, TURN)
    reports.report(PlayoutStarted(1, 0), 0)
    reports.report(PlayoutFinished(1, 160, End.STARVED), 5_000_000)
    span, attributes = one(made, names.PLAYOUT)
    assert span.status.status_code is StatusCode.ERROR
    assert attributes[names.ERROR_TYPE] == "starved"


# REFER


async def referring(office: Any, asked: Any = NO_CONTEXT) -> tuple[Any, Any, Any]:
    gateway = office()
    gateway.carrier.invite("front_desk")
    (live,) = gateway.board.calls.values()
    target = "sip:+4930222@127.0.0.1"
    answered = gateway.board.transfers.refer(live, target, refer_span(live, target, asked))
    return gateway, live, answered


@pytest.mark.parametrize(
    ("notified", "result", "failed"),
    [(200, "200 OK", False), (486, "486 Busy", True), (None, "0", False)],
)
async def test_a_transfer_by_refer(
    office: Any, spans: InMemorySpanExporter, notified: int | None, result: str, failed: bool
) -> None:
    gateway, live, _ = await referring(office)
    gateway.board.transfers.answered(ReferAnswered(live.sip, 202, "Accepted"))
    phrase = result.partition(" ")[2]
    gateway.board.transfers.notified(ReferNotified(live.sip, notified, phrase, True))
    span, attributes = one(spans, names.SIP_REFER)
    assert (attributes[names.SIP_STATUS], attributes[names.TRANSFER_RESULT]) == (202, result)
    assert (span.status.status_code is StatusCode.ERROR) == failed
    assert parent_of(span) == live.traceparent.split("-")[2]
    assert not span.links


async def test_a_refer_is_below_whoever_asked_and_links_to_the_call(office: Any, spans: InMemorySpanExporter) -> None:
    gateway, live, _ = await referring(office, context_from_traceparent(TURN))
    gateway.board.transfers.answered(ReferAnswered(live.sip, 603, "Decline"))
    span, attributes = one(spans, names.SIP_REFER)
    assert parent_of(span) == "00000000000000aa"
    assert [format(link.context.span_id, "016x") for link in span.links] == [live.traceparent.split("-")[2]]
    assert (span.status.status_code, attributes[names.ERROR_TYPE]) == (StatusCode.ERROR, "603")


# The end


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("media timeout", "media_timeout"),
        ("no brain", "no_brain"),
        ("internal error", "internal_error"),
        ("shutting down", "shutting_down"),
        ("call too long", None),
        ("thank you for calling", None),
    ],
)
async def test_ends_that_are_failures(
    office: Any, spans: InMemorySpanExporter, kept: list[str], words: str, error: str | None
) -> None:
    gateway = office()
    gateway.carrier.invite("echo")
    (live,) = gateway.board.calls.values()
    gateway.board.hang_up(live, words)
    span, attributes = one(spans, names.CALL_HANGUP)
    assert (span.status.status_code is StatusCode.ERROR) == (error is not None)
    assert attributes.get(names.ERROR_TYPE) == error
    assert (attributes[names.CODEC], attributes[names.TRUNK]) == ("PCMU", "carrier")
    assert kept == ([f"call failed: {error}"] if error else [])


@pytest.mark.parametrize(
    ("mos", "encoding", "why"),
    [
        (3.59, "PCMU", "bad quality: MOS 3.59"),
        (3.6, "PCMA", ""),
        (2.0, "G722", ""),
        (None, "PCMU", ""),
        (2.0, "", ""),
    ],
)
def test_bad_quality(mos: float | None, encoding: str, why: str) -> None:
    record: dict[str, int | float] = {} if mos is None else {names.RTP_MOS_CONVERSATIONAL: mos}
    assert bad_quality(record, encoding) == why
