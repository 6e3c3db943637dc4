"""The MCP servers of one brain process: one session each, shared by all agents, versions and calls that use it."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.brain.agent.mcpservers import McpServerSettings
from services.brain.tools.mcp_server import McpServer


@dataclass(slots=True)
class _Shared:
    server: McpServer
    users: int


class McpPool:
    """Servers by how they are reached. One that nobody uses any more is closed."""

    def __init__(self) -> None:
        # The SDK logs messages it cannot read, whole: what callers said does not belong there.
        logging.getLogger("mcp.client").setLevel(logging.CRITICAL)
        self._servers: dict[tuple[Any, ...], _Shared] = {}

    def open(self, name: str, settings: McpServerSettings, folder: Path) -> McpServer:
        """The server, being reached from now on. `release` it as often as it was opened."""
        # Two agents' programs are two, even by the same command: they start in different folders.
        key = (*settings.connection(), folder.resolve() if settings.command else None)
        shared = self._servers.get(key)
        if shared is None:
            shared = self._servers[key] = _Shared(McpServer(name, settings, folder), 0)
            shared.server.start()
        shared.users += 1
        return shared.server

    async def release(self, server: McpServer) -> None:
        """Closes it after its last user. One that was closed with the pool: nothing."""
        for key, shared in self._servers.items():
            if shared.server is server:
                shared.users -= 1
                if shared.users == 0:
                    del self._servers[key]
                    await server.close()
                return

    async def settled(self, within_s: float) -> list[str]:
        """Waits until each was reached or failed to be; the names of those that are down."""
        servers = [shared.server for shared in self._servers.values()]
        up = await asyncio.gather(*[server.settled(within_s) for server in servers])
        return [server.name for server, is_up in zip(servers, up, strict=True) if not is_up]

    async def aclose(self) -> None:
        """Closes all, at once."""
        servers = [shared.server for shared in self._servers.values()]
        self._servers.clear()
        await asyncio.gather(*[server.close() for server in servers])
