"""nats-py's client, less what would silence a connection for ever."""

import asyncio

from nats.aio.client import Client


class BusClient(Client):
    """nats.aio.client.Client that lives on after a flush that was not answered in time."""

    async def _process_pong(self) -> None:
        # nats-py 2.16 raises when a PONG comes after its flush has given up, which ends its reading and is not noticed.
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()
