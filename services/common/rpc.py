"""gRPC as every service uses it: one way to serve, one way to connect, trace context in the metadata."""

import gc
import os
import socket
from collections.abc import Sequence
from typing import Any

# gRPC's core writes its own lines to stderr beside our errors; before the import, or it is too late.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry.context import Context

from services.common.telemetry.trace import context_from_traceparent, current_traceparent
from tandem.v1.call_pb2 import ErrorReason

HEARTBEAT_S = 0.5
# Four heartbeats: a garbage collection or a busy core must not look like a death.
SILENCE_MEANS_DEAD_S = 2.0
# Of Converse after a brain was lost: `traceparent` is call.recovery's then, and this one call.setup's.
CALL_TRACEPARENT = "call-traceparent"


class AddressTaken(OSError):
    """Another process listens on the address."""


class RpcServer:
    """A gRPC server with health and reflection; SERVING is told only by `ready`."""

    def __init__(self, address: str, service_names: Sequence[str]) -> None:
        self.address = address
        self._names = [*service_names, ""]
        self.server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.server)
        reflection.enable_server_reflection([*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME], self.server)

    async def start(self) -> int:
        """Listens and returns the port. Raises AddressTaken."""
        try:
            port = self.server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise AddressTaken(f"cannot listen on {self.address} for gRPC: {error}") from error
        await self.server.start()
        return port

    async def ready(self, ready: bool = True) -> None:
        """Answers health checks with SERVING, once all is loaded, or with NOT_SERVING when draining."""
        if ready:
            # It stays: a full collection need not look at it again, which would hold up all calls (in a brain, with
            # LiteLLM, for a quarter of a second).
            gc.collect()
            gc.freeze()
        serving = health_pb2.HealthCheckResponse
        status = serving.SERVING if ready else serving.NOT_SERVING
        for name in self._names:
            await self._health.set(name, status)

    async def stop(self, grace_s: float = 1.0) -> None:
        await self._health.enter_graceful_shutdown()
        await self.server.stop(grace_s)


def connect(address: str) -> grpc.aio.Channel:
    """A channel to a service; round_robin spreads calls over the pods behind a headless Service."""
    return grpc.aio.insecure_channel(
        address,
        options=[
            ("grpc.lb_policy_name", "round_robin"),
            # Channels to one address otherwise share a connection, and its back-off after a server that is gone.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 4_000),
            # A service that comes back must be found in time for the next call, not after two minutes.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ],
    )


def trace_metadata(traceparent: str | None = None) -> list[tuple[str, str]]:
    """Metadata that carries the given (or the current) span to the service called."""
    value = traceparent or current_traceparent()
    return [("traceparent", value)] if value else []


def caller_context(context: "grpc.aio.ServicerContext[Any, Any]") -> Context:
    """The trace context that came with an RPC; an empty one when none came."""
    return context_from_traceparent(caller_traceparent(context))


def caller_traceparent(context: "grpc.aio.ServicerContext[Any, Any]", key: str = "traceparent") -> str:
    """The W3C traceparent that came with an RPC, or under another key; empty when none came."""
    for given, value in context.invocation_metadata() or ():
        if given == key and isinstance(value, str):
            return value
    return ""


async def abort(
    context: "grpc.aio.ServicerContext[Any, Any]", code: grpc.StatusCode, message: str, reason: "ErrorReason.ValueType"
) -> None:
    """Ends the RPC with a google.rpc.Status that carries the reason. Never returns."""
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason=ErrorReason.Name(reason), domain="tandem"))
    rich = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=message, details=[detail])
    await context.abort(code, message, (("grpc-status-details-bin", rich.SerializeToString()),))


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Liveness:
    """Has the other side of a stream been heard lately? Pure: local times are seconds."""

    def __init__(self, now: float, limit_s: float = SILENCE_MEANS_DEAD_S) -> None:
        self._heard = now
        self._limit_s = limit_s

    def heard(self, now: float) -> None:
        self._heard = now

    def dead(self, now: float) -> bool:
        return now - self._heard > self._limit_s
