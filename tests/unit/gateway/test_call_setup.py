"""`call.setup`: what it tells of each way in which a call comes about or does not, and whose child it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from services.common.telemetry import names
from services.common.telemetry.schema.attribute import declared as declared_attribute
from services.common.telemetry.schema.span import declared as declared_span
from services.common.telemetry.trace import context_from_traceparent
from services.gateway import call_setup, live_call
from services.gateway.blind_transfer import refer_span
from services.gateway.sip.profile import Profile
from services.gateway.sip.reliable import OneHundredRel
from tandem.v1 import gateway_pb2 as pb
from tests.unit.gateway.office import sdp, trunk
from tests.unit.gateway.test_takeover import refer, replaces

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is told of traces: (keep or over, why)."""
    found: list[tuple[str, str]] = []
    for module in (call_setup, live_call):
        monkeypatch.setattr(module, "keep", lambda traceparent, why: found.append(("keep", why)))
        monkeypatch.setattr(module, "call_over", lambda traceparent: found.append(("over", "")))
    return found


@pytest.fixture(autouse=True)
def as_declared(spans: InMemorySpanExporter) -> Any:
    """Whatever a test here makes is in the schema."""
    yield
    for span in spans.get_finished_spans():
        schema = declared_span(span.name)
        assert schema is not None, span.name
        assert {event.name for event in span.events} <= set(schema.events)
        for name, value in (span.attributes or {}).items():
            attribute = declared_attribute(name)
            assert attribute is not None, name
            assert attribute.allows(value), (name, value)


def setups(spans: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == names.CALL_SETUP]


def setup(spans: InMemorySpanExporter) -> tuple[ReadableSpan, dict[str, Any], list[str]]:
    (span,) = setups(spans)
    return span, dict(span.attributes or {}), [event.name for event in span.events]


def times(attributes: dict[str, Any]) -> list[float | None]:
    asked = (names.SIP_TRYING_MS, names.SIP_RINGING_MS, names.SIP_ANSWERED_MS, names.SIP_ACK_MS)
    return [attributes.get(name) for name in asked]


RINGS = {"routes": [{"called": "desk", "agent": "front_desk", "ring_s": 3}]}


async def test_rung_answered_acknowledged(office: Any, spans: InMemorySpanExporter) -> None:
    one = office(**RINGS)
    one.carrier.invite("desk")
    one.clock.now += 0.25
    one.run(2.75)
    span, attributes, events = setup(spans)
    assert events == ["trying", "ringing", "answered", "acknowledged"]
    assert times(attributes) == [0, 0, 3000, 3000]
    assert attributes[names.SIP_DIRECTION] == "inbound"
    assert attributes[names.TRUNK] == "carrier"
    assert attributes[names.SIP_STATUS] == 200
    assert attributes[names.CODEC] == "PCMU"
    assert attributes[names.SIP_TRACE_JOINED] is False
    (live,) = one.board.calls.values()
    assert attributes[names.CALL_ID] == live.facts.call_id
    assert attributes[names.SIP_CALL_ID] == live.facts.sip_call_id
    assert span.parent is None
    assert span.status.status_code is StatusCode.UNSET


async def test_exported_at_the_ack_and_not_before(office: Any, spans: InMemorySpanExporter) -> None:
    one = office()
    one.carrier.deaf = True
    one.carrier.invite("echo")
    assert setups(spans) == []
    one.carrier.deaf = False
    one.run(0.6)  # the 200 once more
    _, attributes, events = setup(spans)
    assert events == ["trying", "answered", "acknowledged"]
    assert times(attributes) == [0, None, 0, 500]
    assert len(one.board.calls) == 1


async def test_early_media(office: Any, spans: InMemorySpanExporter) -> None:
    one = office(routes=[{"called": "desk", "echo": True, "ring_s": 2, "early_media": True}])
    one.carrier.invite("desk")
    one.run(2)
    assert setup(spans)[2] == ["trying", "early media", "answered", "acknowledged"]


async def test_a_200_that_waits_for_the_prack(office: Any, spans: InMemorySpanExporter) -> None:
    one = office(routes=[{"called": "desk", "echo": True, "ring_s": 1, "early_media": True}])
    one.carrier.profile = Profile(one_hundred_rel=OneHundredRel.SUPPORTED)
    one.carrier.deaf = True
    one.carrier.invite("desk")
    one.run(1.2)
    assert len(one.board.calls) == 1
    one.carrier.deaf = False
    one.run(1)  # the 183 comes again at 1.5 s, and is acknowledged
    _, attributes, events = setup(spans)
    assert events == ["trying", "early media", "answered", "acknowledged"]
    assert times(attributes)[2:] == [1500, 1500]


async def test_no_ack(office: Any, spans: InMemorySpanExporter, told: list[tuple[str, str]]) -> None:
    one = office()
    one.carrier.deaf = True
    one.carrier.invite("echo")
    one.run(40)
    span, attributes, events = setup(spans)
    assert events == ["trying", "answered"]
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "no ACK")
    assert attributes[names.ERROR_TYPE] == "no_ack"
    (hangup,) = [span for span in spans.get_finished_spans() if span.name == names.CALL_HANGUP]
    assert hangup.status.status_code is StatusCode.ERROR
    assert told == [("keep", "call failed: no_ack"), ("over", "")]


