"""`python -m services.escalation` as `tandem up` runs it: settings, health, the trace, the end."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from services.common.rpc import connect, free_port
from services.common.telemetry import names, receiver
from services.common.telemetry.store import TraceReader
from services.common.telemetry.trace import traceparent_of
from tandem.v1.call_pb2 import CallFacts
from tandem.v1.escalation_pb2 import EscalateRequest, EscalateStart
from tandem.v1.escalation_pb2_grpc import EscalationStub


async def until_serving(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for _ in range(200):
        try:
            answer = await health.Check(health_pb2.HealthCheckRequest(service="tandem.v1.Escalation"), timeout=1)
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
        except grpc.aio.AioRpcError:
            pass
        await asyncio.sleep(0.05)
    raise AssertionError("escalation does not serve")


async def test_a_transfer_in_the_trace(nats_url: str, gateway: Any, receiver_: Any, tmp_path: Path) -> None:
    database = tmp_path / "traces.db"
    traces = await receiver.serve("127.0.0.1:0", database)
    endpoint = f"http://127.0.0.1:{traces.port}"
    provider = TracerProvider(resource=Resource.create({"service.name": "brain"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=True)))
    turn = provider.get_tracer("test").start_span(names.TURN, attributes={names.CALL_ID: "c1"})

    port = free_port()
    settings = tmp_path / "tandem.yaml"
    settings.write_text(f"nats_url: {nats_url}\notlp_endpoint: {endpoint}\nescalation:\n  address: 127.0.0.1:{port}\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.escalation", "--settings", str(settings)
    )
    try:
        async with connect(f"127.0.0.1:{port}") as channel:
            await until_serving(channel)
            stream = EscalationStub(channel).Escalate(metadata=[("traceparent", traceparent_of(turn))])
            facts = CallFacts(call_id="c1", agent="front_desk", control_address=gateway.address)
            start = EscalateStart(facts=facts, destination="sip:desk@pbx.example", ticket_url=receiver_.url)
            await stream.write(EscalateRequest(start=start))
            while (response := await stream.read()).WhichOneof("response") == "progress":
                if response.progress.step == "REFER accepted":
                    gateway.notify(180)
                    gateway.notify(486, "Busy Here", final=True)
            assert response.outcome.reason == "busy"
        await asyncio.to_thread(turn.end)
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == 0
        await traces.stop()

    with TraceReader(database) as reader:
        spans = reader.trace_of_call("c1")
    by_id = {span.span_id: span for span in spans}
    edges = {(by_id[span.parent_id].name if span.parent_id else "", span.service, span.name) for span in spans}
    assert edges == {
        ("", "brain", names.TURN),
        (names.TURN, "escalation", names.TRANSFER),
        (names.TRANSFER, "escalation", names.TICKET),
        (names.TRANSFER, "escalation", names.TRANSFER_LEG),
    }
    (leg,) = [span for span in spans if span.name == names.TRANSFER_LEG]
    assert gateway.traceparents["Refer"].split("-")[2] == leg.span_id, "the gateway's sip.refer is a child of the leg"
    (hand_over,) = [span for span in spans if span.name == names.TRANSFER]
    assert hand_over.attributes == {
        names.CALL_ID: "c1",
        names.AGENT: "front_desk",
        names.TRANSFER_DESTINATION: "sip:desk@pbx.example",
        names.TRANSFER_RESULT: "returned",
        names.TRANSFER_REASON: "busy",
        names.TRANSFER_PRESUMED: False,
        names.TICKET_ID: response.outcome.ticket_id,
        names.SIP_STATUS: 486,
        names.RPC_SYSTEM: "grpc",
        names.RPC_METHOD: "tandem.v1.Escalation/Escalate",
    }
    assert [event.name for event in hand_over.events] == ["ticket filed", "REFER accepted", "ringing"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("escalation:\n  adress: 1\n", "tandem.yaml:2: escalation.adress: unknown key"),
        ("nats_url: nats://127.0.0.1:1\n", "no NATS server answers at nats://127.0.0.1:1"),
        ("escalation:\n  ring_timeout_ms: 10\n", "tandem.yaml:2: escalation.ring_timeout_ms: "),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, text: str, said: str) -> None:
    settings = tmp_path / "tandem.yaml"
    settings.write_text(text)
    command = [sys.executable, "-m", "services.escalation", "--settings", str(settings)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
