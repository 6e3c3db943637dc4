"""The word that a trace is to be kept, or that its call is over, from one service to all others: core NATS.

A message is `<trace id>` or `<trace id> <why>`, 32 hex digits and plain words. Who does not hear it loses telemetry and
nothing else. Nothing is said or heard where every call is drawn: then nothing is held.
"""

import asyncio
from contextlib import suppress
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.common.telemetry import trace

SUBJECT: Final = "tandem.telemetry.kept"
MAX_WHY: Final = 80

_attached: Client | None = None


async def attach(client: Client, preferred: bool = True) -> None:
    """Says and hears it on this connection from now on. Called by the bus for each connection that it makes: one that
    is not `preferred` (the audio's, which forgets what it could not send) serves where there is no other."""
    global _attached
    if not trace.holds() or (not preferred and _attached is not None and not _attached.is_closed):
        return
    with suppress(nats.errors.Error):
        await client.subscribe(SUBJECT, cb=_heard)
        _attached = client
        trace.told_by(_Teller(client).tell)


async def _heard(message: Msg) -> None:
    trace_id, _, why = message.data.decode(errors="replace").partition(" ")
    trace.heard(trace_id, why)


class _Teller:
    """To be made on the event loop; tells from any thread."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, trace_id: str, why: str) -> None:
        text = f"{trace_id} {why[:MAX_WHY]}" if why else trace_id
        with suppress(RuntimeError):  # the loop has ended, and the process with it
            self._loop.call_soon_threadsafe(self._begin, text.encode())

    def _begin(self, message: bytes) -> None:
        task = self._loop.create_task(self._say(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say(self, message: bytes) -> None:
        with suppress(nats.errors.Error):
            await self._client.publish(SUBJECT, message)