@pytest.mark.parametrize(
    ("user", "settings", "status", "why", "failed"),
    [
        ("echo", {"max_calls": 1}, 503, "gateway_full", True),
        ("nobody", {}, 404, "no_route", False),
        ("nobody", {"fallback": {"reject": 486}}, 486, "refused_by_route", False),
    ],
)
async def test_refused(
    office: Any,
    spans: InMemorySpanExporter,
    told: list[tuple[str, str]],
    user: str,
    settings: dict[str, Any],
    status: int,
    why: str,
    failed: bool,
) -> None:
    one = office(**settings)
    if "max_calls" in settings:
        one.board.admission.admit("another", "carrier", 0)
    one.carrier.invite(user)
    span, attributes, _ = setup(spans)
    assert (attributes[names.SIP_STATUS], attributes[names.HANGUP_REASON]) == (status, why)
    assert (span.status.status_code is StatusCode.ERROR) == failed
    assert attributes.get(names.ERROR_TYPE) == (why if failed else None)
    assert told == [*([("keep", f"call failed: {why}")] if failed else []), ("over", "")]


async def test_cancelled_is_no_error(office: Any, spans: InMemorySpanExporter, told: list[tuple[str, str]]) -> None:
    one = office(**RINGS)
    call = one.carrier.invite("desk")
    one.carrier.bye(call)  # CANCEL
    span, attributes, events = setup(spans)
    assert events == ["trying", "ringing"]
    assert (attributes[names.SIP_STATUS], attributes[names.HANGUP_REASON]) == (487, "cancelled")
    assert span.status.status_code is StatusCode.UNSET
    assert told == [("over", "")]


async def test_no_codec_in_common(office: Any, spans: InMemorySpanExporter) -> None:
    one = office()
    one.carrier.invite("echo", offer=sdp().replace(b"RTP/AVP 0 8", b"RTP/AVP 18"))
    _, attributes, _ = setup(spans)
    assert (attributes[names.SIP_STATUS], attributes[names.HANGUP_REASON]) == (488, "sdp")


async def test_a_defect_is_an_error(office: Any, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    one = office()

    def defect(*_: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(one.board.media, "negotiation", defect)
    one.carrier.invite("echo")
    span, attributes, _ = setup(spans)
    assert span.status.status_code is StatusCode.ERROR
    assert attributes[names.ERROR_TYPE] == "internal_error"


# The other side's trace.


@pytest.mark.parametrize("header", ["Traceparent", "X-Our-Trace"])
async def test_the_trunks_trace_goes_on(office: Any, spans: InMemorySpanExporter, header: str) -> None:
    one = office(trunks=[trunk(trace_header=header.lower())])
    one.carrier.invite("front_desk", headers=[(header, TRACEPARENT)])
    span, attributes, _ = setup(spans)
    assert span.parent is not None
    assert (format(span.parent.trace_id, "032x"), format(span.parent.span_id, "016x")) == (TRACE, SPAN)
    assert attributes[names.SIP_TRACE_JOINED] is True
    (live,) = one.board.calls.values()
    assert live.traceparent.split("-")[1] == TRACE


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        f"00-{TRACE}-{SPAN}",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"{TRACEPARENT}, {TRACEPARENT}",
    ],
)
async def test_what_is_no_traceparent_is_ignored(office: Any, spans: InMemorySpanExporter, value: str) -> None:
    one = office(trunks=[trunk(trace_header="Traceparent")])
    one.carrier.invite("echo", headers=[("Traceparent", value)])
    span, attributes, _ = setup(spans)
    assert span.parent is None
    assert attributes[names.SIP_TRACE_JOINED] is False


async def test_two_of_them_are_none(office: Any, spans: InMemorySpanExporter) -> None:
    one = office(trunks=[trunk(trace_header="Traceparent")])
    one.carrier.invite("echo", headers=[("Traceparent", TRACEPARENT), ("Traceparent", TRACEPARENT)])
    assert setup(spans)[0].parent is None


async def test_a_trunk_that_was_not_asked_decides_nothing(office: Any, spans: InMemorySpanExporter) -> None:
    one = office()
    one.carrier.invite("echo", headers=[("Traceparent", TRACEPARENT)])
    assert setup(spans)[0].parent is None
    assert "raceparent" not in "".join(data.decode() for data, _ in one.wire)


async def test_our_200_tells_our_span(office: Any, spans: InMemorySpanExporter) -> None:
    one = office(trunks=[trunk(trace_header="Traceparent", trace_send=True)])
    one.carrier.invite("echo")
    (live,) = one.board.calls.values()
    (answer,) = {data for data, _ in one.wire if data.startswith(b"SIP/2.0 200")}
    assert f"\r\nTraceparent: {live.setup.traceparent}\r\n".encode() in answer


