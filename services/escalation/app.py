"""The escalation process: its connections, its gRPC server, its end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import nats.errors
from nats.aio.client import Client

from services.common.bus import connect_control, open_bucket, without_password
from services.common.rpc import RpcServer
from services.common.service import StartRefused
from services.common.telemetry.log import logger
from services.common.telemetry.metrics import REGISTRY
from services.escalation.escalator import Escalator
from services.escalation.filing import BUCKET, TicketFiling
from services.escalation.metrics import REDELIVERED, EscalationMetrics
from services.escalation.settings import EscalationSettings
from tandem.v1.escalation_pb2_grpc import add_EscalationServicer_to_server

SERVICE_NAME = "tandem.v1.Escalation"


async def run(settings: EscalationSettings, stop: asyncio.Event) -> None:
    """Serves until `stop`. Raises BusUnavailable, AddressTaken, StartRefused."""
    async with serving(settings):
        await stop.wait()


@contextlib.asynccontextmanager
async def serving(settings: EscalationSettings) -> AsyncIterator[int]:
    """The running service; yields its port."""
    bus = await connect_control(settings.nats_url, "escalation")
    http = httpx.AsyncClient(timeout=settings.ticket_timeout_ms / 1000)
    server = RpcServer(settings.address, [SERVICE_NAME])
    metrics = EscalationMetrics(REGISTRY)
    try:
        filing = await _open_filing(settings, bus, http)
        escalator = Escalator(settings, filing, metrics)
        add_EscalationServicer_to_server(escalator, server.server)
        port = await server.start()
        redelivery = asyncio.create_task(
            _redeliver(filing, settings.ticket_redeliver_s, metrics), name="ticket redelivery"
        )
        try:
            await server.ready()
            yield port
        finally:
            redelivery.cancel()
            await server.ready(False)
            await escalator.drain(settings.drain_ms / 1000)
            await server.stop()
    finally:
        metrics.close()
        await http.aclose()
        await bus.close()


async def _open_filing(settings: EscalationSettings, bus: Client, http: httpx.AsyncClient) -> TicketFiling:
    try:
        bucket = await open_bucket(bus, BUCKET, settings.ticket_ttl_days * 86_400)
    except (nats.errors.Error, TimeoutError) as error:
        raise StartRefused(
            f"cannot open the bucket {BUCKET} at {without_password(settings.nats_url)}; is JetStream on? ({error!r})"
        ) from error
    return TicketFiling(bucket, http, settings.ticket_timeout_ms / 1000, settings.ticket_attempts)


async def _redeliver(filing: TicketFiling, every_s: float, metrics: EscalationMetrics) -> None:
    """At the start, and then every so often, what could not be delivered before."""
    while True:
        try:
            delivered = await filing.redeliver()
            metrics.ticket(REDELIVERED, delivered)
            if delivered:
                logger().info("tickets_redelivered", count=delivered)
        except Exception:
            logger().exception("redelivery_failed")
        await asyncio.sleep(every_s)
