"""A switchboard without sockets, and what it traces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.gateway import (
    blind_transfer,
    call_media,
    call_setup,
    incoming,
    live_call,
    originate,
    signalling,
    switchboard,
    takeover,
)
from tests.unit.gateway.office import Clock, Office, Ports


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for module in (blind_transfer, call_setup, live_call):
        monkeypatch.setattr(module, "tracer", lambda: provider.get_tracer("test"))
    return exporter


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch, spans: InMemorySpanExporter) -> Callable[..., Office]:
    """office(**settings) makes one; needs a running loop (an async test)."""

    def make(**settings: Any) -> Office:
        monkeypatch.setattr(call_media, "RtpPorts", Ports)
        clock: list[Clock] = []
        stand_in = SimpleNamespace(**vars(asyncio))
        stand_in.get_running_loop = lambda: clock[0]
        for module in (incoming, live_call, originate, signalling, switchboard, takeover):
            monkeypatch.setattr(module, "asyncio", stand_in, raising=False)
        monkeypatch.setattr(switchboard, "now_us", lambda: round(clock[0].now * 1e6))
        monkeypatch.setattr(live_call, "now_us", lambda: round(clock[0].now * 1e6))
        monkeypatch.setattr(call_media, "now_us", lambda: round(clock[0].now * 1e6))
        one = Office(**settings)
        clock.append(one.clock)
        return one

    return make
