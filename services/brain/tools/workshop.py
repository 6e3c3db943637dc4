"""The tools of all agents of one brain process: what they share, and the box of each agent."""

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from services.brain.agent.agent import Agent
from services.brain.tools.guards import Guards
from services.brain.tools.kinds import ToolSurroundings
from services.brain.tools.toolbox import ToolBox, ToolSource

if TYPE_CHECKING:
    from services.brain.tools.mcp_pool import McpPool


class Workshop:
    """One a process: HTTP connections, MCP sessions, bulkheads and breakers are shared by all calls, agents and their
    versions. `aclose` after all boxes are closed."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """With a registry (telemetry.metrics.REGISTRY, once a process) there are metrics."""
        self.guards = Guards(registry)
        self._surroundings = ToolSurroundings()
        self._pool: McpPool | None = None

    def box(self, agent: Agent) -> ToolBox:
        """To be started before the agent's first call, and closed after its last.

        Raises FunctionInvalid for a Python tool that load_agent would have refused.
        """
        return ToolBox(agent.tools, agent.folder, self.guards, self._surroundings, self._sources(agent))

    def _sources(self, agent: Agent) -> tuple[ToolSource, ...]:
        if not agent.mcp_servers:
            return ()
        # The SDK takes most of a second to import: only who has servers waits for it.
        from services.brain.tools.mcp_pool import McpPool
        from services.brain.tools.mcp_tool import mcp_tools

        self._pool = self._pool or McpPool()
        return mcp_tools(self._pool, agent.mcp_servers, agent.folder)

    async def aclose(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()
        await self._surroundings.aclose()
        self.guards.close()