async def test_our_invite_and_refer_tell_our_span(office: Any, spans: InMemorySpanExporter) -> None:
    one = office(trunks=[trunk(trace_header="X-Trace", trace_send=True)])
    one.place()
    (called,) = one.carrier.called
    one.carrier.answer(called)
    (live,) = one.board.calls.values()
    assert called.headers.get("X-Trace") == live.setup.traceparent
    span = refer_span(live, "sip:+4930222@127.0.0.1", call_setup.NO_CONTEXT)
    one.board.transfers.refer(live, "sip:+4930222@127.0.0.1", span)
    (sent,) = [data for data, _ in one.wire if data.startswith(b"REFER")]
    assert f"\r\nX-Trace: {call_setup.traceparent_of(span)}\r\n".encode() in sent


# Calls of ours.


async def test_a_call_of_ours(office: Any, spans: InMemorySpanExporter) -> None:
    one = office()
    one.carrier.deaf = True
    one.place()
    one.clock.now += 0.1
    one.carrier.deaf = False
    one.run(0.4)
    (called,) = one.carrier.called
    one.clock.now += 1
    one.carrier.do(one.carrier.agent.ringing(called, one.clock.now))
    one.clock.now += 2
    one.carrier.answer(called)
    _, attributes, events = setup(spans)
    assert events == ["trying", "ringing", "answered", "acknowledged"]
    assert times(attributes) == [500, 1500, 3500, 3500]
    assert attributes[names.SIP_DIRECTION] == "outbound"
    assert attributes[names.CODEC] == "PCMU"


@pytest.mark.parametrize(
    ("status", "error"), [(486, None), (603, None), (404, None), (503, "unreachable"), (488, "not_acceptable")]
)
async def test_a_call_of_ours_that_is_refused(
    office: Any, spans: InMemorySpanExporter, told: list[tuple[str, str]], status: int, error: str | None
) -> None:
    one = office()
    one.place()
    (called,) = one.carrier.called
    one.carrier.do(one.carrier.agent.reject(called, status, one.clock.now))
    span, attributes, _ = setup(spans)
    assert attributes[names.SIP_STATUS] == status
    assert attributes.get(names.ERROR_TYPE) == error
    assert (span.status.status_code is StatusCode.ERROR) == (error is not None)
    assert told == [*([("keep", f"call failed: {error}")] if error else []), ("over", "")]


async def test_a_call_placed_for_another_does_not_end_its_trace(
    office: Any, spans: InMemorySpanExporter, told: list[tuple[str, str]]
) -> None:
    one = office()
    asked = pb.OriginateRequest(trunk="carrier", to="+4930111", agent="front_desk")
    the_trunk = one.signalling.trunks.named("carrier")
    one.board.outgoing.place(asked, the_trunk, context_from_traceparent(TRACEPARENT), lambda _: None)
    one.settle()
    (called,) = one.carrier.called
    one.carrier.answer(called)
    one.carrier.bye(called)
    span, attributes, _ = setup(spans)
    assert format(span.parent.span_id, "016x") == SPAN
    assert attributes[names.SIP_TRACE_JOINED] is False
    assert told == []


# Devices that take the call over.


async def test_replaces_is_a_child_of_the_call(
    office: Any, spans: InMemorySpanExporter, told: list[tuple[str, str]]
) -> None:
    one = office()
    first = one.carrier.invite("front_desk")
    one.clock.now += 5
    second = one.carrier.invite("front_desk", headers=replaces(first))
    before, after = setups(spans)
    assert after.parent is not None
    assert after.parent.span_id == before.context.span_id
    assert [event.name for event in after.events] == ["trying", "answered", "acknowledged"]
    assert (after.attributes or {})[names.CALL_ID] == (before.attributes or {})[names.CALL_ID]
    assert told == []  # the call lives on
    (live,) = one.board.calls.values()
    one.carrier.bye(second)
    await live.task
    await asyncio.sleep(0)
    (hangup,) = [span for span in spans.get_finished_spans() if span.name == names.CALL_HANGUP]
    assert hangup.parent is not None
    assert hangup.parent.span_id == before.context.span_id
    assert told == [("over", "")]


async def test_a_refer_that_we_follow_is_a_child_of_the_call(office: Any, spans: InMemorySpanExporter) -> None:
    one = office()
    first = one.carrier.invite("front_desk")
    refer(one, first)
    (called,) = one.carrier.called
    one.carrier.do(one.carrier.agent.ringing(called, one.clock.now))
    one.carrier.answer(called)
    before, after = setups(spans)
    assert after.parent is not None
    assert after.parent.span_id == before.context.span_id
    assert [event.name for event in after.events] == ["trying", "ringing", "answered", "acknowledged"]
    assert (after.attributes or {})[names.SIP_DIRECTION] == "outbound"


async def test_a_refer_whose_target_is_busy_leaves_the_trace_open(
    office: Any, spans: InMemorySpanExporter, told: list[tuple[str, str]]
) -> None:
    one = office()
    refer(one, one.carrier.invite("front_desk"))
    one.carrier.do(one.carrier.agent.reject(one.carrier.called[0], 486, one.clock.now))
    _, after = setups(spans)
    assert (after.attributes or {})[names.SIP_STATUS] == 486
    assert told == []
