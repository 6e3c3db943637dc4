"""From a declaration to the tool that carries it out."""

from dataclasses import dataclass, field
from pathlib import Path

import httpx

from services.brain.tools.declaration import (
    HttpDeclaration,
    OpenApiDeclaration,
    PythonDeclaration,
    ToolDeclaration,
)
from services.brain.tools.guarded_call import Tool
from services.brain.tools.hostnames import HostNames
from services.brain.tools.http_tool import HttpTool


def http_client() -> httpx.AsyncClient:
    """One for all HTTP tools of the process. The bulkheads limit the connections to each host: a limit of the pool
    would let one dead host use up the connections to all others."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=30)
    return httpx.AsyncClient(follow_redirects=False, limits=limits)


@dataclass(frozen=True)
class ToolSurroundings:
    """What the tools of a brain process use together. `aclose` when it ends."""

    client: httpx.AsyncClient = field(default_factory=http_client)
    names: HostNames | None = field(default_factory=HostNames)

    async def aclose(self) -> None:
        await self.client.aclose()


def tool_for(declaration: ToolDeclaration, surroundings: ToolSurroundings, folder: Path | None) -> Tool:
    """The tool of a declaration of any kind. `folder` is the agent's, for what is a file there.

    Raises LookupError for an OpenAPI operation that was not looked up, ValueError where a folder is needed.
    """
    match declaration:
        case HttpDeclaration() | OpenApiDeclaration():
            return HttpTool(declaration, surroundings.client, surroundings.names)
        case PythonDeclaration():
            if folder is None:
                raise ValueError(f"the Python tool {declaration.name} needs the agent's folder")
            from services.brain.tools.python_tool import PythonTool

            return PythonTool(declaration, folder)
    raise TypeError(f"no kind of tool: {type(declaration).__name__}")
