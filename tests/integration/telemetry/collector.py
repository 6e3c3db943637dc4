"""An OTLP collector for tests: real exports over gRPC in, the store's spans out, each with the time it came."""

import time
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from services.common.rpc import RpcServer
from services.common.telemetry.otlp import spans_of
from services.common.telemetry.storedspan import Span


@dataclass(frozen=True, slots=True)
class Exported:
    """A span, and when its export came, ns since 1970: on this machine's clock, as the span's own times are."""

    span: Span
    came_ns: int


class Collector(TraceServiceServicer):
    """Listens on loopback from `start` to `stop`, and forgets nothing."""

    def __init__(self) -> None:
        self.exported: list[Exported] = []
        self.endpoint = ""
        """For OTEL_EXPORTER_OTLP_ENDPOINT."""
        self._server = RpcServer("127.0.0.1:0", [])

    async def start(self) -> None:
        add_TraceServiceServicer_to_server(self, self._server.server)  # type: ignore[no-untyped-call]
        self.endpoint = f"http://127.0.0.1:{await self._server.start()}"

    async def stop(self) -> None:
        await self._server.stop(0.2)

    async def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:
        now = time.time_ns()
        self.exported += [Exported(span, now) for span in spans_of(request)]
        return ExportTraceServiceResponse()

    def trace(self, trace_id: str) -> list[Exported]:
        """What came of a trace, by the time at which each span began."""
        found = [one for one in self.exported if one.span.trace_id == trace_id]
        return sorted(found, key=lambda one: one.span.start_ns)
