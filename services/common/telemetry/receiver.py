"""OTLP/gRPC in, SQLite out: the collector for a machine that has none. And Jaeger's queries in, if so wished.

python -m services.common.telemetry.receiver --address 127.0.0.1:4317 --query-address 127.0.0.1:16686 --database FILE
"""

import argparse
import asyncio
import signal
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from services.common.telemetry.jaegerapi import QueryServer

PRUNE_EVERY_S = 600.0
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
    """A running receiver. `port` is OTLP's, `query_port` that of Jaeger's queries, None where they are off."""

    def __init__(self, server: RpcServer, port: int, store: TraceStore, writer: ThreadPoolExecutor) -> None:
        self.port = port
        self.query_port: int | None = None
        self._server = server
        self._store = store
        self._writer = writer
        self._queries: QueryServer | None = None
        self._pruning = asyncio.create_task(self._prune())

    async def answer_queries(self, address: str, database: Path) -> None:
        """Also listens for Jaeger's queries. Raises AddressTaken."""
        # Not above: to load the HTTP server takes longer than all else here, and not everybody asks.
        from services.common.telemetry import jaegerapi

        self._queries = await jaegerapi.serve(address, database)
        self.query_port = self._queries.port

    async def stop(self, grace_s: float = 1.0) -> None:
        """Takes what is in flight for at most grace_s, then closes the database."""
        self._pruning.cancel()
        if self._queries:
            await self._queries.stop()
        await self._server.stop(grace_s)
        self._writer.shutdown(wait=True)
        self._store.close()

    async def _prune(self) -> None:
        """What is too old goes also while nothing comes."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PRUNE_EVERY_S)
            try:
                while await loop.run_in_executor(self._writer, self._store.prune, time.time()):
                    pass
            except sqlite3.Error as error:
                logger().warning("traces_not_pruned", error=str(error))


async def serve(address: str, database: Path, query_address: str | None = None) -> Receiver:
    """Listens at host:port (port 0: any free one), and at `query_address` for Jaeger's queries. Raises AddressTaken,
    StoreUnreadable, and ValueError where an address is none."""
    store = TraceStore(database)
    if store.migrated:
        logger().info("traces_brought_up_to_date", spans=store.migrated, database=str(database))
    # SQLite wants one writer, and the event loop must not wait for the disk.
    writer = ThreadPoolExecutor(1, thread_name_prefix="trace-store")
    server = RpcServer(address, [SERVICE_NAME])
    add_TraceServiceServicer_to_server(_TraceService(store, writer), server.server)  # type: ignore[no-untyped-call]
    try:
        port = await server.start()
    except AddressTaken:
        store.close()
        raise
    receiver = Receiver(server, port, store, writer)
    try:
        if query_address:
            await receiver.answer_queries(query_address, database)
    except (AddressTaken, ValueError):
        await receiver.stop(0)
        raise
    await server.ready()
    return receiver


async def _main(address: str, database: Path, query_address: str | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    receiver = await serve(address, database, query_address)
    logger().info("listening", port=receiver.port, query_port=receiver.query_port, database=str(database))
    await stop.wait()
    await receiver.stop()


def main() -> None:
    """Exits 2 with one line when the address is taken or the database can't be written."""
    parser = argparse.ArgumentParser(prog="tandem-traces", description="Keeps OTLP traces in an SQLite file.")
    parser.add_argument("--address", default="127.0.0.1:4317", help="host:port for OTLP/gRPC (default: %(default)s)")
    parser.add_argument("--query-address", help="host:port for Jaeger's query API, as 127.0.0.1:16686 (default: none)")
    parser.add_argument("--database", type=Path, default=default_database(), help="default: %(default)s")
    parser.add_argument("--end-with-parent", action="store_true", help="end when the starting process dies")
    arguments = parser.parse_args()
    if arguments.end_with_parent:
        lifetime.end_with_parent()
    log.set_up("traces")
    try:
        asyncio.run(_main(arguments.address, arguments.database, arguments.query_address))
    except (AddressTaken, StoreUnreadable, ValueError) as error:
        sys.stderr.write(f"traces: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
