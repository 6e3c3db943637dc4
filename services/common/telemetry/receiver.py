"""OTLP/gRPC in, SQLite out: the collector for a machine that has none.

python -m services.common.telemetry.receiver --address 127.0.0.1:4317 --database FILE
"""

import argparse
import asyncio
import signal
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from services.common import lifetime
from services.common.rpc import AddressTaken, RpcServer
from services.common.telemetry import log
from services.common.telemetry.log import logger
from services.common.telemetry.otlp import spans_of
from services.common.telemetry.store import StoreUnreadable, TraceStore, default_database

SERVICE_NAME = "opentelemetry.proto.collector.trace.v1.TraceService"


class _TraceService(TraceServiceServicer):
    """Answers an export when its spans are committed, so that an exporter's flush means what it says."""

    def __init__(self, store: TraceStore, writer: ThreadPoolExecutor) -> None:
        self._store = store
        self._writer = writer

    async def Export(
        self, request: ExportTraceServiceRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> ExportTraceServiceResponse:
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._write, request)
        except sqlite3.Error as error:
            logger().error("spans_not_stored", error=str(error))
            # The one code of the OTLP specification that an exporter retries and that says: our fault, later.
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"cannot store spans: {error}")
        return ExportTraceServiceResponse()

    def _write(self, request: ExportTraceServiceRequest) -> None:
        self._store.add(spans_of(request))


class Receiver:
    """A running receiver."""

    def __init__(self, server: RpcServer, port: int, store: TraceStore, writer: ThreadPoolExecutor) -> None:
        self.port = port
        self._server = server
        self._store = store
        self._writer = writer

    async def stop(self, grace_s: float = 1.0) -> None:
        """Takes what is in flight for at most grace_s, then closes the database."""
        await self._server.stop(grace_s)
        self._writer.shutdown(wait=True)
        self._store.close()


async def serve(address: str, database: Path) -> Receiver:
    """Listens at host:port (port 0: any free one). Raises AddressTaken, StoreUnreadable."""
    store = TraceStore(database)
    # SQLite wants one writer, and the event loop must not wait for the disk.
    writer = ThreadPoolExecutor(1, thread_name_prefix="trace-store")
    server = RpcServer(address, [SERVICE_NAME])
    add_TraceServiceServicer_to_server(_TraceService(store, writer), server.server)  # type: ignore[no-untyped-call]
    try:
        port = await server.start()
    except AddressTaken:
        store.close()
        raise
    await server.ready()
    return Receiver(server, port, store, writer)


async def _main(address: str, database: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    receiver = await serve(address, database)
    logger().info("listening", port=receiver.port, database=str(database))
    await stop.wait()
    await receiver.stop()


def main() -> None:
    """Exits 2 with one line when the address is taken or the database can't be written."""
    parser = argparse.ArgumentParser(prog="tandem-traces", description="Keeps OTLP traces in an SQLite file.")
    parser.add_argument("--address", default="127.0.0.1:4317", help="host:port for OTLP/gRPC (default: %(default)s)")
    parser.add_argument("--database", type=Path, default=default_database(), help="default: %(default)s")
    parser.add_argument("--end-with-parent", action="store_true", help="end when the starting process dies")
    arguments = parser.parse_args()
    if arguments.end_with_parent:
        lifetime.end_with_parent()
    log.set_up("traces")
    try:
        asyncio.run(_main(arguments.address, arguments.database))
    except (AddressTaken, StoreUnreadable) as error:
        sys.stderr.write(f"traces: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
