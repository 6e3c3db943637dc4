"""The tools of an MCP server, as an agent has them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcp import McpError
from opentelemetry import propagate

from services.brain.agent.mcpservers import McpServerSettings, known_names
from services.brain.tools.declaration import McpDeclaration
from services.brain.tools.guarded_call import Tool
from services.brain.tools.mcp_answer import failure_of, result_of
from services.brain.tools.mcp_declaration import declarations
from services.brain.tools.mcp_pool import McpPool
from services.brain.tools.mcp_server import McpServer, McpUnreachable
from services.brain.tools.result import ToolResult, failure
from services.common.telemetry.log import logger

IDEMPOTENCY_KEY = "tandem/idempotency-key"
# A program in Python answers within one; a server that is down is known to be at once, and one that hangs is left to
# come later.
STARTED_WITHIN_S = 3.0


class McpTool:
    """One tool of a server.

    A call carries in its `_meta` the idempotency key under `tandem/idempotency-key`, where it has one, and the trace
    under `traceparent`. A server that keeps the key answers a repeated call with the result of the first one; say so
    with `idempotent: true`, or such a call is not repeated where it may have been carried out.
    """

    def __init__(self, server: McpServer, declaration: McpDeclaration) -> None:
        self._server = server
        self._declaration = declaration

    @property
    def declaration(self) -> McpDeclaration:
        return self._declaration

    @property
    def other_side(self) -> str:
        return self._server.other_side

    async def start(self) -> None:
        """Nothing: the server is McpTools' to open and close."""

    async def aclose(self) -> None:
        """Nothing."""

    async def attempt(self, arguments: dict[str, Any], idempotency_key: str, deadline_s: float) -> ToolResult:
        meta: dict[str, Any] = {IDEMPOTENCY_KEY: idempotency_key} if idempotency_key else {}
        propagate.inject(meta)
        try:
            return result_of(await self._server.call(self._declaration.mcp.tool, arguments, meta, deadline_s))
        except McpUnreachable as error:
            return failure("unreachable", str(error), unsure=error.sent)
        except TimeoutError:
            return failure("timeout", f"no answer from {self.other_side} within {deadline_s:.1f} s", unsure=True)
        except McpError as error:
            return failure_of(error)
        except (RuntimeError, ValueError) as error:
            return failure("malformed", str(error)[:300], unsure=True)


class McpTools:
    """A ToolSource: the tools of one server that one agent has, as they are at the moment.

    A server that is away keeps the tools it had; calls to them are answered "unreachable".
    """

    def __init__(self, pool: McpPool, name: str, settings: McpServerSettings, folder: Path) -> None:
        """`name` is the agent's for the server, `folder` the agent's own."""
        self._pool = pool
        self._name = name
        self._settings = settings
        self._folder = folder
        self._server: McpServer | None = None
        self._generation = -1
        self._tools: dict[str, McpTool] = {}
        self._wrong: tuple[str, ...] = ()

    @property
    def server(self) -> McpServer | None:
        """Between `start` and `aclose`."""
        return self._server

    async def start(self) -> None:
        """The server is reached in the background; this waits for it a little, so that the first call has its tools."""
        if self._server is None:
            self._server = self._pool.open(self._name, self._settings, self._folder)
            await self._server.settled(STARTED_WITHIN_S)

    async def aclose(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await self._pool.release(server)

    def tools(self) -> Sequence[Tool]:
        """In the server's order. A tool that did not change stays the same object."""
        server = self._server
        if server is not None and server.listed and server.generation != self._generation:
            self._generation = server.generation
            declared, wrong = declarations(self._name, self._settings, server.tools)
            before = self._tools
            self._tools = {}
            for one in declared:
                known = before.get(one.name)
                same = known is not None and known.declaration == one
                self._tools[one.name] = known if known is not None and same else McpTool(server, one)
            if tuple(wrong) != self._wrong:
                self._wrong = tuple(wrong)
                for what in wrong:
                    logger().warning("MCP tool left out", server=self._name, what=what)
        return tuple(self._tools.values())

    def may_have(self, name: str) -> bool:
        """Whether a tool that is not among `tools` may yet come: the server was never reached."""
        if self._server is None or self._server.listed:
            return False
        return not self._settings.tools or name in known_names({self._name: self._settings})


def mcp_tools(pool: McpPool, servers: Mapping[str, McpServerSettings], folder: Path) -> tuple[McpTools, ...]:
    """The ToolSources of an agent: `mcp_tools(pool, agent.mcp_servers, agent.folder)`."""
    return tuple(McpTools(pool, name, settings, folder) for name, settings in servers.items())
