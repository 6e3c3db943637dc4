"""All the tools of one agent."""

from collections.abc import Iterable
from typing import Any

import httpx

from services.brain.tools.built_in import BUILT_IN_TOOLS
from services.brain.tools.declaration import ToolDeclaration
from services.brain.tools.http_tool import HttpTool
from services.brain.tools.result import ToolResult


class ToolBox:
    """The declared HTTP tools over one kept-alive client. Close it with `aclose` unless the client was given."""

    def __init__(self, declarations: Iterable[ToolDeclaration], client: httpx.AsyncClient | None = None) -> None:
        self._owned = client is None
        self._client = client or httpx.AsyncClient(follow_redirects=False)
        self._tools = {declared.name: HttpTool(declared, self._client) for declared in declarations}

    def __contains__(self, name: str) -> bool:
        return name in self._tools

    def declaration(self, name: str) -> ToolDeclaration:
        """Raises KeyError for a tool that is not an HTTP tool of this agent."""
        return self._tools[name].declaration

    def openai_tools(self) -> list[dict[str, Any]]:
        """What the model may call: the declared tools and the built-in ones."""
        return [tool.declaration.openai_tool() for tool in self._tools.values()] + list(BUILT_IN_TOOLS)

    async def call(self, name: str, arguments: dict[str, Any], idempotency_key: str) -> ToolResult:
        """Call a declared tool; never raises for what the model or the other side did wrong."""
        if name not in self._tools:
            return ToolResult(ok=False, code="unknown_tool", error=f"there is no tool {name}")
        return await self._tools[name].call(arguments, idempotency_key)

    async def aclose(self) -> None:
        if self._owned:
            await self._client.aclose()
