"""nats-py's client, less what would silence a connection for ever or take its TLS away."""

import asyncio
from typing import Any

from nats.aio.client import Client
from nats.errors import SecureConnWantedError


class BusClient(Client):
    """nats.aio.client.Client that lives on after a flush that came back late, and takes tls:// at its word."""

    stripped = False
    """A server that is to be spoken to by TLS said that it wants none."""

    async def _process_pong(self) -> None:
        # nats-py 2.16 raises when a PONG comes after its flush has given up, which ends its reading and is not noticed.
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        # nats-py 2.16 leaves it to the server: whoever stands between could say no, and be told the password.
        server = self._current_server
        if initial_connection and server is not None and server.uri.scheme == "tls" and not info.get("tls_required"):
            self.stripped = True
            raise SecureConnWantedError
        await super()._process_info(info, initial_connection)
