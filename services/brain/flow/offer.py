"""Flows as the model sees them: tools by the name of flow_<name>."""

from collections.abc import Mapping
from typing import Any

from services.brain.flow.declaration import FlowDeclaration

_PREFIX = "flow_"


def tool_name(flow: str) -> str:
    return f"{_PREFIX}{flow}"


def flow_named(tool: str, flows: Mapping[str, FlowDeclaration]) -> str | None:
    """The flow that a tool call begins; None for any other tool."""
    name = tool.removeprefix(_PREFIX)
    return name if tool.startswith(_PREFIX) and name in flows else None


def openai_tools(flows: Mapping[str, FlowDeclaration]) -> list[dict[str, Any]]:
    """The flows as chat models take tools."""
    return [
        {
            "type": "function",
            "function": {"name": tool_name(name), "description": flow.description, "parameters": flow.parameters},
        }
        for name, flow in flows.items()
    ]
