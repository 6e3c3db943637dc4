"""How to tell that a program is ready: a health check answered over gRPC, a NATS greeting, an HTTP answer."""

import asyncio
import contextlib
from urllib.parse import urlsplit

from services.common.rpc import connect
from tandem.processes import Ready

ASK_FOR_S = 1.0


def grpc_serving(address: str) -> Ready:
    """grpc.health.v1 answers SERVING for the whole server."""

    async def ready() -> bool:
        import grpc  # here: `tandem --help` must not wait for it
        from grpc_health.v1 import health_pb2, health_pb2_grpc

        if not await _accepts(address):  # cheaper than a channel whose first attempt fails and backs off
            return False
        async with connect(address) as channel:
            with contextlib.suppress(grpc.aio.AioRpcError):
                answer = await health_pb2_grpc.HealthStub(channel).Check(
                    health_pb2.HealthCheckRequest(), timeout=ASK_FOR_S
                )
                return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
        return False

    return ready


def nats_greets(url: str) -> Ready:
    """The server sends its INFO line."""
    address = urlsplit(url).netloc

    async def ready() -> bool:
        return (await _exchange(address, b"")).startswith(b"INFO")

    return ready


def http_answers(address: str, path: str = "/") -> Ready:
    """Any HTTP status: the server runs, whatever it thinks of the path."""
    request = f"GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()

    async def ready() -> bool:
        return (await _exchange(address, request)).startswith(b"HTTP/")

    return ready


async def _accepts(address: str) -> bool:
    return await _talk(address, None) is not None


async def _exchange(address: str, request: bytes) -> bytes:
    return await _talk(address, request) or b""


async def _talk(address: str, request: bytes | None) -> bytes | None:
    """The first bytes of the answer; empty at once when `request` is None; None when nobody listens."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(ASK_FOR_S):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            try:
                if request is None:
                    return b""
                writer.write(request)
                return await reader.read(64)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
