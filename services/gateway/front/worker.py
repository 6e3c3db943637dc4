"""A worker process: started by the front, which tells it on its standard input what it is."""

import asyncio
import os
import pickle
import signal
import socket
import sys
from functools import partial

import structlog

from services.common import lifetime
from services.common.service import StartRefused, serve
from services.common.telemetry.log import logger
from services.gateway.admission import TrunkLimits
from services.gateway.app import serve as serve_calls
from services.gateway.front.frame import Kind
from services.gateway.front.fronttransport import FrontTransport, SharedTrunks
from services.gateway.front.pipe import Pipe
from services.gateway.front.share import Share, Start
from services.gateway.settings import GatewaySettings
from services.gateway.shared_slots import SharedSlots, SlotsUnusable


async def run(start: Start, end: socket.socket, settings: GatewaySettings, stop: asyncio.Event) -> None:
    """Serves until `stop`. `end` is ours of the pipe. Raises as `app.run`."""
    structlog.contextvars.bind_contextvars(worker=start.number)
    transport = FrontTransport(Pipe(end), start.locals)
    trunks = SharedTrunks(settings, partial(transport.tell, Kind.LEARNED))
    transport.connect(trunks.hear, _front_gone)
    try:
        slots = SharedSlots(start.slots, settings.max_calls, TrunkLimits.of(settings.trunks), os.getpid())
    except (OSError, SlotsUnusable) as error:
        raise StartRefused(f"worker {start.number} has no slots: {error}") from error
    share = Share(
        start.number,
        transport,
        trunks,
        start.secret,
        slots,
        on_ready=partial(transport.tell, Kind.READY),
        on_draining=partial(transport.tell, Kind.DRAINING),
    )
    try:
        await serve_calls(settings, stop, share)
    finally:
        slots.close()


def _front_gone() -> None:
    """Nobody hears us any more: what calls there are get no BYE, and no new one ever comes."""
    logger().error("front_gone")
    signal.raise_signal(signal.SIGTERM)


def main() -> None:
    lifetime.end_with_parent()
    # From the process that started us.
    start: Start = pickle.load(sys.stdin.buffer)
    end = socket.socket(fileno=int(sys.argv[1]))
    serve("gateway", start.settings, partial(run, start, end))


if __name__ == "__main__":
    main()
