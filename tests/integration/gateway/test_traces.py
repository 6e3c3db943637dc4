"""What a real gateway traces: one trace a call, also where the other side's goes on, and where brains are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from services.common.rpc import CALL_TRACEPARENT
from services.common.telemetry import names
from tandem.v1 import brain_pb2

THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRUNK = {"name": "sbc", "allow": ["127.0.0.0/8"], "trace_header": "Traceparent", "trace_send": True}

Ended = Callable[..., Awaitable[ReadableSpan]]


@pytest.fixture
def ended() -> Ended:
    """ended(name, **attributes) waits until such a span has been exported."""
    if not isinstance(otel.get_tracer_provider(), TracerProvider):
        otel.set_tracer_provider(TracerProvider())
    exporter = InMemorySpanExporter()
    provider: Any = otel.get_tracer_provider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def wait(name: str, within_s: float = 5) -> ReadableSpan:
        async with asyncio.timeout(within_s):
            while True:
                found = [span for span in exporter.get_finished_spans() if span.name == name]
                if found:
                    assert len(found) == 1
                    return found[0]
                await asyncio.sleep(0.01)

    return wait


def ids(span: Any) -> list[str]:
    """As a traceparent has them."""
    return [format(span.trace_id, "032x"), format(span.span_id, "016x")]


async def test_one_trace(gateway, brain, speak, sounds, ended: Ended) -> None:
    phone = await (await gateway()).telephone()
    assert await phone.invite("front_desk") == 200
    talk = await brain.conversation()
    setup = await ended(names.CALL_SETUP)  # while the call lives
    assert setup.parent is None
    assert setup.attributes[names.CALL_ID] == talk.facts.call_id
    assert setup.attributes[names.SIP_CALL_ID] == phone.call_id
    assert (setup.attributes[names.CODEC], setup.attributes[names.AGENT]) == ("PCMU", "front_desk")
    assert [event.name for event in setup.events] == ["trying", "answered", "acknowledged"]
    assert 0 < setup.attributes[names.SIP_ANSWERED_MS] <= setup.attributes[names.SIP_ACK_MS] < 5000
    trace_id, span_id = ids(setup.context)
    assert talk.metadata["traceparent"].split("-")[1:3] == [trace_id, span_id]
    turn = f"00-{trace_id}-00000000000000aa-01"
    await speak(talk.facts.call_id, 1, sounds.tone(440, 200))
    talk.command(play=brain_pb2.Play(utterance_id=1, traceparent=turn))
    await talk.wait_for("playout_finished")
    await phone.bye()
    await talk.wait_for("hung_up")
    playout, hangup = await ended(names.PLAYOUT), await ended(names.CALL_HANGUP)
    assert playout.parent.span_id == 0xAA
    assert playout.context.trace_id == hangup.context.trace_id == setup.context.trace_id
    assert (playout.attributes[names.PLAYOUT_PLAYED_MS], playout.attributes[names.PLAYOUT_END]) == (200, "completed")
    assert (playout.end_time - playout.start_time) / 1e6 == pytest.approx(180, abs=50)
    assert hangup.parent.span_id == setup.context.span_id
    assert hangup.attributes[names.HANGUP_REASON] == "BYE"
    assert hangup.attributes["rtp.packets_sent"] > 5


async def test_the_trace_of_whoever_calls_goes_on(gateway, brain, ended: Ended) -> None:
    running = await gateway(trunks=[TRUNK], routes=[{"called": "front_desk", "agent": "front_desk"}])
    phone = await running.telephone()
    assert await phone.invite("front_desk", headers=f"Traceparent: {THEIRS}\r\n") == 200
    talk = await brain.conversation()
    setup = await ended(names.CALL_SETUP)
    assert ids(setup.parent) == THEIRS.split("-")[1:3]
    assert setup.attributes[names.SIP_TRACE_JOINED] is True
    ours = "-".join(["00", *ids(setup.context), "01"])
    assert talk.metadata["traceparent"] == ours
    assert f"\r\nTraceparent: {ours}\r\n" in phone.last_response
    await phone.bye()
    assert ids((await ended(names.CALL_HANGUP)).parent) == ids(setup.context)


async def test_a_brain_that_takes_over_is_below_the_recovery(gateway, brain, ended: Ended) -> None:
    running = await gateway()
    phone = await running.telephone()
    assert await phone.invite("front_desk") == 200
    talk = await brain.conversation()
    assert CALL_TRACEPARENT not in talk.metadata
    setup = await ended(names.CALL_SETUP)
    port = brain.port
    await brain.stop()
    await brain.serve(port)
    again = await brain.conversation(5)
    recovery = await ended(names.CALL_RECOVERY)
    assert recovery.parent.span_id == setup.context.span_id
    assert recovery.attributes[names.RECOVERY_RESULT] == "taken over"
    assert recovery.attributes[names.RECOVERY_WHY]
    assert again.metadata["traceparent"].split("-")[1:3] == ids(recovery.context)
    assert again.metadata[CALL_TRACEPARENT] == talk.metadata["traceparent"]
    await phone.bye()


async def test_no_brain_is_told_from_the_loss_to_the_apology(gateway, ended: Ended) -> None:
    running = await gateway(brain_address="127.0.0.1:9")
    phone = await running.telephone()
    assert await phone.invite("front_desk") == 200
    setup = await ended(names.CALL_SETUP)
    recovery = await ended(names.CALL_RECOVERY)
    assert recovery.attributes[names.RECOVERY_RESULT] == "fall-back"
    assert recovery.status.status_code is StatusCode.ERROR
    await phone.incoming("BYE", 20)
    apology, hangup = await ended(names.PLAYOUT), await ended(names.CALL_HANGUP)
    assert ids(apology.parent) == ids(recovery.context)
    assert apology.attributes[names.PLAYOUT_PROMPT] == "apology"
    assert ids(hangup.parent) == ids(setup.context)
    assert hangup.status.status_code is StatusCode.ERROR
    assert hangup.attributes[names.ERROR_TYPE] == "no_brain"
