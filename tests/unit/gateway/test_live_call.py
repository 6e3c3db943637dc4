"""What is traced of a transfer, and that it is traced once."""

import asyncio

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.common.telemetry import names
from services.gateway.live_call import Refer


async def test_the_end_of_the_call_closes_a_refer_once(caplog) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for before in ([(202, "Accepted")], []):
        answered: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        refer = Refer(answered, provider.get_tracer("test").start_span("refer"))
        for status, phrase in before:
            refer.answer(status, phrase)
        refer.answer(487, "Call over")
        refer.close("call over")
        assert await answered == (before or [(487, "Call over")])[0]
    taken, unanswered = (span.attributes or {} for span in exporter.get_finished_spans())
    assert (taken[names.SIP_STATUS], taken[names.TRANSFER_RESULT]) == (202, "call over")
    assert (unanswered[names.SIP_STATUS], unanswered[names.TRANSFER_RESULT]) == (487, "call over")
    assert caplog.text == ""


async def test_a_refused_refer_closes_its_span() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    answered: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
    refer = Refer(answered, provider.get_tracer("test").start_span("refer"))
    refer.answer(403, "Forbidden")
    assert await answered == (403, "Forbidden")
    refer.close("403 Forbidden")
    (span,) = exporter.get_finished_spans()
    assert (span.attributes or {})[names.SIP_STATUS] == 403
