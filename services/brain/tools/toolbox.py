"""All the tools of one agent."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from services.brain.tools.built_in import BUILT_IN_NAMES, BUILT_IN_TOOLS
from services.brain.tools.declaration import ToolDeclaration
from services.brain.tools.guarded_call import GuardedCall, Tool
from services.brain.tools.guards import Guards
from services.brain.tools.kinds import ToolSurroundings, tool_for
from services.brain.tools.result import ToolResult, failure
from services.common.telemetry.log import logger


class ToolSource(Protocol):
    """Whence come tools that no tools.yaml lists, as from an MCP server; which ones may change while it lives."""

    async def start(self) -> None:
        """Never raises for what the other side does."""

    def tools(self) -> Sequence[Tool]:
        """Those that can be called now."""

    def may_have(self, name: str) -> bool:
        """Whether a tool that is not among `tools` may yet come."""

    async def aclose(self) -> None:
        """Lets go of what `start` took."""


class ToolBox:
    """The declared tools and those of `sources`, each behind its bulkhead and breaker. `start` before the first call,
    `aclose` after the last."""

    def __init__(
        self,
        declarations: Iterable[ToolDeclaration],
        folder: Path | None = None,
        guards: Guards | None = None,
        surroundings: ToolSurroundings | None = None,
        sources: Sequence[ToolSource] = (),
    ) -> None:
        """`folder` is the agent's. `guards` and `surroundings` are those of the whole process."""
        self._guards = guards or Guards()
        self._owned = surroundings is None
        self._surroundings = surroundings or ToolSurroundings()
        self._sources = tuple(sources)
        found = [tool_for(declared, self._surroundings, folder) for declared in declarations]
        self._calls = {tool.declaration.name: self._guards.guarded(tool) for tool in found}
        self._of_sources: dict[str, GuardedCall] = {}
        self._told: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def declaration(self, name: str) -> ToolDeclaration:
        """Raises KeyError for what is not a tool of this agent, or built in."""
        found = self._find(name)
        if found is None:
            raise KeyError(name)
        return found.tool.declaration

    def openai_tools(self) -> list[dict[str, Any]]:
        """What the model may call: the declared tools, those of the sources and the built-in ones."""
        self._look_at_sources()
        calls = (*self._calls.values(), *self._of_sources.values())
        return [call.tool.declaration.openai_tool() for call in calls] + list(BUILT_IN_TOOLS)

    async def call(self, name: str, arguments: dict[str, Any], idempotency_key: str) -> ToolResult:
        """Call a tool; never raises for what the model or the other side did wrong."""
        found = self._find(name)
        if found is None:
            if any(source.may_have(name) for source in self._sources):
                return failure("unavailable", f"the server of {name} was not reached yet")
            return failure("unknown_tool", f"there is no tool {name}")
        return await found.call(arguments, idempotency_key)

    async def start(self) -> None:
        """Gets all tools ready. Never raises for what the other sides do."""
        for one in self._all():
            await one.start()

    async def aclose(self) -> None:
        for one in self._all():
            await one.aclose()
        if self._owned:
            await self._surroundings.aclose()

    def _all(self) -> list[Tool | ToolSource]:
        return [*(call.tool for call in self._calls.values()), *self._sources]

    def _find(self, name: str) -> GuardedCall | None:
        if name not in self._calls and name not in self._of_sources:
            self._look_at_sources()
        return self._calls.get(name) or self._of_sources.get(name)

    def _look_at_sources(self) -> None:
        listed = {tool.declaration.name: tool for source in self._sources for tool in source.tools()}
        for name in [name for name, call in self._of_sources.items() if listed.get(name) is not call.tool]:
            del self._of_sources[name]
        for name, tool in listed.items():
            if name in self._calls or name in BUILT_IN_NAMES:
                if name not in self._told:
                    self._told.add(name)
                    logger().warning("tool_name_taken", tool=name, source=tool.other_side)
            elif name not in self._of_sources:
                self._of_sources[name] = self._guards.guarded(tool)
