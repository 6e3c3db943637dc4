"""What an MCP server says of a tool, as the declaration that the conversation goes by. Pure."""

from collections.abc import Iterable
from typing import Any

from mcp.types import Tool

from services.brain.agent.mcpservers import McpServerSettings, McpToolSettings, call_name
from services.brain.tools.declaration import McpDeclaration, McpSource

# What chat models take of a description.
_LONGEST_DESCRIPTION = 1000
_DEEPEST_SCHEMA = 40


def declarations(
    server: str, settings: McpServerSettings, listed: Iterable[Tool]
) -> tuple[list[McpDeclaration], list[str]]:
    """The tools that the agent has of those the server lists, in that order; and what is wrong with the others.

    A tool that `settings` names and the server does not list is among what is wrong.
    """
    found: dict[str, McpDeclaration] = {}
    wrong: list[str] = []
    names: set[str] = set()
    for tool in listed:
        names.add(tool.name)
        chosen = settings.settings(tool.name)
        if chosen is None:
            continue
        try:
            declared = declaration(server, tool, chosen, settings.call_timeout_ms)
        except ValueError as error:
            wrong.append(f"tool {tool.name[:100]}: {_first_line(error)}")
            continue
        if declared.name in found:
            wrong.append(f"tool {tool.name[:100]}: there is already a {declared.name}; set `rename` for one of them")
        else:
            found[declared.name] = declared
    wrong += [f"tool {name}: the server has none of this name" for name in settings.tools if name not in names]
    return list(found.values()), wrong


def declaration(server: str, tool: Tool, settings: McpToolSettings, deadline_ms: int) -> McpDeclaration:
    """Raises ValueError for a tool that no model could call.

    Hints count only where they make us careful or spare a caller nothing: what is not said to be read-only has a side
    effect, also where it is idempotent, so that it is journalled and never runs on speculation.
    """
    hints = tool.annotations
    read_only = bool(hints and hints.readOnlyHint)
    idempotent = bool(hints and hints.idempotentHint)
    title = tool.title or (hints.title if hints else None)
    description = settings.description or tool.description or title or tool.name
    _closed(tool.inputSchema, 0)
    written: dict[str, Any] = {
        "name": settings.rename or call_name(server, tool.name),
        "description": description.strip()[:_LONGEST_DESCRIPTION],
        "parameters": tool.inputSchema,
        "side_effect": not read_only if settings.side_effect is None else settings.side_effect,
        "idempotent": idempotent if settings.idempotent is None else settings.idempotent,
        "deadline_ms": settings.deadline_ms or deadline_ms,
        "mcp": McpSource(server=server, tool=tool.name),
    }
    if settings.say_while is not None:
        written["say_while"] = settings.say_while
    if settings.say_failed is not None:
        written["say_failed"] = settings.say_failed
    return McpDeclaration.model_validate(written)


def _closed(schema: Any, depth: int) -> None:
    """A schema that refers to somewhere else would be fetched from there when arguments are checked."""
    if depth > _DEEPEST_SCHEMA:
        raise ValueError(f"its schema is more than {_DEEPEST_SCHEMA} levels deep")
    if isinstance(schema, dict):
        for key in ("$ref", "$dynamicRef"):
            if isinstance(reference := schema.get(key), str) and not reference.startswith("#"):
                raise ValueError(f"its schema refers to {reference[:100]}, outside of itself")
    for below in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        _closed(below, depth + 1)


def _first_line(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    text = str(errors()[0]["msg"]) if callable(errors) else str(error)
    return text.removeprefix("Value error, ")[:200]
